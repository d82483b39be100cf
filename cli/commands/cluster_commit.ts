/**
 * `whorl cluster commit`: carry out a plan.
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
import { WHORL_COMMANDS } from "./command_names.ts";

/** `whorl cluster commit` */
export const clusterCommitCommand: Command = {
  name: "cluster commit",
  summary: "carry out the plan last shown",
  about:
    "Applies the staged changes and starts the transfers they need. Only a plan that has been shown is " +
    'carried out: run "whorl cluster plan" first, and again if the cluster changed since.\n\n' +
    "With --plan exactly that plan is carried out, even if another one was shown meanwhile, and committing it " +
    "twice is no error: repeat the command if its answer was lost. While members do not agree on the " +
    "ring, the commit waits for them.",
  positionals: [],
  flags: [{
    name: "plan",
    value: "ID",
    says: "the plan to carry out",
    default: "the one shown last",
  }],
  talksToNode: true,
  examples: [
    { line: "cluster plan --data data/dev1", says: "look at it first" },
    { line: "cluster commit --data data/dev1", says: "then do it" },
    {
      line: "cluster commit --plan 8fbd3e1c9a6f2b07 --data data/dev1",
      says: "in a script: the plan that was shown, or nothing",
    },
  ],
  run: (invocation, world) =>
    withSession(invocation, world, async (session, options) => {
      try {
        const planId = invocation.text("plan");
        const done = await session.call(
          "cluster_commit",
          planId === undefined ? {} : { planId },
          options,
        );
        if (invocation.on("json")) {
          writeJson(world.output, { committed: true, ...done });
        } else world.output.write(COMMITTED_TEXT);
        return ExitCode.ok;
      } catch (error) {
        // Other failures say best themselves what was the matter.
        const refused = isWhorlError(error, "nothing_planned") ||
          isWhorlError(error, "ring_not_ready") ||
          isWhorlError(error, "plan_changed");
        if (!refused || invocation.on("json")) throw error;
        world.output.remark(commitFailureText(error.code, WHORL_COMMANDS));
        return ExitCode.failed;
      }
    }),
};
