/**
 * Repairs of partitions as lines and rows.
 *
 * @module
 */
import { renderBar } from "../src/admin/figure_text.ts";
import type { RepairStatus } from "../src/handoff/transfer.ts";

/** A repair and where it happens. */
export interface NodeRepair extends RepairStatus {
  /** Who owns the partition. */
  readonly node: string;
}

/** How far a repair is, for people. */
export function repairText(repair: NodeRepair): string {
  const { partition, module, node, state, reason } = repair;
  return `Repair of ${module} partition ${partition} at ${node}: ${state}` +
    `, ${neighboursText(repair)}, ${repair.items} objects` +
    (reason === null ? "" : `: ${reason}`);
}

/** Neighbours that have given, and how many there are. */
export function neighboursText({ done, pending }: RepairStatus): string {
  const all = done.length + pending.length;
  return `${done.length} of ${all} neighbours`;
}

/** Repairs that belong together, on one line with a bar. */
export function repairProgress(repairs: readonly RepairStatus[]): string {
  const sum = (count: (repair: RepairStatus) => number): number =>
    repairs.reduce((total, repair) => total + count(repair), 0);
  const done = sum((repair) => repair.done.length);
  const all = done + sum((repair) => repair.pending.length);
  return `${renderBar(all === 0 ? 1 : done / all)}  ` +
    `${done} of ${all} neighbours · ${sum(({ items }) => items)} objects`;
}
