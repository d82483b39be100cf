/**
 * What every checker answers with: the places where a run broke its promises.
 * No violations is the only way to pass.
 *
 * @module
 */

/**
 * The check of a violation that says: this could not be decided. A run with
 * one has not passed, though nothing is known to be wrong.
 */
export const UNDECIDED = "undecided";

/** One promise that did not hold, or was not shown to hold. */
export interface Violation {
  /** Which check found it, in snake_case. */
  readonly check: string;
  /** What was expected and what is there, for a person to start from. */
  readonly message: string;
  /** The key it is about. */
  readonly key?: string;
  /** Ids of the operations it shows in, in the order in which they were invoked. */
  readonly operations?: readonly number[];
  /** What else there is to look at, as plain data. */
  readonly details?: unknown;
}
