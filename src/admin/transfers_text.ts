/**
 * Transfers as `riak-admin transfers` shows them: what waits at each node, and
 * a block for each transfer in progress.
 *
 * @module
 */
import { formatBytes, formatDuration, renderBar } from "./figure_text.ts";
import type { TransferStatus } from "../handoff/transfer.ts";
import { quotedName } from "../ring/text_table.ts";
import {
  type ClusterTransfers,
  isActive,
  shareOf,
  type WaitingNode,
} from "./cluster_transfers.ts";

/** Shown when no transfer is in progress. */
export const NO_TRANSFERS_TEXT = "No transfers active\n";

/** Columns of a block. */
const BLOCK_COLUMNS = 79;
/** Most reasons shown for a node's waiting partitions. */
const REASONS_MAX = 2;

/** The report. `nowMs` is the wall clock, in milliseconds since 1970. */
export function transfersText(
  { waiting, active }: ClusterTransfers,
  nowMs: number,
): string {
  const lines = waiting.map((node) => `${waitingLine(node)}\n`).join("");
  if (active.length === 0) return lines + NO_TRANSFERS_TEXT;
  return `${lines}${lines === "" ? "" : "\n"}Active Transfers:\n\n` +
    active.map((transfer) => block(transfer, nowMs)).join("\n");
}

/** One line on the partitions that wait at a node. */
export function waitingLine(
  { node, partitions, reasons = [] }: WaitingNode,
): string {
  const what = partitions === 1 ? "1 partition" : `${partitions} partitions`;
  const more = reasons.length > REASONS_MAX ? "; ..." : "";
  const why = reasons.length === 0
    ? ""
    : `: ${reasons.slice(0, REASONS_MAX).join("; ")}${more}`;
  return `${quotedName(node)} waiting to handoff ${what}${why}`;
}

/** A transfer on one line: its progress, and what it waits for. */
export function transferLine(transfer: TransferStatus): string {
  const { module, state, items, itemsTotal, itemsPerSecond } = transfer;
  const share = shareOf(transfer);
  const facts = [
    state +
    (share === undefined || !isActive(transfer)
      ? ""
      : ` ${Math.floor(share * 100)}%`),
    isActive(transfer)
      ? `${items}${itemsTotal === null ? "" : ` of ${itemsTotal}`} objects`
      : undefined,
    itemsPerSecond > 0 ? `${Math.round(itemsPerSecond)}/s` : undefined,
    transfer.failures > 0 ? `failures: ${transfer.failures}` : undefined,
    transfer.reason ?? undefined,
  ];
  return `${module}: ${facts.filter((fact) => fact !== undefined).join(", ")}`;
}

function block(transfer: TransferStatus, nowMs: number): string {
  const { sourcePartition, targetPartition, startedAtMs } = transfer;
  const share = shareOf(transfer);
  const facts: [string, string | undefined][] = [
    ["transfer type", transfer.kind],
    ["vnode type", transfer.module],
    ["partition", String(sourcePartition)],
    [
      "target partition",
      targetPartition === sourcePartition ? undefined : String(targetPartition),
    ],
    ["state", transfer.state],
    [
      "started",
      startedAtMs === null ? undefined : startedText(startedAtMs, nowMs),
    ],
    [
      "objects transferred",
      String(transfer.items) +
      (transfer.itemsTotal === null ? "" : ` of ${transfer.itemsTotal}`),
    ],
    ["bytes transferred", formatBytes(transfer.bytes)],
    [
      "failures so far",
      transfer.failures === 0 ? undefined : String(transfer.failures),
    ],
    ["remark", transfer.reason ?? undefined],
  ];
  return facts.map(([name, fact]) =>
    fact === undefined ? "" : `${name}: ${fact}\n`
  ).join("") + "\n" +
    centred(`${Math.round(transfer.itemsPerSecond)} objects/s`) +
    centred(`${transfer.source} =======> ${targetText(transfer)}`) +
    (share === undefined ? "" : centred(renderBar(share))) +
    centred(`${formatBytes(Math.round(transfer.bytesPerSecond))}/s`);
}

/** A resize spreads the data of a partition over all nodes. */
function targetText({ target }: TransferStatus): string {
  return target === "*" ? "all nodes" : target;
}

function startedText(startedAtMs: number, nowMs: number): string {
  const at = Temporal.Instant.fromEpochMilliseconds(startedAtMs)
    .toString({ smallestUnit: "second" }).replace("T", " ");
  // The clock of another machine may be ahead of ours.
  return `${at} [${formatDuration(Math.max(0, nowMs - startedAtMs))} ago]`;
}

function centred(text: string): string {
  const left = Math.max(0, (BLOCK_COLUMNS - text.length) >> 1);
  return `${" ".repeat(left)}${text.trimEnd()}\n`;
}
