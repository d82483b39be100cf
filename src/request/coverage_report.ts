/**
 * What a coverage query says of itself: whom it asked, what they answered for,
 * and what is missing. It comes with every answer, whole or not.
 *
 * @module
 */

/** What a vnode did in a coverage query. */
export type CoverageVnodeState =
  /** It answered for all it was asked for. */
  | "answered"
  | "failed"
  /** It has not answered for all of it by the time the query ended. */
  | "open";

/** One vnode that was asked, and for what. */
export interface CoverageVnodeReport {
  /** The partition of the vnode. */
  readonly partition: number;
  /** Name of the node it is on. */
  readonly node: string;
  /** Key spaces it was asked for: the first owners of the keys that were wanted of it. */
  readonly keySpaces: readonly number[];
  /** What came of it. */
  readonly state: CoverageVnodeState;
  /** Why it failed, if it did. Others were asked in its place where there were any. */
  readonly error?: { readonly code: string; readonly message: string };
}

/** What a coverage query covered. */
export interface CoverageReport {
  /** Whether every key space was answered for by as many vnodes as were wanted. */
  readonly complete: boolean;
  /** The ring it was planned on: counts up with every change the coordinating node sees. */
  readonly ringVersion: number;
  /** Key spaces there are, one for each partition. */
  readonly ringSize: number;
  /** Vnodes in the order in which they were chosen, those included that stood in for one that failed. */
  readonly asked: readonly CoverageVnodeReport[];
  /** Key spaces that were answered for as often as wanted, ascending. */
  readonly answered: readonly number[];
  /** The other ones, ascending. */
  readonly missing: readonly number[];
}
