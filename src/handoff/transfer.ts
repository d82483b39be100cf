/**
 * A transfer: the data of one partition of one module on its way from a vnode to
 * another. What it is called, how far it is, and what can be set about all of
 * them, as plain data.
 *
 * @module
 */

/**
 * Why data moves.
 *
 * - `ownership`: the ring gives the partition to another node;
 * - `hinted`: a node that stood in for the owner, or owned the partition once,
 *   gives it what it holds;
 * - `repair`: a neighbour gives what the two partitions share to one that has
 *   lost it;
 * - `resize`: the ring gets another number of partitions, and the data of one is
 *   spread over those it will have.
 */
export type TransferKind = "ownership" | "hinted" | "repair" | "resize";

/**
 * How far a transfer is.
 *
 *     waiting ─► connecting ─► sending ─► switching ─► done
 *        ▲  └── no free slot      └─ failed ─┘ after a pause
 *        └──────────────────────────────┘
 */
export type TransferState =
  /** For a free slot, for its target to be up, for its turn, or for the end of a pause. */
  | "waiting"
  /** To its target. */
  | "connecting"
  /** Items are under way. */
  | "sending"
  /** Nearly all is there, and what is written follows, until the ring has its new size. */
  | "following"
  /** The vnode stands still until the target has all that it holds. */
  | "switching";

/** A transfer that waits or runs, as one of its ends sees it. */
export interface TransferStatus {
  /** Names the transfer on its source. */
  readonly id: string;
  readonly kind: TransferKind;
  /** Name of the vnode module. */
  readonly module: string;
  /** Which end tells this. */
  readonly direction: "outbound" | "inbound";
  readonly source: string;
  readonly sourcePartition: number;
  /** The node it goes to; `*` for all of them, in a resize. */
  readonly target: string;
  /** The partition it goes to; in a resize, that of the source. */
  readonly targetPartition: number;
  readonly state: TransferState;
  /** Wall clock when it began to connect, in milliseconds since 1970; `null` while it waits for the first time. */
  readonly startedAtMs: number | null;
  /** Items that the target has acknowledged. */
  readonly items: number;
  /** Bytes of them. */
  readonly bytes: number;
  /** Items there were when it began, if the module could say. */
  readonly itemsTotal: number | null;
  /** Items a second over the last seconds; 0 while nothing moves. */
  readonly itemsPerSecond: number;
  /** Bytes a second over the last seconds. */
  readonly bytesPerSecond: number;
  /** Times it was broken off; that its target had no room yet does not count. */
  readonly failures: number;
  /** Why it failed last, or what it waits for. */
  readonly reason: string | null;
}

/** What can be set about the transfers of a node. */
export interface HandoffConfig {
  /** Most transfers at once, in and out together. Source: riak_core's `handoff_concurrency`. */
  readonly concurrency: number;
  /** Whether transfers to others may begin and go on. */
  readonly outbound: boolean;
  /** Whether transfers from others may. */
  readonly inbound: boolean;
}

/** Which transfers something is about, as seen from a node. */
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
  /** Attempts that have been broken off since then. */
  readonly failed: number;
}

/** A partition that is being rebuilt from its neighbours. */
export interface RepairStatus {
  readonly module: string;
  readonly partition: number;
  /** `running` until every neighbour that is up has given what it shares with the partition. */
  readonly state: "running" | "done" | "failed";
  /** Neighbours that have given, and those that have yet to, as `node/partition`. */
  readonly done: readonly string[];
  readonly pending: readonly string[];
  /** Items that have come. */
  readonly items: number;
  /** Why it failed. */
  readonly reason: string | null;
}

/** A partition of which a node stores something, whoever owns it. */
export interface HeldPartition {
  readonly module: string;
  /** Number of its vnode: in a ring that was never resized, its partition. */
  readonly partition: number;
}

/** What an operator may do about the transfers of a node. */
export interface HandoffControl {
  /** What runs and waits now. */
  status(): HandoffStatus;
  /**
   * Sets how many may run at once, now: surplus ones are stopped and wait.
   *
   * @throws {WhorlError} `invalid_argument` unless `concurrency` is a whole number from 0 to 1,024.
   */
  setConcurrency(concurrency: number): HandoffConfig;
  /** Lets transfers of `direction` go on or stops them; those that run pause and are resumed later. */
  setEnabled(direction: TransferDirection, enabled: boolean): HandoffConfig;
  /**
   * Rebuilds a partition this node owns from its neighbours, in `module` or in
   * all. Resolves as soon as it runs.
   *
   * @throws {WhorlError} `invalid_argument` if there is no such partition or
   * module, `wrong_owner` naming who owns it, `ownership_change_in_progress` if it is moving.
   */
  repair(partition: number, module: string | null): Promise<RepairStatus[]>;
  /** Repairs that run or have ended, newest first. */
  repairs(): readonly RepairStatus[];
  /** What this node stores something of: its own partitions, and those it holds for others. In no particular order. */
  heldPartitions(): Promise<readonly HeldPartition[]>;
}
