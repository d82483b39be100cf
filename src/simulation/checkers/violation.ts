/**
 * What every checker returns: the promises that a run broke. An empty list is
 * the only way to pass.
 *
 * @module
 */

/**
 * The check of a violation that says that something could not be decided. The
 * run has not passed, although nothing is known to be wrong.
 */
export const UNDECIDED = "undecided";

/** One promise that was broken, or could not be shown to hold. */
export interface Violation {
  /** The check that found it, in snake_case. */
  readonly check: string;
  /** What was expected and what was found, for a person to start from. */
  readonly message: string;
  /** The key, if it is about one. */
  readonly key?: string;
  /**
   * Ids of the operations that show it, in the order in which they were
   * invoked.
   */
  readonly operations?: readonly number[];
  /** Further data for diagnosis, as plain data. */
  readonly details?: unknown;
}
