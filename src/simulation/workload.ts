/**
 * What clients ask of a simulated cluster. A workload is a function that
 * performs one operation; the simulation calls it for every operation number of
 * the schedule, spread over time and clients, and records what the client saw.
 *
 * @module
 */
import type { Chance } from "../base/chance.ts";
import type { KvClient } from "../kv/kv_client.ts";
import type { ModuleClient, ModuleInterface } from "../node/module_client.ts";
import type { RaKvClient } from "../ra_kv/ra_kv_client.ts";
import type { VnodeCommands } from "../vnode/vnode.ts";

/** Access to the cluster, through a node or a client connection. */
export interface ClusterAccess {
  /** `put`, `get` and `delete`. */
  readonly kv: KvClient;
  /** The commands of an application's module. */
  // deno-lint-ignore ban-types -- a module without coverage queries has a table with nothing in it.
  module<C extends VnodeCommands, V extends VnodeCommands = {}>(
    module: ModuleInterface<C, V>,
  ): ModuleClient<C, V>;
  /** Clusters of `ra_kv`. */
  readonly raKv: RaKvClient;
}

/** One operation of a client. */
export interface WorkloadOperation {
  /** Its number in the schedule. */
  readonly number: number;
  /** The client that performs it; a client has one operation at a time. */
  readonly client: string;
  /** Random draws of this operation alone: independent of other operations. */
  readonly chance: Chance;
  /** What this client remembers between its operations. */
  readonly session: Map<string, unknown>;
  /** Virtual milliseconds. */
  now(): number;
  /** Waits for so many virtual milliseconds. */
  sleep(ms: number): Promise<void>;
  /**
   * Performs `act` through some running node and records the outcome: `ok` with
   * its result, `failed` if it certainly did not happen, `unknown` if nobody
   * can say, which includes that the node died meanwhile. An answer that misses
   * the deadline of the operation is a violation.
   *
   * @param key Its key; checkers look at each key by itself.
   * @param input The operation, as plain data.
   * @param timeoutMs Its deadline, in milliseconds.
   * @default {5000}
   * @returns The result of `act`, or undefined if it failed.
   */
  record<Output>(
    key: string,
    input: unknown,
    act: (access: ClusterAccess) => Promise<Output>,
    timeoutMs?: number,
  ): Promise<Output | undefined>;
}

/**
 * Performs one operation. It may record several steps, such as a read and a
 * write that depends on it.
 */
export type Workload = (operation: WorkloadOperation) => Promise<void>;
