/**
 * A transfer moves the data of one partition of a module from one vnode to
 * another. This module has its names, its progress and its settings, as plain
 * data.
 *
 * @module
 */

/**
 * Why data moves.
 *
 * - `ownership`: the ring gives the partition to another node;
 * - `hinted`: a fallback, or a former owner of the partition, hands over what
 *   it holds;
 * - `repair`: a neighbour sends what it shares with a partition that lost its
 *   data;
 * - `resize`: the ring gets another number of partitions, and the data of each
 *   is spread over the new ones.
 */
export type TransferKind = "ownership" | "hinted" | "repair" | "resize";

/**
 * The state of a transfer.
 *
 *     waiting ─► connecting ─► sending ─► switching ─► done
 *        ▲  └── no free slot      └─ failed ─┘ after a pause
 *        └──────────────────────────────┘
 */
export type TransferState =
  /**
   * For a free slot, for its target to be up, for its turn, or for the end of a
   * pause.
   */
  | "waiting"
  /** Connecting to its target. */
  | "connecting"
  /** Sending items. */
  | "sending"
  /**
   * Nearly everything is copied, and new writes are forwarded until the ring
   * has its new size.
   */
  | "following"
  /** The vnode stands still until the target has everything. */
  | "switching";

/** A transfer that waits or runs, as seen by one of its ends. */
export interface TransferStatus {
  /** Identifies the transfer on its source. */
  readonly id: string;
  readonly kind: TransferKind;
  /** Name of the vnode module. */
  readonly module: string;
  /** Which end reports this. */
  readonly direction: "outbound" | "inbound";
  readonly source: string;
  readonly sourcePartition: number;
  /** The node it goes to; `*` for all of them, in a resize. */
  readonly target: string;
  /** The partition it goes to; in a resize, that of the source. */
  readonly targetPartition: number;
  readonly state: TransferState;
  /**
   * Wall clock when it was first started, in milliseconds since 1970; `null`
   * before that.
   */
  readonly startedAtMs: number | null;
  /** Items that the target has acknowledged. */
  readonly items: number;
  /** Bytes of them. */
  readonly bytes: number;
  /** Number of items when it began, if the module knew. */
  readonly itemsTotal: number | null;
  /** Items per second over the last few seconds; 0 while nothing moves. */
  readonly itemsPerSecond: number;
  /** Bytes per second over the last few seconds. */
  readonly bytesPerSecond: number;
  /**
   * How often it was broken off; refusals because its target has no room do not
   * count.
   */
  readonly failures: number;
  /** Why it last failed, or what it waits for. */
  readonly reason: string | null;
}

/** Settings of the transfers of a node. */
export interface HandoffConfig {
  /**
   * Most concurrent transfers, inbound and outbound together. Source:
   * riak_core's `handoff_concurrency`.
   */
  readonly concurrency: number;
  /** Whether outbound transfers may run. */
  readonly outbound: boolean;
  /** Whether inbound transfers may run. */
  readonly inbound: boolean;
}

/** A direction of transfers, as seen from a node. */
export type TransferDirection = "inbound" | "outbound" | "both";

/** The transfers of one node. */
export interface HandoffStatus {
  /** The node. */
  readonly node: string;
  readonly config: HandoffConfig;
  /** Those that run or wait here, outbound ones first. */
  readonly transfers: readonly TransferStatus[];
  /** Transfers that have ended since the node started. */
  readonly completed: number;
  /** Attempts that were broken off since then. */
  readonly failed: number;
}

/** A partition that is being rebuilt from its neighbours. */
export interface RepairStatus {
  readonly module: string;
  readonly partition: number;
  /**
   * `running` until every neighbour has sent what it shares with the partition.
   */
  readonly state: "running" | "done" | "failed";
  /**
   * Neighbours that have sent their share, and those that have not, as
   * `node/partition`.
   */
  readonly done: readonly string[];
  readonly pending: readonly string[];
  /** Items received. */
  readonly items: number;
  /** Why it failed. */
  readonly reason: string | null;
}

/** A partition of which a node stores data, whoever owns it. */
export interface HeldPartition {
  readonly module: string;
  /** Number of its vnode: in a ring that was never resized, its partition. */
  readonly partition: number;
}

/** What an operator can do about the transfers of a node. */
export interface HandoffControl {
  /** The transfers that run and wait now. */
  status(): HandoffStatus;
  /**
   * Sets how many may run at once; surplus ones are stopped at once, and wait.
   *
   * @throws {WhorlError} `invalid_argument` unless `concurrency` is a whole number from 0 to 1,024.
   */
  setConcurrency(concurrency: number): HandoffConfig;
  /**
   * Enables or disables transfers of `direction`; running ones stop, and are
   * resumed later.
   */
  setEnabled(direction: TransferDirection, enabled: boolean): HandoffConfig;
  /**
   * Rebuilds a partition of this node from its neighbours, in `module` or in
   * all. Resolves as soon as the repair runs.
   *
   * @throws {WhorlError} `invalid_argument` if there is no such partition or
   * module, `wrong_owner` naming the owner, `ownership_change_in_progress` if
   * it is moving.
   */
  repair(partition: number, module: string | null): Promise<RepairStatus[]>;
  /** Repairs that are running or have ended, newest first. */
  repairs(): readonly RepairStatus[];
  /**
   * The partitions this node stores data of: its own, and those it holds for
   * others. In no particular order.
   */
  heldPartitions(): Promise<readonly HeldPartition[]>;
}
