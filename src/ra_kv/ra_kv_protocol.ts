/**
 * The calls about clusters of `ra_kv`, as opposed to operations on keys: what
 * `startCluster`, `addMember` and the like send. Names and shapes are part of
 * the wire format.
 *
 * @module
 */
import type { ErrorCode } from "../base/errors.ts";
import type { GroupLogOverview } from "../raft/log/raft_log.ts";
import type { Member } from "../raft/raft_entry.ts";
import type { RaftRole } from "../raft/raft_fsm.ts";

/** A node that failed to do its part, and why. */
export interface NodeFailure {
  /** Name of the node. */
  readonly node: string;
  /** Its error code. */
  readonly code: ErrorCode;
  /** The error message. */
  readonly message: string;
}

/** A cluster that was started. */
export interface StartedCluster {
  /** Name of the cluster. */
  readonly cluster: string;
  /** Names of the nodes whose members run: at least a majority. */
  readonly started: readonly string[];
  /**
   * Nodes whose members do not run. They are members nevertheless: remove them,
   * or add them anew.
   */
  readonly notStarted: readonly NodeFailure[];
  /** Node of its leader. */
  readonly leader: string;
}

/** The members of a cluster, as its leader knows them. */
export interface ClusterMembers {
  /** Name of the cluster. */
  readonly cluster: string;
  /** Node of its leader. */
  readonly leader: string;
  /** The leader's term. */
  readonly term: number;
  /** Ordered by node. */
  readonly members: readonly Member[];
  /** Index of the entry that set the members; 0 for the initial ones. */
  readonly index: number;
  /** Whether a majority has agreed to that entry. */
  readonly committed: boolean;
}

/** Whether a removed member's data is gone. */
export interface RemovedMember {
  /** Name of the cluster. */
  readonly cluster: string;
  /** Name of the node. */
  readonly node: string;
  /**
   * False if its node could not be reached: its data stays there until
   * `deleteCluster` or another removal reaches the node.
   */
  readonly dropped: boolean;
}

/** A cluster that was deleted. */
export interface DeletedCluster {
  /** Name of the cluster. */
  readonly cluster: string;
  /** Names of the nodes whose member is gone. */
  readonly deleted: readonly string[];
  /** Nodes that may still have a member: it removes itself once it can reach one of the others. */
  readonly notDeleted: readonly NodeFailure[];
}

/** A member, as it reports itself. */
export interface MemberOverview {
  /** Name of the cluster. */
  readonly cluster: string;
  /** Name of the node. */
  readonly node: string;
  /** Unique number of this incarnation of the member. */
  readonly uid: number;
  /** Its current role. */
  readonly role: RaftRole;
  /** Its current term. */
  readonly term: number;
  /** Node of its leader. */
  readonly leader: string | null;
  /** Entries up to this index are committed. */
  readonly commitIndex: number;
  /** Entries up to this index are applied to its state. */
  readonly appliedIndex: number;
  /** What its log consists of. */
  readonly log: GroupLogOverview;
  /**
   * Its state: `keys`, `keyBytes`, `liveIndexes`, `expiring`, `timeMs`; `open`,
   * 1 if it serves its keys; `sealed`, 1 if another group has taken them over;
   * and `sourcesLeft`, how many groups it still has to take keys over from.
   */
  readonly machine: Readonly<Record<string, number>>;
}

/** A cluster with all its members. */
export interface ClusterOverview extends ClusterMembers {
  /** Those that answered, ordered by node. */
  readonly overviews: readonly MemberOverview[];
  /** Nodes that did not answer, or answered with an error. */
  readonly failures: readonly NodeFailure[];
}

/** How far a member's snapshot reaches. */
export interface MemberSnapshot {
  /** Name of the node. */
  readonly node: string;
  /** 0 if it has none. */
  readonly snapshotIndex: number;
}

/** What members did, and which of them failed. */
export interface MemberSnapshots {
  /** The snapshots of the members. */
  readonly snapshots: readonly MemberSnapshot[];
  /** Nodes that did not answer, or answered with an error. */
  readonly failures: readonly NodeFailure[];
}

/** A page of the indexes of entries that hold values. */
export interface LiveIndexes {
  readonly node: string;
  /** Ascending. */
  readonly indexes: readonly number[];
  /** Whether there are no more. */
  readonly complete: boolean;
}

/** A cluster, and where it is. */
export interface ClusterPlace {
  /** Name of the cluster. */
  readonly cluster: string;
  /** Names of the nodes that have a member. */
  readonly nodes: readonly string[];
  /** Node of its leader. */
  readonly leader: string | null;
}

/** A node's member of a cluster; the numbers are 0 if it has none. */
export interface MemberPlace {
  readonly uid: number;
  readonly groupId: number;
  readonly leader: string | null;
  /** Names of the members' nodes. */
  readonly members: readonly string[];
  /**
   * Whether it runs, or there is none. Missing from older versions, which do
   * not report members that do not run.
   */
  readonly runs?: boolean | undefined;
  /** Why it cannot start; null if it can, or was stopped. */
  readonly failure?: string | null | undefined;
  /**
   * Whether its group has yet to add it, so that it knows nothing. Missing from
   * older versions.
   */
  readonly toBeAdded?: boolean | undefined;
  /** Whether the node can take part in deleting a cluster by agreement: older versions cannot. */
  readonly ends?: boolean | undefined;
}

