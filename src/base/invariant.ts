/**
 * Promises the code makes to itself. A broken one is a bug here, never bad
 * input: the process that finds it dies and its supervisor starts it afresh,
 * so nobody catches an {@linkcode InvariantError} to go on.
 *
 * @module
 */

/** A promise of our own code did not hold. */
export class InvariantError extends Error {
  override name = "InvariantError";
}

/**
 * Throws unless `condition` holds.
 *
 * @param condition What must be true.
 * @param rule The rule in words, as it reads when it holds.
 * @throws {InvariantError} If it does not hold.
 */
export function invariant(condition: boolean, rule: string): asserts condition {
  if (!condition) throw new InvariantError(`Broken invariant: ${rule}`);
}
