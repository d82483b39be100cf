/**
 * The two ends of a link, as the handshake establishes them.
 *
 * @module
 */
import type { Address } from "../environment/transport.ts";

/**
 * What a link is for: `peer` carries control and data between two nodes, `bulk`
 * carries handoff and snapshots so that they delay no request, `client` serves
 * one client.
 */
export type LinkKind = "peer" | "bulk" | "client";

/** What an end of a link says about itself. */
export interface LinkIdentity {
  /** Name of the node, or a random one for a client. 1 to 255 bytes, printable. */
  readonly name: string;
  /** The identity that is stored with the node's data, or a random one for a client. */
  readonly nodeId: string;
  /** Grows with every start of the node, to tell a new process from an old one. */
  readonly incarnation: number;
  /** The cluster it belongs to; empty for a client that takes any. */
  readonly cluster: string;
}

/** The other end of an authenticated link. */
export interface LinkPeer extends LinkIdentity {
  readonly kind: LinkKind;
  /** Its address as the transport sees it; if it connected to us, not the one it listens on. */
  readonly address: Address;
  /** Which end opened the link. */
  readonly openedBy: "this_node" | "other_node";
  /** Version of the protocol both ends speak on this link. */
  readonly protocolVersion: number;
  /** 32 hex digits, the same at both ends and different for every link. */
  readonly linkId: string;
}
