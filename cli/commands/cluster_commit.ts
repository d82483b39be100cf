/**
 * `whorl cluster commit`: carry out the plan last shown.
 *
 * @module
 */
import { isWhorlError } from "../../src/base/errors.ts";
import {
  commitFailureText,
  COMMITTED_TEXT,
} from "../../src/ring/admin_messages.ts";
import type { Command } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { withSession } from "../session_flags.ts";
import { WHORL_COMMANDS } from "./cluster_rows.ts";

/** `whorl cluster commit` */
export const clusterCommitCommand: Command = {
  name: "cluster commit",
  summary: "carry out the plan last shown",
  about:
    "Makes the staged changes real and starts what follows from them. Only a plan somebody has looked at is " +
    'carried out: run "whorl cluster plan" first, and again if the cluster changed since.',
  positionals: [],
  flags: [],
  talksToNode: true,
  examples: [
    { line: "cluster plan --data data/dev1", says: "look at it first" },
    { line: "cluster commit --data data/dev1", says: "then do it" },
  ],
  run: (invocation, world) =>
    withSession(invocation, world, async (session, options) => {
      try {
        await session.call("cluster_commit", {}, options);
      } catch (error) {
        // Other failures say best themselves what was the matter.
        const refused = isWhorlError(error, "nothing_planned") ||
          isWhorlError(error, "ring_not_ready") ||
          isWhorlError(error, "plan_changed");
        if (!refused || invocation.on("json")) throw error;
        world.output.remark(commitFailureText(error.code, WHORL_COMMANDS));
        return ExitCode.failed;
      }
      if (invocation.on("json")) writeJson(world.output, { committed: true });
      else world.output.write(COMMITTED_TEXT);
      return ExitCode.ok;
    }),
};
