/**
 * How long to wait before trying again: longer with each failure, up to a
 * bound, and partly left to chance, so that those which failed together do not
 * come back together.
 *
 * @module
 */

/** Pauses between one attempt and the next, growing while attempts fail. */
export interface Backoff {
  /** The first pause, in milliseconds. */
  readonly minMs: number;
  /**
   * Longest pause, in milliseconds. A child that has run for longer than this
   * begins again with the shortest, or with none if there is `atOnce`.
   */
  readonly maxMs: number;
  /** Attempts without a pause, before the pauses begin with `minMs`. @default {0} */
  readonly atOnce?: number;
  /** What each pause is multiplied with to get the next. @default {2} */
  readonly factor?: number;
  /** Share of each pause left to chance, 0 to 1. @default {0.2} */
  readonly jitter?: number;
}

/** Refuses pauses that cannot be. @throws {RangeError} If a number is out of its range. */
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
