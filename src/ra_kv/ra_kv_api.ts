/**
 * `ra_kv` as an application sees it: its calls, their options and their
 * results. `ra_kv_client.ts` implements them.
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

/** Options of every call. */
export interface RaKvOptions {
  /**
   * Time it may take, in milliseconds.
   *
   * @default {5000, and more for calls that change members or disks}
   */
  readonly timeoutMs?: number | undefined;
  /** Stops waiting: the call fails with `cancelled`, but what it asked for may still happen. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of a put. */
export interface RaKvPutOptions extends RaKvOptions {
  /**
   * Index that the key must have now, as returned by a read; 0 if it must not
   * exist.
   *
   * @default {any}
   */
  readonly ifIndex?: number | undefined;
  /**
   * Milliseconds after which the key expires; it may stay up to about 50
   * longer.
   *
   * @default {never}
   */
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
   * began. `"stale"` asks nobody: it sees what the member has, which may be
   * old, and needs no majority.
   *
   * @default {"linearizable"}
   */
  readonly consistency?: "linearizable" | "stale" | undefined;
  /**
   * Who reads the value: the leader, or the member on the node that is asked,
   * once it has caught up with what the leader confirms. A member that has had
   * no leader for a second passes the read on to a leader that other nodes know
   * of.
   *
   * @default {"leader"}
   */
  readonly from?: "leader" | "local" | undefined;
}

/** The result of a write. */
export interface RaKvWritten {
  /** The key's index from now on, for `ifIndex`. */
  readonly index: number;
  /** Term of the leader that accepted it. */
  readonly term: number;
  /** The leader's wall clock when it accepted the write, in milliseconds since 1970. */
  readonly timeMs: number;
  /** Version of the machine that applied it. */
  readonly machineVersion: number;
  /** Name of the leader's node. */
  readonly leader: string;
}

/** The result of a read. */
export interface RaKvFound {
  /** Undefined if the key does not exist. */
  readonly value: RaKvValue | undefined;
  /** Index of the entry that holds the value; 0 if the key does not exist. */
  readonly index: number;
  /** Term of that entry. */
  readonly term: number;
  /** When it expires, in milliseconds since 1970 by the leader's clock; undefined if never. */
  readonly expiresAtMs: number | undefined;
  /** Names of the members' nodes. */
  readonly members: readonly string[];
  /** Name of the leader's node, if the member that answered knows one. */
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
  /** Its index in the log. */
  readonly index: number;
  /** Term of the leader that accepted it. */
  readonly term: number;
  /** The leader's wall clock when it accepted it, in milliseconds since 1970. */
  readonly timeMs: number;
  /**
   * `"sweep"` removes expired keys, `"end"` deletes the cluster, `"shut"` and
   * `"seal"` hand keys over between groups when a ring is resized, and `"noop"`
   * and `"membership"` are Raft's own.
   */
  readonly kind:
    | "change"
    | "sweep"
    | "end"
    | "shut"
    | "seal"
    | "noop"
    | "membership";
  /** The changes it asks for, whether their conditions held or not. */
  readonly changes: readonly RaKvChange[];
}

/** An event of a watched key. */
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
  /**
   * Some events up to `index` are no longer known: read what you need, which is
   * then at least as recent as `index`.
   */
  | { readonly type: "missed"; readonly index: number }
  /**
   * The watch has begun: everything after `index` will be reported. Comes
   * first, unless `after` was given.
   */
  | { readonly type: "watching"; readonly index: number };

/** What to watch. */
export type RaKvWatchOptions =
  & (
    | { readonly key: string; readonly prefix?: undefined }
    /** All keys that begin with it; every key for `""`. */
    | { readonly prefix: string; readonly key?: undefined }
  )
  & {
    /**
     * Index up to which everything is known already: that of an event, or of a
     * read.
     *
     * @default {now}
     */
    readonly after?: number | undefined;
    /** Whether put events carry values. @default {true} */
    readonly values?: boolean | undefined;
    /** Ends the watch, with `cancelled`. */
    readonly signal?: AbortSignal | undefined;
  };

/** How a cluster is deleted. */
export interface RaKvDeleteClusterOptions extends RaKvOptions {
  /** Without asking its members, for when a majority is lost for good. @default {false} */
  readonly force?: boolean | undefined;
  /** With `force`: only the cluster that has a member on this node. @default {all of that name} */
  readonly node?: string | undefined;
}

/**
 * The operations of `ra_kv`. Besides the errors named at each, all fail with
 * `timeout`, `cancelled`, `connection_closed`, `unknown_cluster`,
 * `invalid_argument` or `overload`.
 */
export interface RaKvClient {
  /**
   * Writes a key.
   *
   * @throws {WhorlError} `index_mismatch` if `ifIndex` does not hold, with the
   * current `index` in its details; `invalid_key`; `value_too_large`. After
   * `timeout`, `leader_lost`, `connection_closed`, `node_suspected` or
   * `cancelled` the write may have happened, or may still happen: see
   * `raKvOutcomeUnknown`.
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
   * `compacted` if it was replaced again and again while it was being read.
   */
  get(
    cluster: string,
    key: string,
    options?: RaKvGetOptions,
  ): Promise<RaKvFound>;
  /**
   * Deletes a key.
   *
   * @throws {NotFoundError} If it does not exist, as a majority confirms.
   * @throws {WhorlError} As `put`.
   */
  delete(
    cluster: string,
    key: string,
    options?: RaKvDeleteOptions,
  ): Promise<RaKvWritten>;
  /** Writes a key if it has `index`; 0 if it must not exist. @throws {WhorlError} As `put`. */
  compareAndSet(
    cluster: string,
    key: string,
    index: number,
    value: RaKvValue,
    options?: Omit<RaKvPutOptions, "ifIndex">,
  ): Promise<RaKvWritten>;
  /**
   * Makes up to 1,000 changes at once, each of a different key: all or none.
   * Deleting a key that does not exist is not an error here.
   *
   * @throws {WhorlError} As `put`; `place` in the details of `index_mismatch`
   * is the position of the change.
   */
  batch(
    cluster: string,
    changes: readonly RaKvChange[],
    options?: RaKvOptions,
  ): Promise<RaKvWritten>;
  /**
   * The entry at `index` in the log of the node's member, or of another;
   * undefined if it is not committed, or no longer stored.
   */
  readEntry(
    cluster: string,
    index: number,
    options?: RaKvOptions,
  ): Promise<RaKvEntry | undefined>;
  /**
   * Reports what happens to a key, or to all keys with a prefix, in log order:
   *
   * ```ts ignore
   * for await (const event of node.raKv.watch("orders", { prefix: "paid/" })) {
   *   if (event.type === "put") console.log(event.key, event.value);
   * }
   * ```
   *
   * If a member is lost, it continues at another one. After a watch has ended,
   * a new one can continue with `after` of the last event, or is told that it
   * missed some. A value that was replaced before it could be read is left out:
   * the event of the replacement follows. Iterating throws what a get throws,
   * and `cancelled`.
   */
  watch(
    cluster: string,
    options: RaKvWatchOptions,
  ): AsyncIterableIterator<RaKvEvent>;

