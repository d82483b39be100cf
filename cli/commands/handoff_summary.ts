/**
 * `whorl handoff summary`: transfers in numbers, a row for each node.
 *
 * @module
 */
import type {
  HandoffConfig,
  HandoffStatus,
  TransferKind,
  TransferStatus,
} from "../../src/handoff/transfer.ts";
import { askTransfers, isActive } from "../../src/admin/cluster_transfers.ts";
import type { Command } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { remarkFailures } from "../member_failures.ts";
import { withSession } from "../session_flags.ts";
import { renderTable } from "../table.ts";

const KINDS: readonly TransferKind[] = [
  "ownership",
  "hinted",
  "repair",
  "resize",
];

/** `whorl handoff summary` */
export const handoffSummaryCommand: Command = {
  name: "handoff summary",
  summary: "count transfers by node and type, with the limits",
  about:
    "A row for each member. Each cell has the transfers under way there, in and out together, and in " +
    "parentheses those that wait. Then how many may run at once (whorl transfer-limit) and which directions " +
    "are enabled (whorl handoff enable).",
  positionals: [],
  flags: [],
  talksToNode: true,
  examples: [
    { line: "handoff summary --data data/dev1", says: "of the whole cluster" },
    {
      line: "handoff details --data data/dev1",
      says: "which transfers these are",
    },
  ],
  run: (invocation, world) =>
    withSession(invocation, world, async (session, { timeoutMs }) => {
      const { answers, failures } = await askTransfers(session, { timeoutMs });
      const summaries = answers.map(({ result }) => summarize(result));
      const { output } = world;
      if (invocation.on("json")) {
        writeJson(output, { nodes: summaries, unanswered: failures });
        return ExitCode.ok;
      }
      renderTable(
        output,
        ["Node", ...KINDS.map(capitalized), "Total", "Limit", "Enabled"],
        summaries.map((summary) => [
          summary.node,
          ...KINDS.map((kind) => cell(summary.byKind[kind])),
          cell(summary.total),
          String(summary.config.concurrency),
          enabledText(summary.config),
        ]),
        ["left", ...KINDS.map(() => "right" as const), "right", "right"],
        // Limit and directions: whorl handoff config shows them as well. Then resizes and repairs, which are rare.
        [6, 7, 4, 3],
      );
      remarkFailures(output, failures);
      return ExitCode.ok;
    }),
};

interface Counts {
  readonly active: number;
  readonly waiting: number;
}

interface Summary {
  readonly node: string;
  readonly config: HandoffConfig;
  readonly byKind: Readonly<Record<TransferKind, Counts>>;
  readonly total: Counts;
  readonly completed: number;
  readonly failed: number;
}

function summarize(status: HandoffStatus): Summary {
  const { node, config, transfers, completed, failed } = status;
  const byKind = Object.fromEntries(
    KINDS.map((kind) => [
      kind,
      countsOf(transfers.filter((transfer) => transfer.kind === kind)),
    ]),
  ) as Record<TransferKind, Counts>;
  return {
    node,
    config,
    byKind,
    total: countsOf(transfers),
    completed,
    failed,
  };
}

function countsOf(transfers: readonly TransferStatus[]): Counts {
  const active = transfers.filter(isActive).length;
  return { active, waiting: transfers.length - active };
}

function cell({ active, waiting }: Counts): string {
  return `${active} (${waiting})`;
}

function enabledText({ inbound, outbound }: HandoffConfig): string {
  if (inbound) return outbound ? "both" : "inbound";
  return outbound ? "outbound" : "none";
}

function capitalized(word: string): string {
  return word[0]!.toUpperCase() + word.slice(1);
}
