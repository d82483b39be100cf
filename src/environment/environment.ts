/**
 * The seam between Whorl and the world: time, timers, randomness, secrets,
 * network, storage, other threads and processes, and the log. A node uses its
 * environment and nothing else, so a whole cluster can run in one thread from a
 * seed.
 *
 * @module
 */
import type { Runtime } from "../../supervisors/runtime.ts";
import type { Chance } from "../base/chance.ts";
import type { Disk } from "./disk.ts";
import type { Store, StoreConfig } from "./storage.ts";
import type { Transport } from "./transport.ts";
import type { Log } from "./log.ts";

/** Everything outside itself that a node depends on. */
export interface Environment extends Runtime {
  /** Wall clock in milliseconds since 1970; may jump. */
  wallClock(): number;
  /** Seeded randomness, for choices. Never for secrets. */
  readonly chance: Chance;
  /** `count` unpredictable bytes, for nonces and identities. */
  secretBytes(count: number): Uint8Array<ArrayBuffer>;
  /** How bytes reach other nodes. */
  readonly transport: Transport;
  /** Where files are, and databases. */
  readonly disk: Disk;
  /** Opens a store. @throws {WhorlError} One of the `store_…` codes, naming the file. */
  openStore(config: StoreConfig): Promise<Store>;
  /** The log for the operator. */
  readonly log: Log;
  /** The system's figures of this process. */
  processFigures(): ProcessFigures;
}

/** The system's figures of a process. */
export interface ProcessFigures {
  /** Its process id. */
  readonly processId: number;
  /** Memory it has, in bytes. */
  readonly rssBytes: number;
  /** Memory that JavaScript objects of this thread use, in bytes. */
  readonly heapUsedBytes: number;
  /** Memory beside the heap that such objects hold, in bytes. */
  readonly externalBytes: number;
}

/** The part of the environment that stores need. */
export type StorageEnvironment =
  & Runtime
  & Pick<Environment, "disk" | "secretBytes">;
