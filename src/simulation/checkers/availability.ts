/**
 * Checks that `kv` stays available while nodes are dead: fallbacks stand in for
 * them, so once a death is known every operation with a sloppy quorum succeeds,
 * even on a single remaining node.
 *
 * This is required only in the calm parts of a run: no packet loss, no faults
 * other than dead nodes, and not immediately after a fault.
 *
 * @module
 */
import type { OperationRecord } from "../history.ts";
import type { PlannedFault, Schedule } from "../schedule/schedule.ts";
import type { KvInput, KvOutput } from "./kv_history.ts";
import type { Violation } from "./violation.ts";

/**
 * Time until every node has noticed that a process died, in milliseconds: the
 * operating system resets its connections.
 */
export const DEATH_NOTICED_AFTER_MS = 500;
/**
 * Time until every node has noticed that a machine lost power, in milliseconds:
 * 2.5 s of silence, plus the way to the router of requests.
 */
export const SILENCE_NOTICED_AFTER_MS = 3_500;
/** Time until a cluster has recovered from a fault, in milliseconds. */
export const ORDERED_AFTER_MS = 6_000;

interface Trouble {
  readonly fromMs: number;
  readonly toMs: number;
  /**
   * The dead node and when its death is known; undefined for any other fault.
   */
  readonly death:
    | { readonly node: number; readonly knownAtMs: number }
    | undefined;
}

/**
 * Reports operations that should have succeeded and did not.
 *
 * @param loadBeganAtMs Origin of the times of faults.
 */
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
