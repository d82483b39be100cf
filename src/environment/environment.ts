/**
 * The one seam between Whorl and the world: time, timers, chance, secrets,
 * network, storage, other threads and processes, and the log. A node gets one
 * of these and reaches for nothing else, so a whole cluster can run in one
 * thread from a seed.
 *
 * @module
 */
import type { Runtime } from "../../supervisors/runtime.ts";
import type { Chance } from "../base/chance.ts";
import type { Disk } from "./disk.ts";
import type { Store, StoreConfig } from "./storage.ts";
import type { Transport } from "./transport.ts";
import type { Log } from "./log.ts";

/** Everything outside that a node depends on. */
export interface Environment extends Runtime {
  /** Wall clock in milliseconds since 1970; may jump. */
  wallClock(): number;
  /** Seeded chance, for choices. Never for secrets. */
  readonly chance: Chance;
  /** `count` bytes that cannot be guessed, for nonces and identities. */
  secretBytes(count: number): Uint8Array<ArrayBuffer>;
  /** How bytes reach other nodes. */
  readonly transport: Transport;
  /** Where files are, and databases. */
  readonly disk: Disk;
  /** Opens a store. @throws {WhorlError} One of the `store_…` codes, naming the file. */
  openStore(config: StoreConfig): Promise<Store>;
  /** Where things are told to the operator. */
  readonly log: Log;
  /** What the system says of this process now. */
  processFigures(): ProcessFigures;
}

/** What a system knows of one of its processes. */
export interface ProcessFigures {
  /** Its number, by which it can be found and ended. */
  readonly processId: number;
  /** Memory it has, in bytes. */
  readonly rssBytes: number;
  /** Memory that JavaScript objects of this thread use, in bytes. */
  readonly heapUsedBytes: number;
  /** Memory beside the heap that such objects hold, in bytes. */
  readonly externalBytes: number;
}

/** The part of it that stores need. */
export type StorageEnvironment =
  & Runtime
  & Pick<Environment, "disk" | "secretBytes">;
