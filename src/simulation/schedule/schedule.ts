/**
 * What a seed produces: how many nodes there are, which operations clients
 * perform, which faults happen, and when. Drawn before anything runs, as plain
 * data, so that it can be printed, kept, and shrunk piece by piece without
 * changing the rest.
 *
 * @module
 */
import type { RaftLogSizes } from "../../raft/raft_log_sizes.ts";

/**
 * A fault at a given time. Times are virtual milliseconds after the load
 * begins.
 */
export type PlannedFault =
  & { readonly atMs: number; readonly forMs: number }
  & (
    /**
     * The process dies, the memory of its machine survives; it starts again
     * when the fault ends.
     */
    | { readonly type: "kill"; readonly node: number }
    /** The machine loses power: what was not synced is lost, or torn. */
    | { readonly type: "power_loss"; readonly node: number }
    /** The process is paused (SIGSTOP). */
    | { readonly type: "pause"; readonly node: number }
    /**
     * The links between the sides carry nothing in the given directions;
     * `break` also resets connections.
     */
    | {
      readonly type: "partition";
      readonly from: readonly number[];
      readonly to: readonly number[];
      readonly oneWay: boolean;
      readonly break: boolean;
    }
    /** Added latency from one node to another. */
    | {
      readonly type: "slow_link";
      readonly from: number;
      readonly to: number;
      readonly delayMs: number;
    }
    /**
     * Each write from one node to another has a flipped bit with the given
     * probability.
     */
    | {
      readonly type: "corrupt_link";
      readonly from: number;
      readonly to: number;
      readonly probability: number;
    }
    /**
     * Connections between two nodes are reset once, losing what was in flight.
     */
    | { readonly type: "reset"; readonly from: number; readonly to: number }
    /** The machine's wall clock jumps, and jumps back when the fault ends. */
    | {
      readonly type: "clock_jump";
      readonly node: number;
      readonly byMs: number;
    }
    /** The disk is full. */
    | { readonly type: "disk_full"; readonly node: number }
    /** Writes fail with the given probability, with an unknown outcome. */
    | {
      readonly type: "disk_errors";
      readonly node: number;
      readonly probability: number;
    }
    /** Added latency of each sync. */
    | {
      readonly type: "slow_disk";
      readonly node: number;
      readonly delayMs: number;
    }
    /** A stored value is damaged while the node is down for a moment. */
    | { readonly type: "bit_rot"; readonly node: number }
    /**
     * The node is gone (dead, or with `cut` alive and unreachable), and an
     * operator declares it down on another one.
     */
    | {
      readonly type: "declared_down";
      readonly node: number;
      readonly cut: boolean;
    }
  );

/** A type of fault. */
export type FaultType = PlannedFault["type"];

/**
 * Something an operator does to the cluster, from a given time on and retried
 * until it is done; later changes wait for it. A change that makes no sense
 * when its turn comes, such as the leave of a node that is not a member, is
 * skipped.
 */
export type PlannedChange =
  & { readonly atMs: number }
  & (
    /**
     * A node that is not a member starts, if it is not running, and joins.
     * Without `commit` it is only staged, and included in the next commit.
     */
    | {
      readonly type: "join";
      readonly node: number;
      readonly commit: boolean;
    }
    /** A member hands over its partitions and leaves. */
    | {
      readonly type: "leave";
      readonly node: number;
      readonly commit: boolean;
    }
    /**
     * `by`, which is not a member, joins and takes over the partitions of
     * `node`, which leaves.
     */
    | {
      readonly type: "replace";
      readonly node: number;
      readonly by: number;
      readonly commit: boolean;
    }
    /**
     * Once everything is well, the machine is lost for good; the node is
     * declared down and removed.
     */
    | { readonly type: "force_remove"; readonly node: number }
    /** The same, and `by` joins and takes over the partitions of `node`. */
    | {
      readonly type: "force_replace";
      readonly node: number;
      readonly by: number;
    }
    /** Clears what is staged. */
    | { readonly type: "clear" }
    /** Limits the concurrent transfers of a node to `limit`, for a while. */
    | {
      readonly type: "transfer_limit";
      readonly node: number;
      readonly limit: number;
      readonly forMs: number;
    }
    /** Disables transfers from a node, to it, or both, for a while. */
    | {
      readonly type: "handoff_off";
      readonly node: number;
      readonly direction: "inbound" | "outbound" | "both";
      readonly forMs: number;
    }
  );

/** A type of change. */
export type ChangeType = PlannedChange["type"];

/**
 * What can hit the leader of a group: a fault of its process or machine, its
 * links, or its disk.
 */
export type LeaderFault =
  | "kill"
  | "power_loss"
  | "pause"
  /** All links, in both directions. */
  | "cut"
  /** All links to it. */
  | "deaf"
  /** All links from it. */
  | "mute"
  | "disk_full"
  | "disk_errors";

