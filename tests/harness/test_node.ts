/**
 * A node under test, whichever kind it is: what scenarios may do with it. An
 * in-process node carries this out itself; a node in a process of its own is
 * told over its standard input.
 *
 * @module
 */
import type {
  CapabilityOverride,
  CapabilityStatus,
} from "../../src/cluster/capability.ts";
import type {
  ClusterStatus,
  RingReadyResult,
  RingStatus,
} from "../../src/cluster/cluster_status.ts";
import type {
  JoinOptions,
  JoinResult,
  ResizeResult,
  StageResult,
} from "../../src/cluster/cluster_world.ts";
import type { Address } from "../../src/environment/transport.ts";
import type { TransferStatus } from "../../src/handoff/transfer.ts";
import type { KvClient } from "../../src/kv/kv_client.ts";
import type {
  HandoffConfig,
  HandoffStatus,
  RepairStatus,
  TransferDirection,
} from "../../src/handoff/transfer.ts";
import { performCall } from "../../src/node/admin_methods.ts";
import type {
  ConsistentBuckets,
  HeldPartitions,
  NodeInfo,
  NodeStats,
} from "../../src/node/admin_protocol.ts";
import type { WhorlNode } from "../../src/node/node.ts";
import type { NodeOptions } from "../../src/node/node_options.ts";
import type { ClusterPlace } from "../../src/ra_kv/ra_kv_protocol.ts";
import type { StagedPlan } from "../../src/ring/staged_plan.ts";
import type { TreeNode } from "../../supervisors/tree_view.ts";
import type { EventLog } from "./event_log.ts";
import { runningChild } from "./node_parts_view.ts";

/** What a node can be asked; `NODE_METHODS` carries it out. */
export interface NodeControl {
  join(address: Address, options?: JoinOptions): Promise<JoinResult>;
  leave(node?: string): Promise<StageResult>;
  forceRemove(node: string): Promise<StageResult>;
  replace(node: string, replacement: string): Promise<StageResult>;
  forceReplace(node: string, replacement: string): Promise<StageResult>;
  down(node: string): Promise<void>;
  resizeRing(ringSize: number): Promise<ResizeResult>;
  abortResize(): Promise<ResizeResult>;
  plan(): Promise<StagedPlan>;
  commit(planId?: string): Promise<{ planId: string }>;
  clear(): Promise<{ nodes: readonly string[] }>;
  clusterStatus(): Promise<ClusterStatus>;
  ringStatus(): Promise<RingStatus>;
  ringReady(): Promise<RingReadyResult>;
  services(): Promise<Record<string, readonly string[]>>;
  capability(name: string): Promise<string>;
  capabilities(): Promise<readonly CapabilityStatus[]>;
  overrideCapability(
    name: string,
    override: CapabilityOverride | null,
  ): Promise<void>;
  markConsistent(bucket: string): Promise<void>;
  consistentBuckets(): Promise<ConsistentBuckets>;
  /** The Raft groups that the nodes know, by name. */
  groups(): Promise<readonly ClusterPlace[]>;
  /** Its transfers; none while its handoff does not run. */
  transfers(): Promise<readonly TransferStatus[]>;
  settled(waitMs: number): Promise<boolean>;
  info(): Promise<NodeInfo>;
  stats(): Promise<NodeStats>;
  tree(): Promise<TreeNode>;
  handoff(): Promise<HandoffStatus>;
  setTransferLimit(concurrency: number): Promise<HandoffConfig>;
  setHandoffEnabled(
    direction: TransferDirection,
    enabled: boolean,
  ): Promise<HandoffConfig>;
  held(): Promise<HeldPartitions>;
  repair(partition: number): Promise<readonly RepairStatus[]>;
  repairs(): Promise<readonly RepairStatus[]>;
  /** Kills the part of its tree at `path`; false if it does not run just now. */
  killPart(path: readonly string[]): Promise<boolean>;
}

