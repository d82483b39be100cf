/**
 * Mutual authentication of a new connection: both ends prove that they know the
 * cluster's cookie, and learn who the other is. This file only decides;
 * `handshake.ts` reads, writes and enforces the deadline.
 *
 *     opener                                accepter
 *       hello(versions, kind, who, nonce) ──►
 *         ◄── challenge(versions, who, nonce)
 *       proof(last link, MAC) ──►              is it admitted?
 *         ◄── welcome(MAC)
 *
 * Each MAC is HMAC-SHA-256 under the cookie over the sender's role and every
 * byte of hello and challenge. The nonces are fresh, so a recorded handshake
 * cannot be replayed; the roles differ, so a MAC cannot be reflected to its
 * sender; versions and names are covered, so they cannot be changed on the way.
 * The opener proves itself first: a stranger who connects gets no MAC to test
 * guessed cookies against. Refusals that depend on the node's state (names,
 * identities) go only to those who know the cookie.
 *
 * @module
 */
import { type ErrorCode, reasonOf, WhorlError } from "../base/errors.ts";
import type { Address } from "../environment/transport.ts";
import { FrameType } from "../wire/frame_type.ts";
import type { Cookie } from "./cookie.ts";
import {
  decodeChallenge,
  decodeHello,
  decodeProof,
  decodeRefused,
  decodeWelcome,
  encodeChallenge,
  encodeHello,
  encodeProof,
  encodeRefused,
  LINK_ID_BYTES,
  type RefusalReason,
  sharedVersion,
  type VersionRange,
} from "./handshake_codec.ts";
import type { LinkIdentity, LinkKind, LinkPeer } from "./link_peer.ts";

/** Inputs of a handshake. */
export type HandshakeEvent =
  | { type: "start" }
  | { type: "frame"; frameType: number; payload: Uint8Array }
  /** Bytes came that are not a frame. */
  | { type: "garbage"; error: WhorlError }
  /** The answer to `consider`; the opener gives its `lastLinkId`. */
  | { type: "admitted"; lastLinkId?: string }
  | { type: "rejected"; reason: RefusalReason }
  | { type: "deadline" }
  | { type: "stream_ended"; reason: string };

/** What a handshake asks its shell to do. */
export type HandshakeEffect =
  | { type: "send"; frameType: number; payload: Uint8Array<ArrayBuffer> }
  /** Ask the node whether it wants a link with this end; on the opener, before the other end has proved anything. */
  | { type: "consider"; candidate: Candidate }
  | { type: "succeed"; peer: LinkPeer }
  | { type: "fail"; error: WhorlError; told: boolean };

/** An end that would become a peer. */
export interface Candidate extends LinkPeer {
  /** For an end that connected to us: its last link with this node. 32 hex digits, zeros for none. */
  readonly lastLinkId: string;
}

/** Inputs that are fixed for a handshake. */
export interface HandshakeOptions {
  readonly role: "opener" | "accepter";
  /** The kind of link to open, for the opener; the accepter takes any. */
  readonly kind?: LinkKind;
  readonly identity: LinkIdentity;
  readonly cookie: Cookie;
  readonly versions: VersionRange;
  /** 32 fresh secret bytes, used for this handshake only. */
  readonly nonce: Uint8Array;
  /** The other end's address, for messages. */
  readonly address: Address;
}

/** A handshake in progress. */
export interface HandshakeState {
  readonly options: HandshakeOptions;
  phase:
    | "starting"
    | "awaiting_hello"
    | "awaiting_challenge"
    | "awaiting_proof"
    | "awaiting_welcome"
    | "considering"
    | "done";
  /** The bytes both MACs cover. */
  hello: Uint8Array<ArrayBuffer>;
  challenge: Uint8Array<ArrayBuffer>;
  candidate: Candidate | undefined;
}

const ENCODER = new TextEncoder();
const OPENER = ENCODER.encode("whorl handshake 1, opener");
const ACCEPTER = ENCODER.encode("whorl handshake 1, accepter");
const LINK_ID = ENCODER.encode("whorl handshake 1, link id");
const NO_LINK_ID = "0".repeat(2 * LINK_ID_BYTES);

/** A handshake that has not begun. */
export function createHandshake(options: HandshakeOptions): HandshakeState {
  return {
    options,
    phase: "starting",
    hello: new Uint8Array(0),
    challenge: new Uint8Array(0),
    candidate: undefined,
  };
}

