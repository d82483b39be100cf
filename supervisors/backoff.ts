/**
 * Exponential backoff: pauses between attempts that grow with each failure, up
 * to a bound, with some jitter, so that children that failed together do not
 * retry together.
 *
 * @module
 */

/** Pauses between attempts, growing while attempts fail. */
export interface Backoff {
  /** The first pause, in milliseconds. */
  readonly minMs: number;
  /**
   * Longest pause, in milliseconds. A child that has run for longer than this
   * starts over with the shortest pause, or with none if there is `atOnce`.
   */
  readonly maxMs: number;
  /** Attempts without a pause, before the pauses begin with `minMs`. @default {0} */
  readonly atOnce?: number;
  /** Factor from one pause to the next. @default {2} */
  readonly factor?: number;
  /** Random share of each pause, from 0 to 1. @default {0.2} */
  readonly jitter?: number;
}

/** Validates backoff options. @throws {RangeError} If a number is out of its range. */
export function checkBackoff(backoff: Backoff): void {
  const { minMs, maxMs, atOnce = 0, factor = 2, jitter = 0.2 } = backoff;
  if (!(minMs >= 0 && maxMs >= minMs && maxMs < Infinity)) {
    throw new RangeError(
      `Cannot use backoff as 0 <= minMs <= maxMs must hold: current values are ${minMs} and ${maxMs}`,
    );
  }
  if (!(atOnce >= 0)) {
    throw new RangeError(
      `Cannot use backoff as 'atOnce' must be at least 0: current value is ${atOnce}`,
    );
  }
  if (!(factor >= 1)) {
    throw new RangeError(
      `Cannot use backoff as 'factor' must be at least 1: current value is ${factor}`,
    );
  }
  if (!(jitter >= 0 && jitter <= 1)) {
    throw new RangeError(
      `Cannot use backoff as 'jitter' must be between 0 and 1: current value is ${jitter}`,
    );
  }
}

/**
 * The pause before attempt number `attempt` (0 is the first after a failure), in
 * milliseconds. `chance` is a number in [0, 1).
 */
export function backoffDelayMs(
  backoff: Backoff,
  attempt: number,
  chance: number,
): number {
  const { minMs, maxMs, atOnce = 0, factor = 2, jitter = 0.2 } = backoff;
  if (attempt < atOnce) return 0;
  // Finite, since a pause of 0 must stay 0 after a thousand failures.
  const growth = Math.min(factor ** (attempt - atOnce), Number.MAX_VALUE);
  return Math.min(maxMs, minMs * growth) * (1 - jitter * chance);
}
