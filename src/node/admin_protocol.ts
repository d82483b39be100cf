/**
 * What can be asked of a running node from outside: the table of admin methods,
 * the key-value operations, and the session that carries both. Types only; the
 * arguments and results are plain data that MessagePack can carry.
 *
 * The command line and the prompt are written against this file, so they know
 * nothing of sockets, and a test can put a session of its own behind them.
 *
 * @module
 */
import type { TreeNode } from "../../supervisors/tree_view.ts";
import type { ErrorCode } from "../base/errors.ts";
import type {
  HandoffConfig,
  HandoffStatus,
  HeldPartition,
  RepairStatus,
  TransferDirection,
} from "../handoff/transfer.ts";
import type { RingResizePhase } from "../ring/ring_generations.ts";
import type { CapabilityStatus } from "../cluster/capability.ts";
import type { KvClient } from "../kv/kv_client.ts";
import type { RaKvClient } from "../ra_kv/ra_kv_client.ts";
import type { RingReadiness } from "../ring/admin_messages.ts";
import type { MemberRow, StagedPlan } from "../ring/staged_plan.ts";

/** Options every call takes. */
export interface CallOptions {
  /** Abandons the call; it fails with `cancelled`. */
  readonly signal?: AbortSignal | undefined;
  /** Time the call may take, in milliseconds. @default {the node's} */
  readonly timeoutMs?: number | undefined;
}

/** Who a node is and how it was started. */
export interface NodeInfo {
  /** Its name, `name@host`. */
  readonly node: string;
  /** Where it listens, `host:port`. */
  readonly address: string;
  /** Name of its cluster. */
  readonly cluster: string;
  /** Version of Whorl it runs. */
  readonly version: string;
  /** The operating system's id of its process. */
  readonly pid: number;
  /** Time since it has been up, in milliseconds. */
  readonly uptimeMs: number;
  /** Increases with each start of the node. */
  readonly incarnation: number;
  /** Partitions of its ring, a power of two. */
  readonly ringSize: number;
  /** Absolute path, or `null` if it keeps everything in memory. */
  readonly dataDirectory: string | null;
  /** What its vnodes store in. */
  readonly storage: "deno_kv" | "memory";
  /** Where its vnode masters run. */
  readonly placement: "worker" | "task" | "subprocess";
  /** How many vnode masters it has. */
  readonly masters: number;
}

/** A member's status, as riak_core names it. */
export type MemberStatus =
  | "joining"
  | "valid"
  | "leaving"
  | "exiting"
  | "down";

/** The members of a ring. */
export interface MemberTable {
  readonly ringSize: number;
  /** Partitions of the next ring, to which `nextPartitions` refers; absent if the ring is not being resized. */
  readonly nextRingSize?: number;
  /** In no particular order; tables sort them. */
  readonly members: readonly MemberRow[];
}

/** The cluster as a node sees it. */
export interface ClusterStatus extends MemberTable {
  readonly claimant: string;
  /** Whether all members agree on the ring. */
  readonly ringReady: boolean;
  /** Members this node cannot reach now. */
  readonly unreachable: readonly string[];
}

/** A partition that changes hands. */
export interface PendingTransfer {
  /** Index on the 160-bit ring, in decimal. */
  readonly index: string;
  readonly owner: string;
  readonly nextOwner: string;
  /** Vnode modules that have not handed over yet. */
  readonly waitingOn: readonly string[];
  /** Vnode modules that have. */
  readonly complete: readonly string[];
}

/** How far a resize of the ring is. */
export interface ResizeStatus {
  /** Partitions the ring will have. */
  readonly ringSize: number;
  /** How far it is; nodes of earlier versions do not say. */
  readonly phase?: RingResizePhase;
  /** Partitions it has that have done their part of this phase. */
  readonly complete: number;
  /** Members that are not done with the phase, sorted. */
  readonly waitingOn: readonly string[];
}

/** The ring as a node sees it. */
export interface RingStatus {
  readonly claimant: string;
  readonly claimantUp: boolean;
  readonly ringReady: boolean;
  readonly ringSize: number;
  /** Members that own partitions, sorted by name. */
  readonly nodes: readonly string[];
  /** For each partition in ring order, the owner's place in `nodes`. */
  readonly owners: readonly number[];
  readonly transfers: readonly PendingTransfer[];
  /** The resize of the ring that is under way; `null` or absent if there is none. */
  readonly resize?: ResizeStatus | null;
  /** Members this node cannot reach now. */
  readonly unreachable: readonly string[];
  /** Members whose status is `down`. */
  readonly markedDown: readonly string[];
}

/** Figures of a node. */
export interface NodeStats {
  /** The node that the figures are of. */
  readonly node: string;
  /** Wall clock when they were taken, in milliseconds since 1970. */
  readonly takenAtMs: number;
  /** Figures by dotted name, units last: `put.p99Us`, `memory.rssBytes`. */
  readonly values: Readonly<Record<string, number>>;
}