/** Advances the handshake by one event; `state` has one owner and changes in place. */
export function stepHandshake(
  state: HandshakeState,
  event: HandshakeEvent,
): HandshakeEffect[] {
  if (state.phase === "done") return [];
  switch (event.type) {
    case "start":
      return start(state);
    case "frame":
      try {
        return onFrame(state, event.frameType, event.payload);
      } catch (error) {
        // The decoders throw this for invalid input; anything else is our own
        // bug.
        if (!(error instanceof WhorlError)) throw error;
        return refuse(state, "protocol_error", reasonOf(error));
      }
    case "garbage":
      return refuse(state, "protocol_error", event.error.message);
    case "admitted":
      return onAdmitted(state, event.lastLinkId ?? NO_LINK_ID);
    case "rejected":
      return refuse(state, event.reason);
    case "deadline":
      return refuse(state, "timeout");
    case "stream_ended":
      return fail(
        state,
        "handshake_failed",
        `the connection ended in the middle of the handshake (${event.reason})`,
        false,
      );
    default:
      return event satisfies never;
  }
}

function start(state: HandshakeState): HandshakeEffect[] {
  const { role, versions, kind, identity, nonce } = state.options;
  if (role === "accepter") {
    state.phase = "awaiting_hello";
    return [];
  }
  state.phase = "awaiting_challenge";
  state.hello = encodeHello(versions, kind ?? "peer", identity, nonce);
  return [send(FrameType.hello, state.hello)];
}

function onFrame(
  state: HandshakeState,
  frameType: number,
  payload: Uint8Array,
): HandshakeEffect[] {
  if (frameType === FrameType.refused && state.options.role === "opener") {
    const { reason, versions } = decodeRefused(payload);
    return fail(state, ...explain(state, reason, versions), true);
  }
  if (frameType === FrameType.hello && state.phase === "awaiting_hello") {
    return onHello(state, payload);
  }
  if (
    frameType === FrameType.challenge && state.phase === "awaiting_challenge"
  ) return onChallenge(state, payload);
  if (frameType === FrameType.proof && state.phase === "awaiting_proof") {
    return onProof(state, payload);
  }
  if (frameType === FrameType.welcome && state.phase === "awaiting_welcome") {
    return onWelcome(state, payload);
  }
  return refuse(
    state,
    "protocol_error",
    `a frame of type ${frameType} came while ${state.phase.replace("_", " ")}`,
  );
}

function onHello(
  state: HandshakeState,
  payload: Uint8Array,
): HandshakeEffect[] {
  const { versions, identity, nonce } = state.options;
  const hello = decodeHello(payload, versions);
  if (hello.body === undefined) {
    return refuse(state, "wrong_version", undefined, hello.versions);
  }
  const { kind, identity: theirs } = hello.body;
  if (!clustersMatch(identity, theirs, kind)) {
    return refuse(state, "wrong_cluster");
  }
  state.hello = payload.slice();
  state.challenge = encodeChallenge(versions, identity, nonce);
  state.candidate = candidate(state, theirs, kind, hello.versions);
  state.phase = "awaiting_proof";
  return [
    send(FrameType.challenge, state.challenge),
  ];
}

function onChallenge(
  state: HandshakeState,
  payload: Uint8Array,
): HandshakeEffect[] {
  const { versions, identity, kind = "peer" } = state.options;
  const challenge = decodeChallenge(payload, versions);
  if (sharedVersion(versions, challenge.versions) === undefined) {
    return refuse(state, "wrong_version", undefined, challenge.versions);
  }
  if (!clustersMatch(challenge.identity, identity, kind)) {
    return refuse(state, "wrong_cluster");
  }
  state.challenge = payload.slice();
  state.candidate = candidate(
    state,
    challenge.identity,
    kind,
    challenge.versions,
  );
  state.phase = "considering";
  return [{ type: "consider", candidate: state.candidate }];
}

/** A client need not name its cluster. */
function clustersMatch(
  accepter: LinkIdentity,
  opener: LinkIdentity,
  kind: LinkKind,
): boolean {
  return accepter.cluster === opener.cluster ||
    (kind === "client" && opener.cluster === "");
}

function candidate(
  state: HandshakeState,
  identity: LinkIdentity,
  kind: LinkKind,
  theirs: VersionRange,
): Candidate {
  const { cookie, role, versions, address } = state.options;
  return {
    ...identity,
    kind,
    address,
    openedBy: role === "opener" ? "this_node" : "other_node",
    protocolVersion: sharedVersion(versions, theirs) as number,
    linkId: cookie.mac(LINK_ID, state.hello, state.challenge)
      .subarray(0, LINK_ID_BYTES).toHex(),
    lastLinkId: NO_LINK_ID,
  };
}

