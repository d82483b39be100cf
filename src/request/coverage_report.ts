/**
 * The report of a coverage query: the vnodes it asked, the key spaces they
 * answered for, and those that are missing. Every answer has one, complete or
 * not.
 *
 * @module
 */

/** The state of a vnode in a coverage query. */
export type CoverageVnodeState =
  /** It answered for everything it was asked for. */
  | "answered"
  | "failed"
  /** It had not answered for all of it when the query ended. */
  | "open";

/** One vnode that was asked, and the key spaces it was asked for. */
export interface CoverageVnodeReport {
  /** The partition of the vnode. */
  readonly partition: number;
  /** Name of the node it is on. */
  readonly node: string;
  /** Key spaces it was asked for, by the first partition of a key's preference list. */
  readonly keySpaces: readonly number[];
  /** What came of it. */
  readonly state: CoverageVnodeState;
  /** Why it failed, if it did. Other vnodes were asked in its place, if there were any. */
  readonly error?: { readonly code: string; readonly message: string };
}

/** What a coverage query covered. */
export interface CoverageReport {
  /** Whether every key space was reported by as many vnodes as requested. */
  readonly complete: boolean;
  /** Version of the ring it was planned on, which increases with every change that the coordinating node sees. */
  readonly ringVersion: number;
  /** Key spaces there are, one for each partition. */
  readonly ringSize: number;
  /** Vnodes in the order in which they were chosen, including replacements of failed ones. */
  readonly asked: readonly CoverageVnodeReport[];
  /** Key spaces that were reported as often as requested, ascending. */
  readonly answered: readonly number[];
  /** The other ones, ascending. */
  readonly missing: readonly number[];
}
