/**
 * Assertions about our own code. A broken one is a bug, never bad input: the
 * process that finds it dies and its supervisor restarts it, so an
 * {@linkcode InvariantError} is never caught to continue.
 *
 * @module
 */

/** An assertion about our own code failed. */
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
