/**
 * Holds `kv` to stay available while nodes are dead: fallbacks stand in for
 * them, so once their death is known every operation with a sloppy quorum is
 * carried out, by a single node if no more are left.
 *
 * It asks that of the calm parts of a run only: on a network that loses nothing,
 * with nothing wrong but dead nodes, and not just after something was.
 *
 * @module
 */
import type { OperationRecord } from "../history.ts";
import type { PlannedFault, Schedule } from "../schedule/schedule.ts";
import type { KvInput, KvOutput } from "./kv_history.ts";
import type { Violation } from "./violation.ts";

/** Time in which every node notices that a process has died, in milliseconds: its system resets its connections. */
export const DEATH_NOTICED_AFTER_MS = 500;
/** Time in which every node notices that a machine has lost power, in milliseconds: 2.5 s of silence, and the way to who routes requests. */
export const SILENCE_NOTICED_AFTER_MS = 3_500;
/** Time in which a cluster is back in order after a fault, in milliseconds. */
export const ORDERED_AFTER_MS = 6_000;

interface Trouble {
  readonly fromMs: number;
  readonly toMs: number;
  /** The node that is dead and when that is known, or undefined if it is another trouble. */
  readonly death:
    | { readonly node: number; readonly knownAtMs: number }
    | undefined;
}

/** Names the operations that had to be carried out and were not. @param loadBeganAtMs What the times of faults count from. */
export function checkAvailability(
  records: readonly OperationRecord<KvInput, KvOutput>[],
  { nodes, loadMs, network, faults }: Schedule,
  loadBeganAtMs: number,
): readonly Violation[] {
  if (network.lossProbability > 0) return [];
  const troubles = faults.map((fault): Trouble => ({
    fromMs: loadBeganAtMs + fault.atMs,
    toMs: loadBeganAtMs + Math.min(fault.atMs + fault.forMs, loadMs),
    death: deathIn(fault, loadBeganAtMs + fault.atMs),
  }));
  const violations: Violation[] = [];
  for (const record of records) {
    const { id, key, client, input, outcome, error, invokedAtMs } = record;
    const { returnedAtMs = Infinity } = record;
    if (outcome === "ok" || input.quorum !== "sloppy") continue;
    const dead = new Set<number>();
    const isCalm = troubles.every((trouble) => {
      if (trouble.toMs + ORDERED_AFTER_MS <= invokedAtMs) return true;
      if (trouble.fromMs > returnedAtMs) return true;
      if (
        trouble.death === undefined || trouble.toMs < returnedAtMs ||
        trouble.death.knownAtMs > invokedAtMs
      ) return false;
      dead.add(trouble.death.node);
      return true;
    });
    if (!isCalm || dead.size >= nodes) continue;
    violations.push({
      check: "availability",
      message: `Key ${
        JSON.stringify(key)
      }: operation ${id}, a ${input.type} of ${client} at ${invokedAtMs} ms, failed with ${
        error ?? "no reason"
      } while ${
        dead.size === 0 ? "nothing was wrong" : `only dead nodes were wrong`
      }`,
      key,
      operations: [id],
    });
  }
  return violations;
}

function deathIn(fault: PlannedFault, fromMs: number): Trouble["death"] {
  switch (fault.type) {
    case "kill":
      return { node: fault.node, knownAtMs: fromMs + DEATH_NOTICED_AFTER_MS };
    case "power_loss":
      return { node: fault.node, knownAtMs: fromMs + SILENCE_NOTICED_AFTER_MS };
    default:
      return undefined;
  }
}
