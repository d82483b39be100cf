/**
 * The interface of the cluster side of a node: what it needs from the node, and
 * what it tells its subscribers.
 *
 * @module
 */
import type { Runtime } from "../../supervisors/runtime.ts";
import type { Chance } from "../base/chance.ts";
import type { Log } from "../environment/log.ts";
import type { Address } from "../environment/transport.ts";
import type { MemberStatus, PendingTransfer, Ring } from "../ring/ring.ts";
import type { NodeFacts } from "../ring/ring_change.ts";
import type {
  Capability,
  CapabilityChange,
  CapabilityOverrides,
} from "./capability.ts";

/** What the cluster needs from the node it runs in. */
export interface ClusterWorld {
  /** Monotonic time and timers. */
  readonly runtime: Runtime;
  /** Wall clock in milliseconds since 1970. */
  wallClock(): number;
  /** Seeded randomness, to choose gossip partners. */
  readonly chance: Chance;
  /** For changes of the ring. */
  readonly log: Log;
  /** 16 random lowercase hex digits, the seed of a new cluster's id. */
  newSeed(): string;
  /** Sends a frame to a node; `false` if there is no link to it now. `payload` may be reused afterwards. */
  send(node: string, frameType: number, payload: Uint8Array): boolean;
  /** The other members and their addresses: keep links to exactly these. */
  peersChanged(peers: ReadonlyMap<string, Address>): void;
  /** Stores the ring in place of the last one; durable when it resolves. Never called concurrently. */
  storeRing(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** The ring could not be stored. The node must not continue with a ring that is not durable. */
  storeFailed(error: unknown): void;
  /**
   * Whether this node, which is leaving and owns nothing any more, may exit: it
   * may still hold data that belongs to others. Called when the ring changes,
   * about once a second, and by `ClusterProcess.exitIfReady`.
   *
   * @default {always}
   */
  readyToExit?(): boolean;
  /**
   * The `joinOffer()` of the node at `address`. @throws {WhorlError}
   * `not_reachable`, or the reason that the handshake was refused.
   */
  fetchJoinOffer(address: Address): Promise<Uint8Array>;
}

/** Options of the cluster side of a node. */
export interface ClusterOptions {
  /** This node, as published to the others. */
  readonly node: NodeFacts;
  /** Increases with each start of this node. */
  readonly incarnation: number;
  /** Name of the cluster; only nodes with the same one can join. */
  readonly clusterName: string;
  /** Partitions of the ring, if this node starts a new cluster. */
  readonly ringSize: number;
  /** What `storeRing` stored last, or `null` at the first start. */
  readonly storedRing: Uint8Array | null;
  /** What this node supports. @default {Whorl's own capabilities} */
  readonly capabilities?: readonly Capability[];
  /** Overrides by its operator. @default {none} */
  readonly capabilityOverrides?: CapabilityOverrides;
  /** Consecutive partitions that should belong to different nodes. @default {4} */
  readonly targetN?: number;
  /** Time between digests to a random member, in milliseconds; only lost messages need it. @default {1000} */
  readonly gossipIntervalMs?: number;
  /** Time between broadcasts of the own services, in milliseconds; only lost messages need it. @default {10000} */
  readonly servicesIntervalMs?: number;
  /** How long a plan or a commit waits for the members to agree, and a join for the claimant, in milliseconds. @default {5000} */
  readonly waitMs?: number;
}

/** Events for subscribers. Rings are durable before they are reported. */
export type ClusterChange =
  | {
    readonly type: "ring_changed";
    readonly ring: Ring;
    readonly ringVersion: number;
  }
  /** Whether all members agree on the ring. */
  | { readonly type: "ring_ready"; readonly ready: boolean }
  | {
    readonly type: "member_changed";
    readonly node: string;
    readonly before: MemberStatus | null;
    readonly after: MemberStatus;
  }
  /** Partitions of this node that must be handed over; answer with `transferComplete`. Repeated with each ring until then. */
  | {
    readonly type: "transfers_pending";
    readonly transfers: readonly PendingTransfer[];
  }
  | {
    readonly type: "services_changed";
    readonly service: string;
    /** Nodes that offer it now, sorted. */
    readonly up: readonly string[];
  }
  | { readonly type: "node_up"; readonly node: string }
  | CapabilityChange
  | {
    readonly type: "node_down";
    readonly node: string;
    readonly reason: string;
  }
  /** The cluster has removed this node, which was only joining. It continues alone in a new ring. */
  | { readonly type: "removed" }
  /**
   * This node is no longer a member: it has left, or was removed by force. A
   * new ring, in which it is alone, is stored for its next start. That ring is
   * not reported, and the node should stop: its remaining clients believe that
   * they write to the former cluster.
   */
  | { readonly type: "left" };

/** Options of a join. */
export interface JoinOptions {
  /**
   * Whether the join waits for a plan and a commit. Otherwise the node becomes a
   * member at once, and partitions begin to move to it.
   *
   * @default {true}
   */
  readonly staged?: boolean | undefined;
  /** The expected node; a node of another name at the address is not joined. @default {any} */
  readonly node?: string | undefined;
}

/** The result of staging a change. */
export interface StageResult {
  /** The member concerned. */
  readonly node: string;
  /** Whether it waits for a commit; false for a member that was only joining, which is removed at once. */
  readonly staged: boolean;
}

/** The result of staging a resize. */
export interface ResizeResult {
  /** The present ring size. */
  readonly ringSize: number;
  /** The ring size after a commit; `null` if it stays the same. */
  readonly stagedSize: number | null;
}

/** The result of a join. */
export interface JoinResult {
  /** The member whose cluster was joined. */
  readonly joined: string;
  /** Whether the claimant is known to have the join, so that a plan will contain it. */
  readonly claimantKnows: boolean;
}