/** How a new member votes. */
export type AddedKind = "voter" | "non_voter";

/** A cluster. */
interface OfCluster {
  readonly cluster: string;
}

/** A cluster, and one of its members; all if none is named. */
interface OfMember extends OfCluster {
  readonly node?: string | undefined;
}

/** Calls by clients; each may be sent to any node. */
export interface RaKvMethodTypes {
  ra_kv_start_cluster: {
    args: OfCluster & {
      readonly members: readonly string[];
      /** Time a leader may take to answer, in milliseconds. @default {5000 for each member} */
      readonly timeoutMs?: number | undefined;
    };
    result: StartedCluster;
  };
  ra_kv_delete_cluster: {
    args: OfCluster & {
      /** Whether to delete what can be reached although no majority agrees. @default {false} */
      readonly force?: boolean | undefined;
      /**
       * With `force`: only the cluster that has a member on this node, if
       * several have the same name.
       */
      readonly node?: string | undefined;
    };
    result: DeletedCluster;
  };
  ra_kv_add_member: {
    args: OfCluster & {
      readonly node: string;
      /** @default {"voter"} */
      readonly kind?: AddedKind | undefined;
    };
    result: ClusterMembers;
  };
  ra_kv_remove_member: {
    args: OfCluster & { readonly node: string };
    result: RemovedMember;
  };
  ra_kv_members: { args: OfCluster; result: ClusterMembers };
  ra_kv_member_overview: {
    args: OfCluster & { readonly node: string };
    result: MemberOverview;
  };
  ra_kv_overview: { args: OfCluster; result: ClusterOverview };
  ra_kv_take_snapshot: { args: OfMember; result: MemberSnapshots };
  ra_kv_compact: { args: OfMember; result: MemberSnapshots };
  ra_kv_live_indexes: {
    args: OfMember & {
      /** Only indexes after this one. @default {0} */
      readonly after?: number | undefined;
    };
    result: LiveIndexes;
  };
  ra_kv_transfer_leadership: {
    args: OfCluster & { readonly to: string };
    result: ClusterMembers;
  };
  ra_kv_force_shrink: {
    args: OfCluster & { readonly node: string };
    result: ClusterMembers;
  };
  ra_kv_clusters: {
    args: Readonly<Record<string, never>>;
    result: {
      readonly clusters: readonly ClusterPlace[];
      readonly failures: readonly NodeFailure[];
    };
  };
}

/** A change of one member. */
export type MemberChange =
  | {
    readonly type: "add";
    readonly node: string;
    readonly uid: number;
    readonly kind: Member["kind"];
  }
  | { readonly type: "remove"; readonly node: string };

/** Calls between nodes that serve the calls of clients. */
export interface RaKvPeerMethodTypes {
  ra_kv_locate: { args: OfCluster; result: MemberPlace };
  ra_kv_create_member: {
    args: OfCluster & {
      readonly groupId: number;
      readonly uid: number;
      readonly initial: readonly Member[];
    };
    result: { readonly uid: number };
  };
  ra_kv_drop_member: {
    args: OfCluster & { readonly uid: number };
    result: { readonly dropped: boolean };
  };
  /** Has the leader commit that the cluster is deleted. */
  ra_kv_end_here: {
    args: OfCluster & { readonly groupId: number };
    result: Readonly<Record<string, never>>;
  };
  /** Tells a node that a cluster was deleted; it removes its member and remembers that. */
  ra_kv_delete_here: {
    args: OfCluster & { readonly groupId: number };
    result: { readonly dropped: boolean };
  };
  /** Whether the node remembers that a cluster was deleted. */
  ra_kv_was_deleted: {
    args: { readonly groupId: number };
    result: { readonly deleted: boolean };
  };
  ra_kv_change_members: {
    args: OfCluster & MemberChange;
    result: { readonly index: number; readonly term: number };
  };
  ra_kv_members_here: { args: OfCluster; result: ClusterMembers };
  ra_kv_member_overview_here: { args: OfCluster; result: MemberOverview };
  ra_kv_take_snapshot_here: { args: OfCluster; result: MemberSnapshot };
  ra_kv_compact_here: { args: OfCluster; result: MemberSnapshot };
  ra_kv_live_indexes_here: {
    args: OfCluster & { readonly after: number };
    result: LiveIndexes;
  };
  ra_kv_transfer_here: {
    args: OfCluster & { readonly to: string };
    result: Readonly<Record<string, never>>;
  };
  ra_kv_force_shrink_here: {
    args: OfCluster;
    result: Readonly<Record<string, never>>;
  };
  ra_kv_clusters_here: {
    args: Readonly<Record<string, never>>;
    result: { readonly clusters: readonly ClusterPlace[] };
  };
}
