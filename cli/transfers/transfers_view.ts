/**
 * Transfers as lines of a terminal that are drawn again and again: two for each
 * that is under way, as wide and as many as the terminal has room for.
 *
 * @module
 */
import {
  formatBytes,
  formatDuration,
  renderBar,
} from "../../src/admin/figure_text.ts";
import type { TransferStatus } from "../../src/handoff/transfer.ts";
import {
  type ClusterTransfers,
  partitionText,
  shareOf,
} from "../../src/admin/cluster_transfers.ts";
import { waitingLine } from "../../src/admin/transfers_text.ts";
import { failureLines } from "../member_failures.ts";

/** Room on the terminal. */
export interface ViewSize {
  readonly columns: number;
  readonly lines: number;
}

/** Nodes of which it is told what waits; the others are counted. */
const WAITING_NODES_MAX = 4;
/** Cells of a bar, by the columns a terminal has at least. */
const BARS: readonly { columns: number; cells: number }[] = [
  { columns: 100, cells: 24 },
  { columns: 72, cells: 14 },
  { columns: 52, cells: 10 },
  { columns: 0, cells: 0 },
];

/** The lines, none wider than the terminal. */
export function transfersView(
  transfers: ClusterTransfers,
  { columns, lines: linesMax }: ViewSize,
): string[] {
  // The last column stays free, see `LiveArea`.
  const width = columns - 1;
  const { active, waiting, unanswered } = transfers;
  const head = [
    ...waiting.slice(0, WAITING_NODES_MAX).map(waitingLine),
    ...(waiting.length > WAITING_NODES_MAX
      ? [`... and ${waiting.length - WAITING_NODES_MAX} more nodes wait`]
      : []),
    ...failureLines(unanswered),
    active.length === 0 ? "No transfers active" : "Active Transfers:",
  ];
  const room = Math.max(0, linesMax - head.length);
  const fits = active.length * 2 <= room
    ? active.length
    : Math.max(0, (room - 1) >> 1);
  const shown = active.slice(0, fits);
  const titles = titlesOf(shown, width);
  const lines = [
    ...head,
    ...shown.flatMap((
      transfer,
      i,
    ) => [titles[i]!, progressOf(transfer, width)]),
  ];
  if (fits < active.length) {
    lines.push(`... and ${active.length - fits} more under way`);
  }
  return lines.map((line) => line.slice(0, width));
}

/** What goes where, in columns; names of nodes lose their host before anything is cut off. */
function titlesOf(
  transfers: readonly TransferStatus[],
  width: number,
): string[] {
  const column = (cell: (transfer: TransferStatus) => string): number =>
    Math.max(0, ...transfers.map((transfer) => cell(transfer).length));
  const kinds = column(({ kind }) => kind);
  const modules = column(({ module }) => module);
  const partitions = column(partitionText);
  const titles = (name: (node: string) => string): string[] =>
    transfers.map((transfer) =>
      `${transfer.kind.padEnd(kinds)} ${transfer.module.padEnd(modules)} ${
        partitionText(transfer).padStart(partitions)
      }  ${name(transfer.source)} → ${name(transfer.target)}`
    );
  const full = titles((node) => node);
  return full.every((title) => title.length <= width)
    ? full
    : titles((node) => node.split("@")[0]!);
}

/** The bar, and as many figures as there is room for, the most telling first. */
function progressOf(transfer: TransferStatus, width: number): string {
  const share = shareOf(transfer);
  const cells = BARS.find(({ columns }) => width >= columns)!.cells;
  let line = share === undefined
    ? " "
    : cells === 0
    ? ` ${`${Math.floor(share * 100)}%`.padStart(4)}`
    : `  ${renderBar(share, cells)}`;
  let separator = share === undefined ? " " : "  ";
  const facts = figures(transfer);
  const kept = facts.map(() => false);
  // Filled by importance, shown in the order people read.
  for (const place of byImportance(facts)) {
    const more = kept.with(place, true);
    const text = facts.filter((_, i) => more[i]).map(({ text }) => text)
      .join(" · ");
    if (line.length + separator.length + text.length <= width) {
      kept[place] = true;
    }
  }
  for (const [place, { text }] of facts.entries()) {
    if (!kept[place]) continue;
    line += separator + text;
    separator = " · ";
  }
  return line;
}

interface Figure {
  readonly text: string;
  /** The higher, the sooner it is left out. */
  readonly rank: number;
}

function figures(transfer: TransferStatus): Figure[] {
  const { state, items, itemsTotal, itemsPerSecond, failures, reason } =
    transfer;
  const facts: Figure[] = [];
  if (state !== "sending") facts.push({ text: state, rank: 0 });
  const total = itemsTotal === null ? "" : `/${itemsTotal}`;
  facts.push(
    { text: `${items}${total} objects`, rank: 1 },
    { text: formatBytes(transfer.bytes), rank: 4 },
  );
  if (itemsPerSecond > 0) {
    facts.push({ text: `${Math.round(itemsPerSecond)}/s`, rank: 3 });
    const left = itemsTotal === null ? 0 : itemsTotal - items;
    if (left > 0) {
      const leftMs = left / itemsPerSecond * 1_000;
      facts.push({ text: `${formatDuration(leftMs)} left`, rank: 2 });
    }
  }
  if (failures > 0) {
    facts.push({
      text: failures === 1 ? "1 failure" : `${failures} failures`,
      rank: 5,
    });
  }
  if (reason !== null) facts.push({ text: reason, rank: 6 });
  return facts;
}

function byImportance(facts: readonly Figure[]): number[] {
  return facts.map((_, place) => place)
    .sort((a, b) => facts[a]!.rank - facts[b]!.rank);
}