/**
 * A part of a node's Raft files: the write-ahead log that its groups share, or
 * a file of one of them.
 */
export type LogPart = "wal" | "segment" | "manifest" | "snapshot";

/**
 * Something done to the members of a Raft group, from a given time on. Who
 * leads then, and whether the act makes sense, is determined when its turn
 * comes. Membership changes wait for each other and are retried until done.
 */
export type PlannedAct =
  & { readonly atMs: number }
  & (
    /** Adds a member on a node. */
    | {
      readonly type: "add_member";
      readonly node: number;
      readonly kind: "voter" | "non_voter";
    }
    /** Removes a member, with its data. */
    | { readonly type: "remove_member"; readonly node: number }
    /** Asks the leader to transfer leadership to another member. */
    | { readonly type: "transfer"; readonly node: number }
    /** Makes a member take a snapshot and truncate its log. */
    | { readonly type: "snapshot"; readonly node: number }
    /** Makes a member compact its segments. */
    | { readonly type: "compact"; readonly node: number }
    /** Hits the current leader. */
    | {
      readonly type: "leader_fault";
      readonly how: LeaderFault;
      readonly forMs: number;
    }
    /**
     * Flips a bit in a node's Raft files: a member that lost something must not
     * count as having it. The process is down for the given time; with 0 it
     * keeps running, and finds the damage when it reads there.
     */
    | {
      readonly type: "log_rot";
      readonly node: number;
      readonly part: LogPart;
      readonly forMs: number;
    }
    /**
     * The next member that takes a new term, as it does when it votes, loses
     * power a little later.
     */
    | {
      readonly type: "voter_fault";
      readonly afterMs: number;
      readonly forMs: number;
    }
  );

/** A type of act. */
export type ActType = PlannedAct["type"];

/** A Raft group of `ra_kv` on the nodes. */
export interface GroupPlan {
  /** The initial members, all of them voters. */
  readonly members: readonly number[];
  /** Acts on it, in order of time. */
  readonly acts: readonly PlannedAct[];
}

/** Delay and loss on every link, throughout the run. */
export interface NetworkWeather {
  /** Shortest latency of a segment, in milliseconds. */
  readonly delayMsMin: number;
  /** Longest latency of a segment, in milliseconds. */
  readonly delayMsMax: number;
  /**
   * Probability that a segment is lost, and sent again after a retransmission
   * timeout.
   */
  readonly lossProbability: number;
  /**
   * Probability that a segment arrives twice; the receiving system drops the
   * second.
   */
  readonly repeatProbability: number;
  /**
   * Probability that a segment is overtaken by later ones; the receiving system
   * restores the order.
   */
  readonly reorderProbability: number;
}

/** Speed and honesty of the disks. */
export interface DiskWeather {
  /** Shortest time of a synced write, in milliseconds. */
  readonly syncMsMin: number;
  /** Longest time of a synced write, in milliseconds. */
  readonly syncMsMax: number;
  /**
   * Whether disks acknowledge syncs too early: a power loss then loses
   * acknowledged commits.
   */
  readonly liesAboutSync: boolean;
}

/** Everything a run depends on besides the code. */
export interface Schedule {
  /** Source of all random draws. */
  readonly seed: string;
  /** Number of nodes that are members when the load begins. */
  readonly nodes: number;
  /**
   * Number of further machines whose nodes may join, numbered after the
   * members.
   */
  readonly spares: number;
  /** Partitions of the ring. */
  readonly ringSize: number;
  /** Whether the nodes start with a shared ring or join one by one. */
  readonly start: "formed" | "joining";
  /** Whether clients run inside the nodes or connect over the network. */
  readonly clients: "inside" | "connected";
  /** Number of clients, each with one operation at a time. */
  readonly clientCount: number;
  /**
   * Numbers of the operations to perform; each has its own random draws, so
   * that leaving one out changes no other.
   */
  readonly operations: readonly number[];
  /** How long the load and the faults last, in virtual milliseconds. */
  readonly loadMs: number;
  /** Delay and loss on every link. */
  readonly network: NetworkWeather;
  /** Behaviour of every disk. */
  readonly disk: DiskWeather;
  /** Faults of nodes, links, disks and clocks. */
  readonly faults: readonly PlannedFault[];
  /** Changes made by an operator, in order. */
  readonly changes: readonly PlannedChange[];
  /**
   * Raft groups that clients use instead of the ring, if there are any; they
   * share the nodes.
   */
  readonly groups?: readonly GroupPlan[] | undefined;
  /** File sizes of the Raft logs. @default {those of nodes} */
  readonly raftLogs?: RaftLogSizes | undefined;
}
