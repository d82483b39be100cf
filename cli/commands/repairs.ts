/**
 * `whorl repairs`: repairs that run or have ended.
 *
 * @module
 */
import { askMembers } from "../../src/admin/member_calls.ts";
import type { Command } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { remarkFailures } from "../member_failures.ts";
import { neighboursText, type NodeRepair } from "../repair_rows.ts";
import { withSession } from "../session_flags.ts";
import { renderTable } from "../table.ts";

/** `whorl repairs` */
export const repairsCommand: Command = {
  name: "repairs",
  summary: "list repairs of partitions, those that ran included",
  about:
    'A row for each repair, by node and then newest first: those asked for with "whorl repair", and those a ' +
    "vnode asked for by itself because its store was hurt. A node forgets them when it is restarted.",
  positionals: [],
  flags: [],
  talksToNode: true,
  examples: [
    { line: "repairs --data data/dev1", says: "of all members" },
    { line: "repairs --json --data data/dev1", says: "for a script" },
  ],
  run: (invocation, world) =>
    withSession(invocation, world, async (session, { timeoutMs }) => {
      const { answers, failures } = await askMembers(session, "repairs", {}, {
        nodes: null,
        timeoutMs,
      });
      const repairs: NodeRepair[] = answers.flatMap(({ node, result }) =>
        result.map((repair) => ({ node, ...repair }))
      );
      const { output } = world;
      if (invocation.on("json")) {
        writeJson(output, { repairs, unanswered: failures });
        return ExitCode.ok;
      }
      if (repairs.length === 0) output.remark("There have been no repairs\n");
      else {
        renderTable(
          output,
          [
            "Node",
            "Module",
            "Partition",
            "State",
            "Given by",
            "Objects",
            "Remark",
          ],
          repairs.map((repair) => [
            repair.node,
            repair.module,
            String(repair.partition),
            repair.state,
            neighboursText(repair),
            String(repair.items),
            repair.reason ?? "",
          ]),
          ["left", "left", "right", "left", "left", "right"],
        );
      }
      remarkFailures(output, failures);
      return ExitCode.ok;
    }),
};