  /**
   * Starts a cluster with a member on each of the nodes `members`. Resolves
   * when a leader answers, which takes a majority.
   *
   * @throws {WhorlError} `already_exists`, or `cluster_not_formed`: then
   * nothing is left of it on nodes that can be reached.
   */
  startCluster(
    cluster: string,
    members: readonly string[],
    options?: RaKvOptions,
  ): Promise<StartedCluster>;
  /**
   * Deletes a cluster and all its data. Its members agree on that first; one
   * that cannot be reached removes itself once it is back and asks the others.
   *
   * With `force` nobody is asked: every member that can be reached is removed.
   * If several clusters have the same name, `node` selects the one that has a
   * member there.
   *
   * @throws {WhorlError} `quorum_unavailable` if no majority answers: nothing
   * was deleted. After `timeout` with `outcomeUnknown` in the details it may
   * still be.
   */
  deleteCluster(
    cluster: string,
    options?: RaKvDeleteClusterOptions,
  ): Promise<DeletedCluster>;
  /** All clusters that any node knows, with a failure for each node that did not answer. */
  clusters(options?: RaKvOptions): Promise<
    {
      readonly clusters: readonly ClusterPlace[];
      readonly failures: readonly NodeFailure[];
    }
  >;
  /**
   * Adds a member on `node`. It receives all the data and then votes, unless it
   * is a `"non_voter"`. Resolves when a majority has agreed.
   *
   * @throws {WhorlError} `already_member`, `cluster_change_not_permitted`,
   * `not_reachable`, `leader_lost`: the new member was removed again. After
   * `timeout` with `outcomeUnknown` in the details it may still be added.
   * `already_exists` if the node has a member of another cluster of that name.
   */
  addMember(
    cluster: string,
    node: string,
    options?: RaKvOptions & { readonly kind?: AddedKind | undefined },
  ): Promise<ClusterMembers>;
  /**
   * Removes the member on `node`, and then its data.
   *
   * @throws {WhorlError} `not_member`, `only_member`,
   * `cluster_change_not_permitted`, `leader_lost`: it is still a member. After
   * `timeout` with `outcomeUnknown` in the details it may still be removed.
   */
  removeMember(
    cluster: string,
    node: string,
    options?: RaKvOptions,
  ): Promise<RemovedMember>;
  /** The members, after a majority has confirmed the leader. */
  members(cluster: string, options?: RaKvOptions): Promise<ClusterMembers>;
  /** What the member on `node` reports about its log and its state. */
  memberOverview(
    cluster: string,
    node: string,
    options?: RaKvOptions,
  ): Promise<MemberOverview>;
  /** The members, and what each reports about itself. */
  overview(cluster: string, options?: RaKvOptions): Promise<ClusterOverview>;
  /**
   * Indexes of the entries that hold values, ascending, at the leader or at the
   * member on `node`.
   */
  liveIndexes(
    cluster: string,
    options?: RaKvOptions & { readonly node?: string | undefined },
  ): Promise<readonly number[]>;
  /**
   * Has the member on `node`, or each of them, take a snapshot, so that its log
   * can drop entries.
   *
   * @throws {WhorlError} `quorum_unavailable` if no node that answers has a
   * member, but others may.
   */
  takeSnapshot(
    cluster: string,
    options?: RaKvOptions & { readonly node?: string | undefined },
  ): Promise<MemberSnapshots>;
  /**
   * Has the member on `node`, or each of them, merge log files whose entries
   * are mostly dead.
   *
   * @throws {WhorlError} As `takeSnapshot`.
   */
  compact(
    cluster: string,
    options?: RaKvOptions & { readonly node?: string | undefined },
  ): Promise<MemberSnapshots>;
  /**
   * Transfers leadership to the member on `to`.
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
   * Makes the member on `node` the only one, when the majority is lost for
   * good. Data that only the others had is lost, even if it was acknowledged.
   * If one of the others is still alive, there are then two clusters of the
   * same name.
   */
  forceShrink(
    cluster: string,
    node: string,
    options?: RaKvOptions,
  ): Promise<ClusterMembers>;
}
