/**
 * `whorl cluster plan`: what the staged changes would do.
 *
 * @module
 */
import { isWhorlError } from "../../src/base/errors.ts";
import { planFailureText } from "../../src/ring/admin_messages.ts";
import { planText } from "../../src/ring/plan_display.ts";
import { planRows } from "../../src/admin/cluster_rows.ts";
import type { Command } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { nodeFlagsOf, withSession } from "../session_flags.ts";
import { WHORL_COMMANDS } from "./command_names.ts";

/** `whorl cluster plan` */
export const clusterPlanCommand: Command = {
  name: "cluster plan",
  summary: "show what the staged changes would do",
  about:
    "Lists the staged changes and, for each step of the way, the members with their share of the ring and " +
    'how many partitions move from where to where. Nothing happens before "whorl cluster commit". A warning ' +
    "says if replicas will share nodes, as they must while there are few, and if a removal by force loses " +
    "replicas. Transfers that are under way go on meanwhile and are counted in.",
  positionals: [],
  flags: [],
  talksToNode: true,
  examples: [
    { line: "cluster plan --data data/dev1", says: "what a commit would do" },
    { line: "cluster clear --data data/dev1", says: "discard it all" },
  ],
  run: (invocation, world) =>
    withSession(invocation, world, async (session, options) => {
      try {
        const plan = await session.call("cluster_plan", {}, options);
        if (invocation.on("json")) writeJson(world.output, plan);
        else {
          const { ringStatus } = WHORL_COMMANDS;
          world.output.write(planText(planRows(plan), { ringStatus }));
          if (plan.changes.length > 0) {
            // Not on standard output, which is riak_core's to the last byte.
            world.output.remark(
              `Carry it out with: whorl cluster commit --plan ${plan.planId}${
                nodeFlagsOf(invocation)
              }\n`,
            );
          }
        }
        return ExitCode.ok;
      } catch (error) {
        if (
          !isWhorlError(error, "ring_not_ready") || invocation.on("json")
        ) throw error;
        world.output.remark(planFailureText(error.code, WHORL_COMMANDS));
        return ExitCode.failed;
      }
    }),
};
