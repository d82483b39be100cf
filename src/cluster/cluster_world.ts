/**
 * The two sides of the cluster part of a node: what it needs from the node, and
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
  /** Seeded chance, for whom to gossip with. */
  readonly chance: Chance;
  /** Where changes of the ring are told. */
  readonly log: Log;
  /** 16 lowercase hex digits that cannot be guessed, to name a new cluster. */
  newSeed(): string;
  /** Sends a frame to a node; `false` if there is no link to it now. `payload` is free again afterwards. */
  send(node: string, frameType: number, payload: Uint8Array): boolean;
  /** The other members, and where they listen: keep links to these and to no others. */
  peersChanged(peers: ReadonlyMap<string, Address>): void;
  /** Stores the ring in place of the last one; durable when it resolves. Never asked twice at a time. */
  storeRing(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** The ring could not be stored. The node must not go on with what it cannot remember. */
  storeFailed(error: unknown): void;
  /**
   * Whether this node, which is leaving and owns nothing any more, may go: it may
   * still hold data of others. Asked when the ring changes, about once a second,
   * and by `ClusterProcess.exitIfReady`.
   *
   * @default {always}
   */
  readyToExit?(): boolean;
  /** The `joinOffer()` of the node at `address`. @throws {WhorlError} `not_reachable` and whatever the handshake refuses with. */
  fetchJoinOffer(address: Address): Promise<Uint8Array>;
}

/** How to run the cluster part of a node. */
export interface ClusterOptions {
  /** This node, as the others will know it. */
  readonly node: NodeFacts;
  /** Grows with each start of this node. */
  readonly incarnation: number;
  /** Name of the cluster; only nodes with the same one can join. */
  readonly clusterName: string;
  /** Partitions of the ring, if this node begins a cluster of its own. */
  readonly ringSize: number;
  /** What `storeRing` stored last, or `null` at the first start. */
  readonly storedRing: Uint8Array | null;
  /** What this node supports. @default {what Whorl itself does} */
  readonly capabilities?: readonly Capability[];
  /** What its operator says about that. @default {nothing} */
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

/** What subscribers are told. Rings are durable before anybody hears of them. */
export type ClusterChange =
  | {
    readonly type: "ring_changed";
    readonly ring: Ring;
    readonly ringVersion: number;
  }
  /** Whether all members agree on the ring has changed. */
  | { readonly type: "ring_ready"; readonly ready: boolean }
  | {
    readonly type: "member_changed";
    readonly node: string;
    readonly before: MemberStatus | null;
    readonly after: MemberStatus;
  }
  /** Partitions of this node that wait to move; answer with `transferComplete`. Told again with each ring until they have. */
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
  /** The cluster has let this node go that was only joining. It stands alone in a new ring and lives on. */
  | { readonly type: "removed" }
  /**
   * This node is a member no longer: it has left, or was removed by force. A new
   * ring in which it stands alone is stored for its next start. Nothing of that
   * ring is told, and the node should stop: clients that still hold on to it
   * believe to write to the cluster it was in.
   */
  | { readonly type: "left" };

/** How to join. */
export interface JoinOptions {
  /**
   * Whether the join waits for a plan and a commit. Otherwise the node becomes a
   * member at once, and partitions begin to move to it.
   *
   * @default {true}
   */
  readonly staged?: boolean | undefined;
  /** Who is meant; a node of another name that answers at the address is not joined. @default {whoever it is} */
  readonly node?: string | undefined;
}

/** What came of a change that was to be staged. */
export interface StageResult {
  /** The member it is about. */
  readonly node: string;
  /** Whether it waits for a commit; false for a member that was only joining, which is let go at once. */
  readonly staged: boolean;
}

/** What came of a resize that was to be staged. */
export interface ResizeResult {
  /** Partitions of the ring as it is. */
  readonly ringSize: number;
  /** Partitions it is to have after a commit; `null` if it is to stay as it is. */
  readonly stagedSize: number | null;
}

/** What a join came to. */
export interface JoinResult {
  /** The member whose cluster was joined. */
  readonly joined: string;
  /** Whether the claimant is known to have heard, so that a plan will contain the join. */
  readonly claimantKnows: boolean;
}