function onProof(
  state: HandshakeState,
  payload: Uint8Array,
): HandshakeEffect[] {
  const { cookie } = state.options;
  const { mac, lastLinkId, lastLinkBytes } = decodeProof(payload);
  if (
    !cookie.verifies(
      mac,
      OPENER,
      state.hello,
      state.challenge,
      lastLinkBytes,
    )
  ) return refuse(state, "wrong_cookie");
  state.candidate = { ...state.candidate as Candidate, lastLinkId };
  state.phase = "considering";
  return [{ type: "consider", candidate: state.candidate }];
}

function onAdmitted(
  state: HandshakeState,
  lastLinkId: string,
): HandshakeEffect[] {
  const { cookie, role } = state.options;
  if (role === "opener") {
    const lastLink = Uint8Array.fromHex(lastLinkId);
    state.phase = "awaiting_welcome";
    return [
      send(
        FrameType.proof,
        encodeProof(
          lastLink,
          cookie.mac(OPENER, state.hello, state.challenge, lastLink),
        ),
      ),
    ];
  }
  return [
    send(
      FrameType.welcome,
      cookie.mac(ACCEPTER, state.hello, state.challenge),
    ),
    ...succeed(state),
  ];
}

function onWelcome(
  state: HandshakeState,
  payload: Uint8Array,
): HandshakeEffect[] {
  const mac = decodeWelcome(payload);
  return state.options.cookie.verifies(
      mac,
      ACCEPTER,
      state.hello,
      state.challenge,
    )
    ? succeed(state)
    : refuse(state, "wrong_cookie");
}

function succeed(state: HandshakeState): HandshakeEffect[] {
  const { lastLinkId: _, ...peer } = state.candidate as Candidate;
  state.phase = "done";
  return [{ type: "succeed", peer }];
}

function send(
  frameType: number,
  payload: Uint8Array<ArrayBuffer>,
): HandshakeEffect {
  return { type: "send", frameType, payload };
}

/** Ends the handshake, and as the accepter tells the other end why. An opener just closes. */
function refuse(
  state: HandshakeState,
  reason: RefusalReason,
  detail?: string,
  theirs?: VersionRange,
): HandshakeEffect[] {
  const { role, versions } = state.options;
  const [code, text] = explain(state, reason, theirs ?? versions);
  const ended = fail(
    state,
    code,
    detail === undefined ? text : `${text}: ${detail}`,
    role === "accepter",
  );
  return role === "accepter"
    ? [send(FrameType.refused, encodeRefused(reason, versions)), ...ended]
    : ended;
}

function fail(
  state: HandshakeState,
  code: ErrorCode,
  text: string,
  told: boolean,
): HandshakeEffect[] {
  const { role, address, identity } = state.options;
  state.phase = "done";
  const action = role === "opener" ? "connect to" : "accept";
  return [{
    type: "fail",
    told,
    error: new WhorlError(
      code,
      `Cannot ${action} ${address} as ${identity.name}: ${text}`,
      { details: { address, name: identity.name } },
    ),
  }];
}

/** A refusal as the code and the end of the message of an error. `theirs` is the other end's version range. */
function explain(
  state: HandshakeState,
  reason: RefusalReason | undefined,
  theirs: VersionRange,
): [ErrorCode, string] {
  const { versions, identity } = state.options;
  switch (reason) {
    case "wrong_version":
      return [
        reason,
        `the protocol versions do not overlap: ${versions.min} to ${versions.max} here, ${theirs.min} to ${theirs.max} there`,
      ];
    case "wrong_cluster":
      return [
        reason,
        `the other end is not in the cluster "${identity.cluster}"`,
      ];
    case "wrong_cookie":
      return [reason, "the cookies differ"];
    case "self_connection":
      return [reason, "both ends are the same node"];
    case "name_taken":
      return [reason, "another node has this name"];
    case "stale_incarnation":
      return ["name_taken", "a newer process of the same node is known"];
    case "too_many_connections":
      return [reason, "there are too many connections"];
    case "duplicate_link":
      return ["connection_closed", "the nodes are connected already"];
    case "wrong_name":
      return ["handshake_failed", "the node there has another name"];
    case "timeout":
      return ["handshake_failed", "the handshake did not finish in time"];
    case "protocol_error":
      return [reason, "the other end does not speak this protocol"];
    case undefined:
      return ["handshake_failed", "it refused for a reason unknown here"];
    default:
      return reason satisfies never;
  }
}
