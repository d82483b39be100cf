/**
 * What a check sees of a run after its load and faults have ended and its nodes
 * have settled: the cluster is up and can be queried.
 *
 * @module
 */
import type { WhorlNode } from "../node/node.ts";
import type { Violation } from "./checkers/violation.ts";
import type { OperationRecord } from "./history.ts";
import type { Schedule } from "./schedule/schedule.ts";

/** A run to be checked. */
export interface FinishedRun {
  /** The schedule that was run. */
  readonly schedule: Schedule;
  /**
   * When the load began, in virtual milliseconds: the origin of the times of
   * its faults.
   */
  readonly loadBeganAtMs: number;
  /**
   * Whether the members of the cluster were changed, and whether a machine was
   * lost for good with its data.
   */
  readonly membership: { readonly changed: boolean; readonly lost: boolean };
  /** What the clients saw. */
  readonly history: readonly OperationRecord<unknown, unknown>[];
  /** The nodes, all of them up. */
  readonly nodes: readonly WhorlNode[];
  /**
   * Retries `ask` until it succeeds, for as long as a healed cluster may take.
   * If it gives up, that is a violation of `progress`.
   */
  eventually<T>(what: string, ask: () => Promise<T>): Promise<T>;
  /** Virtual time in milliseconds, on the clock of the history. */
  now(): number;
  /** Waits for so many virtual milliseconds. */
  sleep(ms: number): Promise<void>;
  /**
   * What each replica stores, read from its disk: every key of every partition
   * on every node, with its bytes.
   */
  stored(module: string): Promise<readonly StoredValue[]>;
}

/** A value on the disk of a node. */
export interface StoredValue {
  /** The host of the node. */
  readonly host: string;
  /** The partition whose vnode stored it. */
  readonly partition: number;
  /** The key, as written by the module. */
  readonly key: Uint8Array;
  /** Undefined if it is damaged. */
  readonly value: Uint8Array | undefined;
}

/** Checks a run; it passes only without violations. */
export type RunCheck = (
  run: FinishedRun,
) => readonly Violation[] | Promise<readonly Violation[]>;
