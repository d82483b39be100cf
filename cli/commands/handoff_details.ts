/**
 * `whorl handoff details`: a row for each transfer, those that wait included.
 *
 * @module
 */
import type { TransferStatus } from "../../src/handoff/transfer.ts";
import {
  askTransfers,
  isActive,
  knownTransfers,
  partitionText,
  shareOf,
} from "../../src/admin/cluster_transfers.ts";
import type { Command } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { remarkFailures } from "../member_failures.ts";
import { withSession } from "../session_flags.ts";
import { renderTable } from "../table.ts";

/** `whorl handoff details` */
export const handoffDetailsCommand: Command = {
  name: "handoff details",
  summary: "list every transfer, those that wait and why included",
  about:
    "A row for each transfer of the cluster: type, module, partition (ID), the two nodes, how far it is, objects " +
    "so far and a second, and a remark: what it waits for, or why it failed last. A terminal that is too " +
    "narrow gets what fits; --json and a pipe get all.",
  positionals: [],
  flags: [],
  talksToNode: true,
  examples: [
    { line: "handoff details --data data/dev1", says: "all of them" },
    {
      line: "handoff details --json --data data/dev1",
      says: "with everything that is known",
    },
  ],
  run: (invocation, world) =>
    withSession(invocation, world, async (session, { timeoutMs }) => {
      const { answers, failures } = await askTransfers(session, { timeoutMs });
      const transfers = knownTransfers(answers.map(({ result }) => result));
      // Those under way first; as the nodes tell them otherwise.
      const sorted = [
        ...transfers.filter(isActive),
        ...transfers.filter((transfer) => !isActive(transfer)),
      ];
      const { output } = world;
      if (invocation.on("json")) {
        writeJson(output, { transfers: sorted, unanswered: failures });
        return ExitCode.ok;
      }
      if (sorted.length === 0) {
        output.remark("There are no transfers, and none wait\n");
      } else {
        renderTable(
          output,
          [
            "Type",
            "Module",
            "ID",
            "From",
            "To",
            "State",
            "Objects",
            "Rate",
            "Remark",
          ],
          sorted.map(rowOf),
          ["left", "left", "right", "left", "left", "left", "right", "right"],
          // Rate, objects and module: whorl transfers shows them as well.
          [7, 6, 1],
        );
      }
      remarkFailures(output, failures);
      return ExitCode.ok;
    }),
};

function rowOf(transfer: TransferStatus): string[] {
  const share = shareOf(transfer);
  const percent = share === undefined || !isActive(transfer)
    ? ""
    : ` ${Math.floor(share * 100)}%`;
  return [
    transfer.kind,
    transfer.module,
    partitionText(transfer),
    transfer.source,
    transfer.target,
    transfer.state + percent,
    String(transfer.items),
    `${Math.round(transfer.itemsPerSecond)}/s`,
    [
      transfer.reason ?? "",
      transfer.failures === 0 ? "" : `(failures: ${transfer.failures})`,
    ].filter((part) => part !== "").join(" "),
  ];
}
