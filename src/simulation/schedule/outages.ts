/**
 * Outages: times in which no node can serve. A run that is one outage for the
 * most part acknowledges next to nothing, and so proves nothing.
 *
 * @module
 */
import type { PlannedFault } from "./schedule.ts";

/** Longest share of the load in which no node can serve. */
export const OUTAGE_MAX = 0.4;

/**
 * Shortens faults so that for at most {@linkcode OUTAGE_MAX} of the load all
 * nodes are gone or cannot write at the same time. Earlier faults stay as they
 * are.
 *
 * @param faults By time.
 */
export function limitOutages(
  faults: readonly PlannedFault[],
  nodes: number,
  loadMs: number,
): PlannedFault[] {
  const limited: PlannedFault[] = [];
  for (const fault of faults) {
    let shorter = fault;
    while (
      shorter.forMs > 1 &&
      outageMs([...limited, shorter], nodes, loadMs) > OUTAGE_MAX * loadMs
    ) shorter = { ...shorter, forMs: shorter.forMs / 2 };
    limited.push(shorter);
  }
  return limited;
}

/** How much of the load passes while no node can serve. */
export function outageMs(
  faults: readonly PlannedFault[],
  nodes: number,
  loadMs: number,
): number {
  const outs = faults.flatMap((fault) => {
    const node = disabledBy(fault);
    const { atMs, forMs } = fault;
    return node === undefined ? [] : [{ node, atMs, endMs: atMs + forMs }];
  });
  const edges = [0, loadMs, ...outs.flatMap(({ atMs, endMs }) => [atMs, endMs])]
    .filter((edge) => edge <= loadMs).sort((a, b) => a - b);
  let sum = 0;
  for (const [i, from] of edges.entries()) {
    const to = edges[i + 1] ?? loadMs;
    const disabled = new Set(
      outs.filter(({ atMs, endMs }) => atMs <= from && from < endMs)
        .map(({ node }) => node),
    );
    if (disabled.size === nodes) sum += to - from;
  }
  return sum;
}

/** The node that can serve nothing while the fault lasts, or next to nothing. */
function disabledBy(fault: PlannedFault): number | undefined {
  switch (fault.type) {
    case "kill":
    case "power_loss":
    case "bit_rot":
    case "declared_down":
    case "pause":
    case "disk_full":
    case "disk_errors":
      return fault.node;
    default:
      return undefined;
  }
}
