/**
 * `whorl down`: declare a member down that cannot be reached.
 *
 * @module
 */
import { isWhorlError } from "../../src/base/errors.ts";
import { downFailureText, downText } from "../../src/ring/admin_messages.ts";
import type { Command } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { withSession } from "../session_flags.ts";

/** `whorl down` */
export const downCommand: Command = {
  name: "down",
  summary: "declare a member down, so that changes need not wait for it",
  about:
    "Changes of the cluster wait until every member has seen the last one. A member that is unreachable for " +
    "long holds them up until it is marked as down. It keeps its partitions, others serve for it as before, and " +
    "it is a member again by itself when it is back. If it was the claimant, another one takes over.\n\n" +
    'Takes effect at once. For a node that never comes back: "whorl cluster force-remove".',
  positionals: [{ name: "NODE", says: "the member, as NAME@HOST" }],
  flags: [],
  talksToNode: true,
  examples: [
    {
      line: "down dev3@127.0.0.1 --data data/dev1",
      says: "dev3 is not needed for agreement any more",
    },
    {
      line: "ring-status --only report --data data/dev1",
      says: "who is unreachable and not marked",
    },
  ],
  run: (invocation, world) =>
    withSession(invocation, world, async (session, options) => {
      const node = invocation.words[0]!;
      try {
        const result = await session.call("down", { node }, options);
        if (invocation.on("json")) writeJson(world.output, result);
        else world.output.write(downText(result.node));
        return ExitCode.ok;
      } catch (error) {
        if (!isWhorlError(error) || invocation.on("json")) throw error;
        const text = downFailureText(error.code, node);
        if (text === null) throw error;
        world.output.remark(text);
        return ExitCode.failed;
      }
    }),
};
