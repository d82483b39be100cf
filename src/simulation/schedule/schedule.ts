/**
 * What a seed comes to: how many nodes, what is asked of them, what is done to
 * them, and when. Drawn before anything runs, as plain data, so that it can be
 * printed, kept, and made smaller piece by piece without the rest changing.
 *
 * @module
 */
import type { RaftLogSizes } from "../../raft/raft_log_sizes.ts";

/** Something that is done to the cluster at a certain time. Times are virtual milliseconds after the load begins. */
export type PlannedFault =
  & { readonly atMs: number; readonly forMs: number }
  & (
    /** The process dies, its machine's memory does not; it starts again when the fault ends. */
    | { readonly type: "kill"; readonly node: number }
    /** The machine loses power: what was not synced is gone, or torn. */
    | { readonly type: "power_loss"; readonly node: number }
    /** The process stands still (SIGSTOP). */
    | { readonly type: "pause"; readonly node: number }
    /** The links between the sides carry nothing in the given directions; `break` also resets connections. */
    | {
      readonly type: "partition";
      readonly from: readonly number[];
      readonly to: readonly number[];
      readonly oneWay: boolean;
      readonly break: boolean;
    }
    /** Everything from one node to another takes so much longer. */
    | {
      readonly type: "slow_link";
      readonly from: number;
      readonly to: number;
      readonly delayMs: number;
    }
    /** Of what one node writes to another, each piece has a changed bit with the given probability. */
    | {
      readonly type: "corrupt_link";
      readonly from: number;
      readonly to: number;
      readonly probability: number;
    }
    /** Connections between two nodes are reset once, with what was under way. */
    | { readonly type: "reset"; readonly from: number; readonly to: number }
    /** The machine's wall clock jumps by so much, and back when the fault ends. */
    | {
      readonly type: "clock_jump";
      readonly node: number;
      readonly byMs: number;
    }
    /** The disk is full. */
    | { readonly type: "disk_full"; readonly node: number }
    /** Writes fail with the given probability, their outcome unknown. */
    | {
      readonly type: "disk_errors";
      readonly node: number;
      readonly probability: number;
    }
    /** Each sync takes so much longer. */
    | {
      readonly type: "slow_disk";
      readonly node: number;
      readonly delayMs: number;
    }
    /** A stored value is damaged while the node is down for a moment. */
    | { readonly type: "bit_rot"; readonly node: number }
    /** The node is gone (dead, or with `cut` alive and unreachable), and an operator declares it down on another one. */
    | {
      readonly type: "declared_down";
      readonly node: number;
      readonly cut: boolean;
    }
  );

/** The name of a kind of fault. */
export type FaultType = PlannedFault["type"];

/**
 * Something an operator does to the cluster, begun at a certain time and tried
 * until it is done; what comes later waits for it. What makes no sense when its
 * turn comes, such as the leave of a node that is no member, is left out.
 */
export type PlannedChange =
  & { readonly atMs: number }
  & (
    /** A node that is no member starts, if it does not run, and joins. Without `commit` it is only staged: the next commit takes it along. */
    | {
      readonly type: "join";
      readonly node: number;
      readonly commit: boolean;
    }
    /** A member hands over what it owns and leaves. */
    | {
      readonly type: "leave";
      readonly node: number;
      readonly commit: boolean;
    }
    /** `by`, which is no member, joins and gets what `node` owns, which leaves. */
    | {
      readonly type: "replace";
      readonly node: number;
      readonly by: number;
      readonly commit: boolean;
    }
    /** Once all is well the machine dies for good; the node is declared down and removed. */
    | { readonly type: "force_remove"; readonly node: number }
    /** The same, and `by` joins and owns what `node` did. */
    | {
      readonly type: "force_replace";
      readonly node: number;
      readonly by: number;
    }
    /** What is staged is forgotten. */
    | { readonly type: "clear" }
    /** At most `limit` transfers at once in a node, for a while. */
    | {
      readonly type: "transfer_limit";
      readonly node: number;
      readonly limit: number;
      readonly forMs: number;
    }
    /** No transfers from, to, or from and to a node, for a while. */
    | {
      readonly type: "handoff_off";
      readonly node: number;
      readonly direction: "inbound" | "outbound" | "both";
      readonly forMs: number;
    }
  );

/** The name of a kind of change. */
export type ChangeType = PlannedChange["type"];

/** What befalls the leader of a group: its process or machine, its links, its disk. */
export type LeaderFault =
  | "kill"
  | "power_loss"
  | "pause"
  /** Nothing gets to it or from it. */
  | "cut"
  /** Nothing gets to it. */
  | "deaf"
  /** Nothing gets from it. */
  | "mute"
  | "disk_full"
  | "disk_errors";

