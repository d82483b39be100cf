/**
 * What is attacked: a store with a load on it, and what it promises. The rounds
 * of `nemesis.ts` are the same for each.
 *
 * @module
 */
import type { Violation } from "../../src/simulation/checkers/violation.ts";
import type { OperationRecord } from "../../src/simulation/history.ts";
import type { Fault } from "./fault.ts";
import type { Load } from "./load_clients.ts";
import type { NemesisCluster } from "./nemesis_cluster.ts";

/** What a store is given by the run that attacks it. */
export interface AttackSetting {
  readonly seed: string;
  /** The clock of the history, in milliseconds. */
  readonly now: () => number;
  /** Takes each record as it begins and as it ends. */
  readonly onRecord: (record: OperationRecord<unknown, unknown>) => void;
  readonly tell: (line: string) => void;
  readonly signal: AbortSignal;
}

/** A kind of store. */
export interface AttackedStoreKind {
  /** Its name, as a run's summary has it. */
  readonly name: string;
  /** What can be done to it. */
  readonly faults: readonly Fault[];
  /** Where the vnodes of its nodes store. */
  readonly storage: "memory" | "deno_kv";
  /** Makes one for a run. */
  make(setting: AttackSetting): AttackedStore;
}

/** A store on the cluster of a run. */
export interface AttackedStore {
  /** What clients saw, by id. */
  readonly records: readonly OperationRecord<unknown, unknown>[];
  /** Makes it ready, before the first round. */
  prepare(cluster: NemesisCluster): Promise<void>;
  /** What is special about the load of a round, for the terminal. @default {nothing} */
  roundWords?(round: number): string;
  /** Begins the load of a round; they are numbered from 1. */
  startRound(round: number, cluster: NemesisCluster): Load;
  /** Whether an operation of the load counts towards the least that must be done. @default {each does} */
  counts?(record: OperationRecord<unknown, unknown>): boolean;
  /** The load of the newest round has ended. */
  endRound(): void;
  /** Waits until all nodes agree on what it holds, and returns on how many keys; or what is different at `deadline` by `performance.now()`. */
  converge(cluster: NemesisCluster, deadline: number): Promise<number | string>;
  /** What was promised and did not hold, once it has converged. */
  judge(): readonly Violation[];
  /** What is wrong when all rounds are over, and says what it has looked at. The cluster has converged. */
  checkEnd(cluster: NemesisCluster): Promise<readonly Violation[]>;
}
