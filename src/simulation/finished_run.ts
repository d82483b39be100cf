/**
 * What a check sees of a run once its load is over, its faults have ended and
 * its nodes have settled: the cluster is up and can be asked.
 *
 * @module
 */
import type { WhorlNode } from "../node/node.ts";
import type { Violation } from "./checkers/violation.ts";
import type { OperationRecord } from "./history.ts";
import type { Schedule } from "./schedule/schedule.ts";

/** A run to be judged. */
export interface FinishedRun {
  /** What was run. */
  readonly schedule: Schedule;
  /** When the load began, in virtual milliseconds: what the times of its faults count from. */
  readonly loadBeganAtMs: number;
  /** Whether the members of the cluster were changed, and whether a machine was lost for good with all that it had. */
  readonly membership: { readonly changed: boolean; readonly lost: boolean };
  /** What the clients saw. */
  readonly history: readonly OperationRecord<unknown, unknown>[];
  /** The nodes, all up; ask any of them. */
  readonly nodes: readonly WhorlNode[];
  /**
   * Tries `ask` until it succeeds, for as long as a healed cluster may take.
   * What it gives up on is a violation, `progress`.
   */
  eventually<T>(what: string, ask: () => Promise<T>): Promise<T>;
  /** Virtual milliseconds, by the clock of the history. */
  now(): number;
  /** Waits so many virtual milliseconds. */
  sleep(ms: number): Promise<void>;
  /**
   * What each replica stores, read from its disk: each key of each partition
   * of each node, and its bytes.
   */
  stored(module: string): Promise<readonly StoredValue[]>;
}

/** A value on the disk of a node. */
export interface StoredValue {
  /** The host of the node. */
  readonly host: string;
  /** The partition whose vnode stored it. */
  readonly partition: number;
  /** The key, as the module wrote it. */
  readonly key: Uint8Array;
  /** Undefined if it is damaged. */
  readonly value: Uint8Array | undefined;
}

/** Judges a run; no violations is the only way to pass. */
export type RunCheck = (
  run: FinishedRun,
) => readonly Violation[] | Promise<readonly Violation[]>;
