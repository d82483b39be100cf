/**
 * What clients ask of a simulated cluster. A workload is a function that
 * carries out one operation; the simulation calls it for every number of the
 * schedule, spread over time and over clients, and records what the client saw.
 *
 * @module
 */
import type { Chance } from "../base/chance.ts";
import type { KvClient } from "../kv/kv_client.ts";
import type { ModuleClient, ModuleInterface } from "../node/module_client.ts";
import type { RaKvClient } from "../ra_kv/ra_kv_client.ts";
import type { VnodeCommands } from "../vnode/vnode.ts";

/** A way into the cluster: a node's own, or a client connection's. */
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
  /** Who carries it out; a client has one operation at a time. */
  readonly client: string;
  /** Chance of this operation alone: what it draws does not depend on other operations. */
  readonly chance: Chance;
  /** What this client remembers from one of its operations to the next. */
  readonly session: Map<string, unknown>;
  /** Virtual milliseconds. */
  now(): number;
  /** Waits so many virtual milliseconds. */
  sleep(ms: number): Promise<void>;
  /**
   * Carries out `act` through some node that runs and records what came of it:
   * `ok` with what it gave, `failed` if it certainly did not happen, `unknown`
   * if nobody can say, which includes that the node died over it. An answer
   * that has not come by the operation's deadline is a violation.
   *
   * @param key What it is about; checkers look at each key by itself.
   * @param input What was asked, as plain data.
   * @param timeoutMs The deadline it was given, in milliseconds. @default {5000}
   * @returns What `act` gave, or undefined if it failed.
   */
  record<Output>(
    key: string,
    input: unknown,
    act: (access: ClusterAccess) => Promise<Output>,
    timeoutMs?: number,
  ): Promise<Output | undefined>;
}

/** Carries out one operation. It may record several steps, such as a read and a write that depends on it. */
export type Workload = (operation: WorkloadOperation) => Promise<void>;
