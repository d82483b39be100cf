/**
 * The seam between a node and the world, for those who supply another clock,
 * network, disk, store or log: the interfaces that a node uses, and no
 * implementations. A node uses its {@linkcode Environment} and nothing else, so
 * a whole cluster can run in one thread from a seed.
 *
 * Usually one part of the real environment is replaced:
 *
 * ```ts
 * import { startNode, systemEnvironment } from "@whorl/whorl";
 * import type { Log } from "@whorl/whorl/environment";
 *
 * const lines: string[] = [];
 * const log: Log = {
 *   debug: () => {},
 *   info: (message) => lines.push(message),
 *   warn: (message) => lines.push(message),
 *   error: (message) => lines.push(message),
 *   child: () => log,
 * };
 * await using node = await startNode({
 *   name: "dev1@127.0.0.1",
 *   cookie: "a secret all nodes share",
 *   environment: systemEnvironment(log),
 * });
 * ```
 *
 * @module
 */
export type { Environment, ProcessFigures } from "./environment.ts";
export type { Address, ByteStream, Listener, Transport } from "./transport.ts";
export {
  type Awaitable,
  type IntegrityReport,
  type PartitionStore,
  type RowSteps,
  type RowView,
  type ScanEntry,
  type ScanRange,
  type Store,
  type StoreConfig,
  storeLimits,
  type StoreState,
  type StoreStats,
  type StoreWrite,
  type StoreWriteOptions,
} from "./storage.ts";
export type {
  Disk,
  DiskEntry,
  DiskFile,
  DiskReader,
  KvAtomicOperation,
  KvCommitResult,
  KvDatabase,
  KvEntry,
  KvKey,
  KvRange,
  OpenFileOptions,
} from "./disk.ts";
export { type Log, type LogData, silentLog } from "./log.ts";
export { type Chance, seededChance } from "../base/chance.ts";
