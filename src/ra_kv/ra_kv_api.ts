/**
 * `ra_kv` as an application sees it: the calls, what they take and what they
 * answer. `ra_kv_client.ts` makes them.
 *
 * @module
 */
import type {
  AddedKind,
  ClusterMembers,
  ClusterOverview,
  ClusterPlace,
  DeletedCluster,
  MemberOverview,
  MemberSnapshots,
  NodeFailure,
  RemovedMember,
  StartedCluster,
} from "./ra_kv_protocol.ts";
import type { RaKvValue } from "./ra_kv_value.ts";

/** Options every call takes. */
export interface RaKvOptions {
  /** Time it may take, in milliseconds. @default {5000, and more for what changes members or disks} */
  readonly timeoutMs?: number | undefined;
  /** Stops waiting: the call fails with `cancelled`; what it was to change may yet change. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of a put. */
export interface RaKvPutOptions extends RaKvOptions {
  /** Index that the key must have now, as a read gave it; 0 if it must not be there. @default {any} */
  readonly ifIndex?: number | undefined;
  /** Milliseconds after which the key is gone, some 50 more at most. @default {it stays} */
  readonly ttlMs?: number | undefined;
}

/** Options of a delete. */
export interface RaKvDeleteOptions extends RaKvOptions {
  /** Index that the key must have now. @default {any} */
  readonly ifIndex?: number | undefined;
}

/** Options of a get. */
export interface RaKvGetOptions extends RaKvOptions {
  /**
   * `"linearizable"` sees every write that was acknowledged before the read
   * began. `"stale"` asks nobody: it sees what the member has, which may be old,
   * and needs no majority. @default {"linearizable"}
   */
  readonly consistency?: "linearizable" | "stale" | undefined;
  /**
   * Who reads the value: the leader, or the member on the node that is asked, as
   * soon as it has caught up with what the leader confirms. One that has had no
   * leader for a second lets the leader read that others know of. @default {"leader"}
   */
  readonly from?: "leader" | "local" | undefined;
}

/** What a write came to. */
export interface RaKvWritten {
  /** Index of the key from now on, for `ifIndex`. */
  readonly index: number;
  /** Of the leader that took it. */
  readonly term: number;
  /** The leader's wall clock when it took the write, in milliseconds since 1970. */
  readonly timeMs: number;
  /** Version of the machine that applied it. */
  readonly machineVersion: number;
  /** Name of the leader's node. */
  readonly leader: string;
}

/** What a read found. */
export interface RaKvFound {
  /** Undefined if the key is not there. */
  readonly value: RaKvValue | undefined;
  /** Index of the entry that holds the value; 0 if the key is not there. */
  readonly index: number;
  /** Term of that entry. */
  readonly term: number;
  /** When it expires, in milliseconds since 1970 by the leader's clock; undefined if it stays. */
  readonly expiresAtMs: number | undefined;
  /** Names of the members' nodes. */
  readonly members: readonly string[];
  /** Name of the leader's node, if whoever answered knows one. */
  readonly leader: string | undefined;
}

/** A change in a batch. */
export type RaKvChange =
  | {
    readonly type: "put";
    readonly key: string;
    readonly value: RaKvValue;
    /** As {@linkcode RaKvPutOptions.ifIndex}. */
    readonly ifIndex?: number | undefined;
    /** As {@linkcode RaKvPutOptions.ttlMs}. */
    readonly ttlMs?: number | undefined;
  }
  | {
    readonly type: "delete";
    readonly key: string;
    /** As {@linkcode RaKvDeleteOptions.ifIndex}. */
    readonly ifIndex?: number | undefined;
  };

/** An entry of the log. */
export interface RaKvEntry {
  /** Of the entry in the log. */
  readonly index: number;
  /** Of the leader that took it. */
  readonly term: number;
  /** The leader's wall clock when it took it, in milliseconds since 1970. */
  readonly timeMs: number;
  /** `"sweep"` takes expired keys out; `"end"` deletes the cluster; `"shut"` and `"seal"` are those of a group that takes over from others, or has others take over; `"noop"` and `"membership"` are Raft's own. */
  readonly kind:
    | "change"
    | "sweep"
    | "end"
    | "shut"
    | "seal"
    | "noop"
    | "membership";
  /** What was to be changed, whether the conditions held or not. */
  readonly changes: readonly RaKvChange[];
}

/** Something that happened to a key that is watched. */
export type RaKvEvent =
  | {
    readonly type: "put";
    readonly key: string;
    readonly index: number;
    /** Undefined if values are not wanted. */
    readonly value: RaKvValue | undefined;
  }
  | {
    readonly type: "delete" | "expire";
    readonly key: string;
    readonly index: number;
  }
  /** What happened up to `index` is not all known any longer: read what you need, it is as of `index` at least. */
  | { readonly type: "missed"; readonly index: number }
  /** The watch stands: everything after `index` will be told. Comes first, unless `after` was given. */
  | { readonly type: "watching"; readonly index: number };

/** What to watch. */
export type RaKvWatchOptions =
  & (
    | { readonly key: string; readonly prefix?: undefined }
    /** All keys that begin with it; all there are for `""`. */
    | { readonly prefix: string; readonly key?: undefined }
  )
  & {
    /** Index up to which everything is known: of an event seen, or of a read. @default {now} */
    readonly after?: number | undefined;
    /** Whether events of puts bring values. @default {true} */
    readonly values?: boolean | undefined;
    /** Ends the watch, with `cancelled`. */
    readonly signal?: AbortSignal | undefined;
  };

/** How a cluster is deleted. */
export interface RaKvDeleteClusterOptions extends RaKvOptions {
  /** Without asking its members: for a majority that is lost for good. @default {false} */
  readonly force?: boolean | undefined;
  /** By force: only the cluster that this node has a member of. @default {all of that name} */
  readonly node?: string | undefined;
}

/** The operations of `ra_kv`. All fail with `timeout`, `cancelled`, `connection_closed`, `unknown_cluster`, `invalid_argument` or `overload` besides what is said with them. */
export interface RaKvClient {
  /**
   * Writes a key.
   *
   * @throws {WhorlError} `index_mismatch` if `ifIndex` does not hold, with the
   * present `index` in its details; `invalid_key`; `value_too_large`. After
   * `timeout`, `leader_lost`, `connection_closed`, `node_suspected` or
   * `cancelled` the write may yet happen, or have happened:
   * {@linkcode raKvOutcomeUnknown} tells.
   */
  put(
    cluster: string,
    key: string,
    value: RaKvValue,
    options?: RaKvPutOptions,
  ): Promise<RaKvWritten>;
  /**
   * Reads a key.
   *
   * @throws {WhorlError} `value_corrupt` if the value is not what was written,
   * `compacted` if it was replaced again and again while it was read.
   */
  get(
    cluster: string,
    key: string,
    options?: RaKvGetOptions,
  ): Promise<RaKvFound>;
  /**
   * Deletes a key.
   *
   * @throws {NotFoundError} If it is not there, which a majority has agreed to.
   * @throws {WhorlError} As `put`.
   */
  delete(
    cluster: string,
    key: string,
    options?: RaKvDeleteOptions,
  ): Promise<RaKvWritten>;
  /** Writes a key if it has `index`; 0 if it is not there. @throws {WhorlError} As `put`. */
  compareAndSet(
    cluster: string,
    key: string,
    index: number,
    value: RaKvValue,
    options?: Omit<RaKvPutOptions, "ifIndex">,
  ): Promise<RaKvWritten>;
  /**
   * Makes up to 1,000 changes at once, each to another key, or none of them.
   * Deleting what is not there is no failure here.
   *
   * @throws {WhorlError} As `put`; `place` in the details of `index_mismatch`
   * says which change it was.
   */
  batch(
    cluster: string,
    changes: readonly RaKvChange[],
    options?: RaKvOptions,
  ): Promise<RaKvWritten>;
  /** The entry at `index` in the log of the node's member, or of any; undefined if it is not agreed upon, or is gone. */
  readEntry(
    cluster: string,
    index: number,
    options?: RaKvOptions,
  ): Promise<RaKvEntry | undefined>;
  /**
   * What happens to a key, or to all keys with a prefix, in the order of the log:
   *
   * ```ts ignore
   * for await (const event of node.raKv.watch("orders", { prefix: "paid/" })) {
   *   if (event.type === "put") console.log(event.key, event.value);
   * }
   * ```
   *
   * It goes on at another member when one is lost. A watch that ended goes on
   * with `after` of the last event, or is told that it missed something. A value
   * that was replaced before it could be read is left out: what replaced it
   * follows. Iterating throws what a get does, and `cancelled`.
   */
  watch(
    cluster: string,
    options: RaKvWatchOptions,
  ): AsyncIterableIterator<RaKvEvent>;

