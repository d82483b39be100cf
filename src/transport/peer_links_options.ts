/**
 * What a node tells its links, and what they tell it.
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
  /** Milliseconds for connecting and shaking hands, each. @default {3000} */
  readonly handshakeDeadlineMs?: number;
  /** Waits between attempts to reach a peer. @default {100 ms, doubling up to 2 s, half of each left to chance} */
  readonly reconnect?: Backoff;
  /** Silence in milliseconds after which the link to a peer is given up. @default {5000} */
  readonly peerSilenceMsMax?: number;
  /** The same for clients and bulk links. @default {15000} */
  readonly otherSilenceMsMax?: number;
  /** Clients at once. @default {4096} */
  readonly clientsMax?: number;
}

/** Who is told. Calls are synchronous; for one link `up` comes first and `down` last. */
export interface PeerLinksEvents {
  /** A peer is reachable. */
  onUp(link: Link): void;
  /** A peer is no longer reachable; also comes, before `onUp`, when its link is replaced. */
  onDown(name: string, closed: LinkClosed, link: Link): void;
  /** A peer that is connected has fallen silent. Route around it. */
  onSuspect(name: string): void;
  /** A suspected peer answers again. */
  onAlive(name: string): void;
  /** A frame of any link; `link.peer.kind` tells of which. As {@linkcode LinkHandler.onFrame}. */
  onFrame: LinkHandler["onFrame"];
  onClientUp(link: Link): void;
  onClientDown(link: Link, closed: LinkClosed): void;
  onBulkUp(link: Link): void;
  onBulkDown(link: Link, closed: LinkClosed): void;
}

/** What a node's links stand on. */
export interface PeerLinksOptions {
  readonly runtime: Runtime;
  readonly log: Log;
  readonly transport: Transport;
  /** Bytes nobody can guess. */
  readonly secretBytes: (count: number) => Uint8Array;
  readonly cookie: Cookie;
  /** This node. */
  readonly identity: LinkIdentity;
  readonly events: PeerLinksEvents;
  /** What the node has on record of a name; another node is refused that name. */
  readonly knownIdentity: (name: string) => KnownIdentity | undefined;
  /** Where to connect instead of a peer's own address, by name, so that a proxy can stand on any link. */
  readonly addressOverrides?: ReadonlyMap<string, Address>;
  readonly limits?: PeerLinksLimits;
  readonly linkLimits?: LinkLimits;
  readonly failureDetector?: FailureDetectorOptions;
  /** Versions of the protocol to speak. @default {all this program knows} */
  readonly versions?: VersionRange;
}

/** Values of {@linkcode PeerLinksLimits} that are used when none is given; the door's stand with it. */
export const PEER_LINKS_LIMITS: Required<
  Omit<PeerLinksLimits, keyof DoorLimits>
> = {
  handshakeDeadlineMs: HANDSHAKE_DEADLINE_MS,
  reconnect: { minMs: 100, maxMs: 2_000, jitter: 0.5 },
  peerSilenceMsMax: 5_000,
  otherSilenceMsMax: 15_000,
  clientsMax: 4_096,
};
