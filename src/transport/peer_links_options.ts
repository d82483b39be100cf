/**
 * Options and events of a node's links.
 *
 * @module
 */
import type { Backoff } from "../../supervisors/backoff.ts";
import type { Log } from "../environment/log.ts";
import type { Address, Transport } from "../environment/transport.ts";
import type { Runtime } from "../../supervisors/runtime.ts";
import type { KnownIdentity } from "./admission.ts";
import type { Cookie } from "./cookie.ts";
import type { DoorLimits } from "./door.ts";
import type { FailureDetectorOptions } from "./failure_detector.ts";
import { HANDSHAKE_DEADLINE_MS } from "./handshake.ts";
import type { VersionRange } from "./handshake_codec.ts";
import type { Link, LinkClosed, LinkHandler, LinkLimits } from "./link.ts";
import type { LinkIdentity } from "./link_peer.ts";

/** Bounds and intervals of a node's links. */
export interface PeerLinksLimits extends DoorLimits {
  /** Milliseconds for connecting and for the handshake, each. @default {3000} */
  readonly handshakeDeadlineMs?: number;
  /** Waits between attempts to reach a peer. @default {100 ms, doubling up to 2 s, half of each random} */
  readonly reconnect?: Backoff;
  /** Silence in milliseconds after which the link to a peer is closed. @default {5000} */
  readonly peerSilenceMsMax?: number;
  /** The same for clients and bulk links. @default {15000} */
  readonly otherSilenceMsMax?: number;
  /** Clients at once. @default {4096} */
  readonly clientsMax?: number;
}

/** Receives the events. Calls are synchronous; for each link `up` comes first and `down` last. */
export interface PeerLinksEvents {
  /** A peer is reachable. */
  onUp(link: Link): void;
  /** A peer is no longer reachable; also called, before `onUp`, when its link is replaced. */
  onDown(name: string, closed: LinkClosed, link: Link): void;
  /** A peer that is connected has fallen silent. Route around it. */
  onSuspect(name: string): void;
  /** A suspected peer answers again. */
  onAlive(name: string): void;
  /** A frame from any link; `link.peer.kind` says of which kind. As {@linkcode LinkHandler.onFrame}. */
  onFrame: LinkHandler["onFrame"];
  onClientUp(link: Link): void;
  onClientDown(link: Link, closed: LinkClosed): void;
  onBulkUp(link: Link): void;
  onBulkDown(link: Link, closed: LinkClosed): void;
}

/** What a node's links need. */
export interface PeerLinksOptions {
  readonly runtime: Runtime;
  readonly log: Log;
  readonly transport: Transport;
  /** Returns cryptographically secure random bytes. */
  readonly secretBytes: (count: number) => Uint8Array;
  readonly cookie: Cookie;
  /** This node. */
  readonly identity: LinkIdentity;
  readonly events: PeerLinksEvents;
  /** What the node has on record about a name; other nodes are refused that name. */
  readonly knownIdentity: (name: string) => KnownIdentity | undefined;
  /** Where to connect instead of a peer's own address, by name, to put a proxy on a link. */
  readonly addressOverrides?: ReadonlyMap<string, Address>;
  readonly limits?: PeerLinksLimits;
  readonly linkLimits?: LinkLimits;
  readonly failureDetector?: FailureDetectorOptions;
  /** Versions of the protocol to speak. @default {all this program knows} */
  readonly versions?: VersionRange;
}

/** Defaults of {@linkcode PeerLinksLimits}; those of the door are in `door.ts`. */
export const PEER_LINKS_LIMITS: Required<
  Omit<PeerLinksLimits, keyof DoorLimits>
> = {
  handshakeDeadlineMs: HANDSHAKE_DEADLINE_MS,
  reconnect: { minMs: 100, maxMs: 2_000, jitter: 0.5 },
  peerSilenceMsMax: 5_000,
  otherSilenceMsMax: 15_000,
  clientsMax: 4_096,
};
