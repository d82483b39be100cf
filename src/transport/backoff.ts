/**
 * How long to wait before trying again.
 *
 * @module
 */

/** Bounds of the wait, in milliseconds. */
export interface Backoff {
  /** Wait after the first failure, before jitter. */
  readonly firstMs: number;
  /** Longest wait. */
  readonly maxMs: number;
}

/**
 * Milliseconds to wait after `failures` failures in a row (at least 1): doubling
 * up to the bound, and the upper half of it left to chance, so that nodes which
 * failed together do not come back together.
 *
 * @param random A number in [0, 1).
 */
export function backoffMs(
  failures: number,
  { firstMs, maxMs }: Backoff,
  random: number,
): number {
  const full = Math.min(maxMs, firstMs * 2 ** Math.min(failures - 1, 30));
  return full / 2 + random * full / 2;
}