/** A part of what a node keeps of its Raft groups: the write-ahead log that they share, or a file of one of them. */
export type LogPart = "wal" | "segment" | "manifest" | "snapshot";

/**
 * Something that is done to the members of a Raft group, begun at a certain
 * time. Who leads then, and what makes no sense then, is found out when its turn
 * comes. Changes of the members wait for each other and are tried until done.
 */
export type PlannedAct =
  & { readonly atMs: number }
  & (
    /** A node gets a member of the group. */
    | {
      readonly type: "add_member";
      readonly node: number;
      readonly kind: "voter" | "non_voter";
    }
    /** A member leaves the group, and what it stored goes. */
    | { readonly type: "remove_member"; readonly node: number }
    /** The leader is asked to let another member lead. */
    | { readonly type: "transfer"; readonly node: number }
    /** A member stores its state, and lets the log go up to there. */
    | { readonly type: "snapshot"; readonly node: number }
    /** A member tidies its segments. */
    | { readonly type: "compact"; readonly node: number }
    /** Whoever leads is struck. */
    | {
      readonly type: "leader_fault";
      readonly how: LeaderFault;
      readonly forMs: number;
    }
    /**
     * A bit of what a node keeps of its groups is another from now on: a member
     * that lost something must not count as if it had it. The process ends for
     * so long meanwhile; with 0 it goes on, and finds out when it reads there.
     */
    | {
      readonly type: "log_rot";
      readonly node: number;
      readonly part: LogPart;
      readonly forMs: number;
    }
    /** The next member that takes a new term, as it does when it votes, loses power a little later. */
    | {
      readonly type: "voter_fault";
      readonly afterMs: number;
      readonly forMs: number;
    }
  );

/** The name of a kind of act. */
export type ActType = PlannedAct["type"];

/** A Raft group of `ra_kv` on the nodes. */
export interface GroupPlan {
  /** The nodes that have a member from the start, all of them voters. */
  readonly members: readonly number[];
  /** What is done to it, in the order of time. */
  readonly acts: readonly PlannedAct[];
}

/** The weather on every link, all the time. */
export interface NetworkWeather {
  /** Shortest way of a segment, in milliseconds. */
  readonly delayMsMin: number;
  /** Longest way of a segment, in milliseconds. */
  readonly delayMsMax: number;
  /** Segments that are lost, and come again after a retransmission timeout. */
  readonly lossProbability: number;
  /** Segments that come twice; the receiver's system drops the second. */
  readonly repeatProbability: number;
  /** Segments that are overtaken by later ones; the receiver's system puts them in order. */
  readonly reorderProbability: number;
}

/** How fast and how honest the disks are. */
export interface DiskWeather {
  /** Shortest time of a synced write, in milliseconds. */
  readonly syncMsMin: number;
  /** Longest time of a synced write, in milliseconds. */
  readonly syncMsMax: number;
  /** A disk that says "synced" too early: power loss takes acknowledged commits with it. */
  readonly liesAboutSync: boolean;
}

/** Everything a run depends on besides the code. */
export interface Schedule {
  /** Where all chance comes from. */
  readonly seed: string;
  /** How many nodes are members when the load begins. */
  readonly nodes: number;
  /** How many machines there are besides, whose nodes may join; they are numbered after those of the members. */
  readonly spares: number;
  /** Partitions of the ring. */
  readonly ringSize: number;
  /** Whether the nodes start with a ring they share or join one by one. */
  readonly start: "formed" | "joining";
  /** Whether clients live in the nodes or connect over the network. */
  readonly clients: "inside" | "connected";
  /** How many clients, each with one operation at a time. */
  readonly clientCount: number;
  /** Numbers of the operations that are carried out; each is drawn from its own chance, so that leaving one out changes no other. */
  readonly operations: readonly number[];
  /** How long the load and the faults last, in virtual milliseconds. */
  readonly loadMs: number;
  /** The weather on every link. */
  readonly network: NetworkWeather;
  /** The weather of every disk. */
  readonly disk: DiskWeather;
  /** What happens to nodes, links and clocks, and when. */
  readonly faults: readonly PlannedFault[];
  /** What an operator does to the cluster, in the order in which it is done. */
  readonly changes: readonly PlannedChange[];
  /** Raft groups that clients work on instead of the ring, if there are any; they share what the nodes have. */
  readonly groups?: readonly GroupPlan[] | undefined;
  /** How large the logs of these grow before they are tidied. @default {as nodes do} */
  readonly raftLogs?: RaftLogSizes | undefined;
}