/** How each method of {@linkcode NodeControl} is carried out on a node. */
export const NODE_METHODS: {
  readonly [M in keyof NodeControl]: (
    node: WhorlNode,
    ...args: Parameters<NodeControl[M]>
  ) =>
    | Awaited<ReturnType<NodeControl[M]>>
    | ReturnType<NodeControl[M]>;
} = {
  join: (node, address, options) => node.join(address, options ?? undefined),
  leave: (node, name) => node.leave(name ?? undefined),
  forceRemove: (node, name) => node.forceRemove(name),
  replace: (node, name, by) => node.replace(name, by),
  forceReplace: (node, name, by) => node.forceReplace(name, by),
  down: (node, name) => node.down(name),
  resizeRing: (node, ringSize) => node.resizeRing(ringSize),
  abortResize: (node) => node.abortResize(),
  plan: (node) => node.plan(),
  commit: (node, planId) => node.commit(planId),
  clear: (node) => node.clear(),
  clusterStatus: (node) => node.clusterStatus(),
  ringStatus: (node) => node.ringStatus(),
  ringReady: (node) => node.ringReady(),
  services: (node) => node.services(),
  capability: (node, name) => node.capability(name),
  capabilities: (node) => node.capabilities(),
  overrideCapability: (node, name, override) =>
    node.overrideCapability(name, override),
  markConsistent: (node, bucket) => node.markConsistent(bucket),
  consistentBuckets: (node) => node.consistentBuckets(),
  groups: async (node) => (await node.raKv.clusters()).clusters,
  transfers: (node) => node.parts.handoff?.status().transfers ?? [],
  settled: (node, waitMs) => node.settled(waitMs),
  info: (node) => node.info(),
  stats: (node) => node.stats(),
  tree: (node) => node.tree(),
  handoff: (node) => performCall(node, "handoff_status", {}) as HandoffStatus,
  setTransferLimit: (node, concurrency) =>
    performCall(node, "handoff_set_concurrency", {
      concurrency,
    }) as HandoffConfig,
  setHandoffEnabled: (node, direction, enabled) =>
    performCall(node, "handoff_set_enabled", {
      direction,
      enabled,
    }) as HandoffConfig,
  held: (node) =>
    performCall(node, "held_partitions", {}) as Promise<HeldPartitions>,
  repair: (node, partition) =>
    performCall(node, "repair", { partition }) as Promise<RepairStatus[]>,
  repairs: (node) => performCall(node, "repairs", {}) as RepairStatus[],
  killPart: (node, path) => {
    const part = runningChild(node, path);
    part?.kill();
    return part !== undefined;
  },
};

/** Makes a {@linkcode NodeControl} of a way to call its methods. */
export function nodeControl(
  call: (method: keyof NodeControl, args: unknown[]) => Promise<unknown>,
): NodeControl {
  const methods = Object.keys(NODE_METHODS) as (keyof NodeControl)[];
  return Object.fromEntries(
    methods.map((method) => [
      method,
      (...args: unknown[]) => call(method, args),
    ]),
  ) as unknown as NodeControl;
}

/** Options of a node that every kind of node understands: plain data. */
export type PlainNodeOptions = Omit<NodeOptions, "environment" | "modules"> & {
  /** Files of vnode modules. */
  readonly modules?: readonly string[];
};

/** A node under test. */
export interface TestNode extends AsyncDisposable {
  /** Its name, `devN@host`. */
  readonly name: string;
  /** Where it listens; the same after a restart. */
  readonly address: Address;
  /** `kv` through this node: inside it, or over a client connection to it alone. */
  readonly kv: KvClient;
  /** Its methods. */
  readonly control: NodeControl;
  /** What it has told, over all its lives. */
  readonly events: EventLog;
  /** Whether it runs. */
  readonly running: boolean;
  /** The node itself, if it runs in this process. */
  readonly inside: WhorlNode | undefined;
  /** Starts it with what it was made of, and `changes`. @throws {WhorlError} What kept it from starting. */
  start(changes?: Partial<PlainNodeOptions>): Promise<void>;
  /** Stops it in good order. */
  stop(): Promise<void>;
  /** Resolves when it has ended by itself. */
  ended(): Promise<unknown>;
  /** Ends it abruptly, as a power cut would: no goodbye, nothing written any more. */
  kill(): Promise<void>;
  /** Holds it still, as SIGSTOP does. @throws {Error} In this process. */
  pause(): void;
  /** Lets it go on. */
  resume(): void;
  /** Its last log lines. */
  log(): string;
}