  /**
   * Starts a cluster with a member on each of the nodes `members`. Resolves when
   * a leader answers, for which a majority must have started.
   *
   * @throws {WhorlError} `already_exists`, or `cluster_not_formed`: then nothing
   * is left of it on nodes that can be reached.
   */
  startCluster(
    cluster: string,
    members: readonly string[],
    options?: RaKvOptions,
  ): Promise<StartedCluster>;
  /**
   * Deletes a cluster and all that it stores. Its members agree on it first; one
   * that cannot be reached goes when it is back and asks the others.
   *
   * With `force` nobody is asked: all that can be reached goes, and with `node`
   * only the cluster that has a member there, where several have one name.
   *
   * @throws {WhorlError} `quorum_unavailable` if no majority answers: nothing was
   * deleted. After `timeout` with `outcomeUnknown` in the details it may yet be.
   */
  deleteCluster(
    cluster: string,
    options?: RaKvDeleteClusterOptions,
  ): Promise<DeletedCluster>;
  /** All clusters that the nodes know, with failures for those that did not answer. */
  clusters(options?: RaKvOptions): Promise<
    {
      readonly clusters: readonly ClusterPlace[];
      readonly failures: readonly NodeFailure[];
    }
  >;
  /**
   * Adds a member on `node`, which gets all the data and then votes, unless it is
   * to be a `"non_voter"`. Resolves when a majority has agreed to it.
   *
   * @throws {WhorlError} `already_member`, `cluster_change_not_permitted`,
   * `not_reachable`, `leader_lost`: the new member is gone again. After `timeout`
   * with `outcomeUnknown` in the details it may yet be added. `already_exists` if
   * the node has a member of another cluster of that name.
   */
  addMember(
    cluster: string,
    node: string,
    options?: RaKvOptions & { readonly kind?: AddedKind | undefined },
  ): Promise<ClusterMembers>;
  /**
   * Removes the member on `node`, and then what it stores.
   *
   * @throws {WhorlError} `not_member`, `only_member`,
   * `cluster_change_not_permitted`, `leader_lost`: it is a member as before. After
   * `timeout` with `outcomeUnknown` in the details it may yet be removed.
   */
  removeMember(
    cluster: string,
    node: string,
    options?: RaKvOptions,
  ): Promise<RemovedMember>;
  /** The members, as a majority confirms to the leader. */
  members(cluster: string, options?: RaKvOptions): Promise<ClusterMembers>;
  /** What the member on `node` says of its log and its state. */
  memberOverview(
    cluster: string,
    node: string,
    options?: RaKvOptions,
  ): Promise<MemberOverview>;
  /** The members, and what each says of itself. */
  overview(cluster: string, options?: RaKvOptions): Promise<ClusterOverview>;
  /** Indexes of the entries that hold values, ascending, at the leader or at the member on `node`. */
  liveIndexes(
    cluster: string,
    options?: RaKvOptions & { readonly node?: string | undefined },
  ): Promise<readonly number[]>;
  /** Has the member on `node`, or each, store its state, so that its log can let go of what is no longer needed. */
  takeSnapshot(
    cluster: string,
    options?: RaKvOptions & { readonly node?: string | undefined },
  ): Promise<MemberSnapshots>;
  /** Has the member on `node`, or each, merge files of its log that are mostly dead. */
  compact(
    cluster: string,
    options?: RaKvOptions & { readonly node?: string | undefined },
  ): Promise<MemberSnapshots>;
  /**
   * Has the member on `to` lead.
   *
   * @throws {WhorlError} `already_leader`, `unknown_member`, `non_voter`,
   * `not_up_to_date`.
   */
  transferLeadership(
    cluster: string,
    to: string,
    options?: RaKvOptions,
  ): Promise<ClusterMembers>;
  /**
   * Makes the member on `node` the only one, when the majority is lost for good.
   * What only the others had is lost, though it was acknowledged; if one of them
   * still lives, there are two clusters then, of one name.
   */
  forceShrink(
    cluster: string,
    node: string,
    options?: RaKvOptions,
  ): Promise<ClusterMembers>;
}