/** What a node owns and what it stores. */
export interface HeldPartitions {
  readonly node: string;
  /** Modules it serves now. */
  readonly services: readonly string[];
  /** Modules it should serve. */
  readonly modules: readonly string[];
  /** Partitions the ring gives to it, in ring order. */
  readonly owned: readonly number[];
  /** Partitions it stores data of, in ring order; those that it does not own it holds for others. */
  readonly held: readonly HeldPartition[];
}

/** A member that did not answer or refused, and why. */
export interface MemberFailure {
  readonly node: string;
  /** `not_member`, `not_reachable`, `timeout`, or what the method failed with there. */
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** What members answered. */
export interface MemberAnswers<Result> {
  /** Sorted by the member's name. */
  readonly answers: readonly {
    readonly node: string;
    readonly result: Result;
  }[];
  /** Members that did not answer or refused, sorted by name. */
  readonly failures: readonly MemberFailure[];
}

/** A question to members. */
export interface MemberQuestion<
  Method extends keyof MemberMethods = keyof MemberMethods,
> {
  readonly method: Method;
  readonly args: MemberMethods[Method]["args"];
  /** Who is asked; `null` asks all members. */
  readonly nodes: readonly string[] | null;
  /** Time each of them has, in milliseconds, up to 60,000. @default {3000} */
  readonly timeoutMs?: number | undefined;
}

/** The result of staging a change. */
export interface StagedResult {
  /** The member it is about. */
  readonly node: string;
  /** Whether the change waits for a commit; false for a joining member, which leaves at once. */
  readonly staged: boolean;
}

/** The result of staging a resize. */
export interface ResizeResult {
  /** Partitions of the ring as it is. */
  readonly ringSize: number;
  /** Partitions it will have after a commit; `null` if it stays as it is. */
  readonly stagedSize: number | null;
}

/** No arguments, or nothing to say. */
export type Nothing = Readonly<Record<string, never>>;

/**
 * Methods that each member answers for itself alone. `ask_members` calls any of
 * them on other members, so that one session reaches the whole cluster.
 */
export interface MemberMethods {
  /** Transfers that run or wait on this node. Fails with `closed` while its handoff is not running. */
  handoff_status: { args: Nothing; result: HandoffStatus };
  /** What is set about them. */
  handoff_config: { args: Nothing; result: HandoffConfig };
  /** Sets how many may run at once, 0 to 1,024. Fails with `invalid_argument`. */
  handoff_set_concurrency: {
    args: { readonly concurrency: number };
    result: HandoffConfig;
  };
  /** Enables or disables transfers in a direction. */
  handoff_set_enabled: {
    args: {
      readonly direction: TransferDirection;
      readonly enabled: boolean;
    };
    result: HandoffConfig;
  };
  /**
   * Rebuilds a partition of this node from its neighbours, in one module or in
   * all (`null`). Fails with `invalid_argument`, `wrong_owner` or
   * `ownership_change_in_progress`.
   */
  repair: {
    args: { readonly partition: number; readonly module: string | null };
    result: readonly RepairStatus[];
  };
  /** Repairs that run or have ended, newest first. */
  repairs: { args: Nothing; result: readonly RepairStatus[] };
  held_partitions: { args: Nothing; result: HeldPartitions };
}

/** Every admin method, with its arguments and its result. */
export interface AdminMethods extends MemberMethods {
  /** Calls a method on members concurrently, and reports those that did not answer. */
  ask_members: { args: MemberQuestion; result: MemberAnswers<unknown> };
  /** Answers as soon as the node is up. */
  ping: { args: Nothing; result: { readonly node: string } };
  /** Who the node is. */
  node_info: { args: Nothing; result: NodeInfo };
  /** Begins an orderly stop; the answer arrives before the node is gone. */
  stop: { args: Nothing; result: Nothing };
  /**
   * Stages this node to join the cluster of `node`, or with `staged` false has
   * it join at once. `address` is needed unless the node's peer map or cluster
   * knows it. Fails with `self_join`, `not_reachable`,
   * `unable_to_get_join_ring`, `node_still_starting`, `not_single_node`,
   * `different_ring_sizes` or `pending_changes`.
   */
  cluster_join: {
    args: {
      readonly node: string;
      readonly address?: string | undefined;
      /** @default {true} */
      readonly staged?: boolean | undefined;
    };
    result: {
      readonly node: string;
      readonly joined: string;
      readonly staged: boolean;
    };
  };
  /**
   * Stages that `node`, or this one, leaves. Fails with `not_member`,
   * `only_member`, `already_leaving` or `not_reachable`.
   */
  cluster_leave: {
    args: { readonly node?: string | undefined };
    result: StagedResult;
  };
  /** Stages that `node` is removed without its data. Fails with `not_member`, `only_member`, `is_claimant` or `not_reachable`. */
  cluster_force_remove: {
    args: { readonly node: string };
    result: StagedResult;
  };
  /**
   * Stages that `replacement` takes over from `node`, which leaves. Fails with
   * `not_member`, `already_leaving`, `already_replacement`,
   * `invalid_replacement` or `not_reachable`.
   */
  cluster_replace: {
    args: { readonly node: string; readonly replacement: string };
    result: StagedResult;
  };
  /** As `cluster_replace`, without the data of `node`. Fails with `is_claimant` as well, and never with `already_leaving`. */
  cluster_force_replace: {
    args: { readonly node: string; readonly replacement: string };
    result: StagedResult;
  };
  /**
   * Stages that the ring gets `ringSize` partitions. Fails with
   * `invalid_ring_size`, `same_size`, `pending_changes`, `not_capable` or
   * `not_reachable`.
   */
  cluster_resize_ring: {
    args: { readonly ringSize: number };
    result: ResizeResult;
  };
  /** Stages that the resize under way is aborted. Fails with `not_resizing` or `not_reachable`. */
  cluster_abort_resize: { args: Nothing; result: ResizeResult };
  /**
   * Marks a bucket as consistent, permanently. Fails with `invalid_argument`,
   * `not_capable`, `pending_changes`, `ring_not_ready`, `not_reachable` or
   * `timeout`.
   */
  bucket_consistent: {
    args: { readonly bucket: string };
    result: ConsistentBuckets;
  };
  /** The consistent buckets of the cluster. */
  bucket_list: { args: Nothing; result: ConsistentBuckets };
  /** Marks an unreachable member as down. Fails with `is_up`, `not_member` or `only_member`. */
  down: { args: { readonly node: string }; result: { readonly node: string } };
  /** The plan of the staged changes. Fails with `ring_not_ready`. */
  cluster_plan: { args: Nothing; result: StagedPlan };
  /**
   * Carries out the plan `planId`, or the one last shown; a plan that was
   * committed last is no error. Fails with `nothing_planned`, `ring_not_ready`
   * or `plan_changed`.
   */
  cluster_commit: {
    args: { readonly planId?: string | undefined };
    result: { readonly planId: string };
  };
  /** Forgets staged changes. */
  cluster_clear: { args: Nothing; result: Nothing };
  cluster_status: { args: Nothing; result: ClusterStatus };
  member_status: { args: Nothing; result: MemberTable };
  ring_status: { args: Nothing; result: RingStatus };
  /** Whether all members agree on who owns what. */
  ringready: { args: Nothing; result: RingReadiness };
  /** Services by node, as the node watcher knows them. */
  services: {
    args: Nothing;
    result: Readonly<Record<string, readonly string[]>>;
  };
  /** The capabilities of the node, what is negotiated, and what each member supports; sorted by name. */
  capabilities: { args: Nothing; result: readonly CapabilityStatus[] };
  /** A snapshot of the supervision tree. */
  tree: { args: Nothing; result: TreeNode };
  stats: { args: Nothing; result: NodeStats };
}

/** The consistent buckets of a cluster, as a node knows them. */
export interface ConsistentBuckets {
  /** Their names, sorted. */
  readonly buckets: readonly string[];
  /** Whether their ensembles are there. */
  readonly formed: boolean;
}

/** A connection to one node for admin calls and operations. Disposing closes it. */
export interface AdminSession extends AsyncDisposable {
  /** Name of the node at the other end, as proven in the handshake. */
  readonly node: string;
  /**
   * Calls `method` on the node.
   *
   * @throws {WhorlError} What the method fails with, `timeout`, `cancelled`, or
   * `connection_closed` if the session broke; such a session stays broken.
   */
  call<Method extends keyof AdminMethods>(
    method: Method,
    args: AdminMethods[Method]["args"],
    options?: CallOptions,
  ): Promise<AdminMethods[Method]["result"]>;
  /** Key-value operations through that node. */
  readonly kv: KvClient;
  /** The consistent store through this node. */
  readonly raKv: RaKvClient;
}

/** Which node to talk to. */
export type SessionTarget =
  | {
    /** The name it must prove to have, `name@host`. */
    readonly node: string;
    /** Where it listens, `host:port`. */
    readonly address: string;
  }
  | {
    /** A data directory, whose control file names the node that runs there. */
    readonly dataDirectory: string;
  };

/** Options of {@linkcode OpenSession}. */
export interface OpenSessionOptions extends CallOptions {
  /** The cluster's shared secret. @default {read from the file the control file names} */
  readonly cookie?: string | undefined;
}

/**
 * Opens a session.
 *
 * @throws {WhorlError} `node_not_running` if nobody listens there (or the data
 * directory has no control file of a living node), `wrong_cookie`,
 * `wrong_cluster`, `wrong_version`, `handshake_failed`, `timeout`, `cancelled`.
 */
export type OpenSession = (
  target: SessionTarget,
  options?: OpenSessionOptions,
) => Promise<AdminSession>;
