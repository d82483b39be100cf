/**
 * `whorl ringready`: do all members agree on the ring?
 *
 * @module
 */
import { ringReadyText } from "../../src/ring/admin_messages.ts";
import type { Command } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { withSession } from "../session_flags.ts";

/** `whorl ringready` */
export const ringreadyCommand: Command = {
  name: "ringready",
  summary: "ask whether all members agree on the ring",
  about:
    "Prints TRUE and the members, or FALSE and why: members that are down, or two that list different owners. " +
    "Exit code 0 for TRUE and 1 for FALSE.",
  positionals: [],
  flags: [],
  talksToNode: true,
  examples: [{
    line: "ringready --data data/dev1",
    says: "has the ring settled?",
  }],
  run: (invocation, world) =>
    withSession(invocation, world, async (session, options) => {
      const result = await session.call("ringready", {}, options);
      if (invocation.on("json")) writeJson(world.output, result);
      else world.output.write(ringReadyText(result));
      return result.type === "ready" ? ExitCode.ok : ExitCode.failed;
    }),
};
