/**
 * The messages of the handshake as payloads of frames 1 to 5. The layout is
 * described in docs/wire_format.md. All of it is read before the other end has
 * authenticated, so every field is bounded.
 *
 * @module
 */
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import { MAC_BYTES } from "./cookie.ts";
import type { LinkIdentity, LinkKind } from "./link_peer.ts";

/** First bytes of a hello: "WHRL". */
export const MAGIC = 0x5748524c;
/** Bytes of a nonce. */
export const NONCE_BYTES = 32;
/** Bytes of a link's id. */
export const LINK_ID_BYTES = 16;
/** Longest name, node id or cluster name in a handshake, in bytes. */
export const IDENTITY_TEXT_BYTES_MAX = 255;

/** Versions of the protocol that one end can speak, both included. */
export interface VersionRange {
  readonly min: number;
  readonly max: number;
}

/** The versions this program speaks. Version 1 had no records, so corruption went unnoticed. */
export const PROTOCOL_VERSIONS: VersionRange = { min: 2, max: 2 };

/** Opens the handshake. */
export interface Hello {
  readonly versions: VersionRange;
  /** Undefined if no version is shared, as the rest may then have another layout. */
  readonly body:
    | {
      readonly kind: LinkKind;
      readonly identity: LinkIdentity;
      readonly nonce: Uint8Array;
    }
    | undefined;
}

/** Answers a hello. */
export interface Challenge {
  readonly versions: VersionRange;
  readonly identity: LinkIdentity;
  readonly nonce: Uint8Array;
}

/** The opener's proof that it knows the cookie. */
export interface Proof {
  /** The link the opener last had with this node, to tell a reconnect from a race. 32 hex digits. */
  readonly lastLinkId: string;
  readonly lastLinkBytes: Uint8Array;
  readonly mac: Uint8Array;
}

/** Why a connection is refused, by the number it has on the wire. */
export const REFUSALS = {
  wrong_version: 1,
  wrong_cluster: 2,
  wrong_cookie: 3,
  self_connection: 4,
  name_taken: 5,
  too_many_connections: 6,
  protocol_error: 7,
  /** A newer process of the same node is known. */
  stale_incarnation: 8,
  /** The two nodes connected to each other at once, and the other connection stays. */
  duplicate_link: 9,
  timeout: 10,
  /** The node that answered is not the one that was asked for. */
  wrong_name: 11,
} as const;

/** Why a connection is refused. */
export type RefusalReason = keyof typeof REFUSALS;

const KINDS: readonly LinkKind[] = ["peer", "bulk", "client"];
const REASONS: ReadonlyMap<number, RefusalReason> = new Map(
  Object.entries(REFUSALS).map(([reason, number]) => [
    number,
    reason as RefusalReason,
  ]),
);
// Control characters in a name would corrupt logs and terminals.
// deno-lint-ignore no-control-regex
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f]/;

function writeIdentity(into: ByteWriter, identity: LinkIdentity): void {
  into.text(identity.cluster);
  into.text(identity.name);
  into.text(identity.nodeId);
  into.u53(identity.incarnation);
}

function readIdentityText(
  reader: ByteReader,
  what: string,
  min: number,
): string {
  const length = reader.u16();
  if (length < min || length > IDENTITY_TEXT_BYTES_MAX) {
    throw new WhorlError(
      "protocol_error",
      `Cannot take a ${what} of ${length} bytes: it must have ${min} to ${IDENTITY_TEXT_BYTES_MAX}`,
    );
  }
  const text = reader.rawText(length);
  if (UNPRINTABLE.test(text)) {
    throw new WhorlError(
      "protocol_error",
      `Cannot take a ${what} with control characters in it`,
    );
  }
  return text;
}

function readIdentity(reader: ByteReader): LinkIdentity {
  return {
    cluster: readIdentityText(reader, "cluster name", 0),
    name: readIdentityText(reader, "node name", 1),
    nodeId: readIdentityText(reader, "node id", 1),
    incarnation: reader.u53(),
  };
}

function readVersions(reader: ByteReader): VersionRange {
  const min = reader.u16();
  const max = reader.u16();
  if (min > max) {
    throw new WhorlError(
      "protocol_error",
      `Cannot take the version range ${min} to ${max}`,
    );
  }
  return { min, max };
}

/** Only a newer program may append fields to those of the shared version. */
function checkEnd(reader: ByteReader, theirs: number, ours: number): void {
  if (reader.remaining > 0 && theirs <= ours) {
    throw new WhorlError(
      "protocol_error",
      `Cannot take ${reader.remaining} bytes more than the message has`,
    );
  }
}

/** The highest version that both speak, or undefined. */
export function sharedVersion(
  one: VersionRange,
  other: VersionRange,
): number | undefined {
  const version = Math.min(one.max, other.max);
  return version >= Math.max(one.min, other.min) ? version : undefined;
}

/** Payload of a `hello`. */
export function encodeHello(
  versions: VersionRange,
  kind: LinkKind,
  identity: LinkIdentity,
  nonce: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter(256);
  into.u32(MAGIC);
  into.u16(versions.min);
  into.u16(versions.max);
  into.u8(KINDS.indexOf(kind));
  writeIdentity(into, identity);
  into.raw(nonce);
  return into.copy();
}

/** @throws {WhorlError} `protocol_error` if it is not a hello. */
export function decodeHello(payload: Uint8Array, ours: VersionRange): Hello {
  const reader = new ByteReader(payload);
  if (reader.u32() !== MAGIC) {
    throw new WhorlError(
      "protocol_error",
      "Cannot take a hello that does not begin with WHRL",
    );
  }
  const versions = readVersions(reader);
  if (sharedVersion(versions, ours) === undefined) {
    return { versions, body: undefined };
  }
  const kind = KINDS[reader.u8()];
  if (kind === undefined) {
    throw new WhorlError("protocol_error", "Cannot take an unknown link kind");
  }
  const identity = readIdentity(reader);
  const nonce = reader.raw(NONCE_BYTES).slice();
  checkEnd(reader, versions.max, ours.max);
  return { versions, body: { kind, identity, nonce } };
}

/** Payload of a `challenge`. */
export function encodeChallenge(
  versions: VersionRange,
  identity: LinkIdentity,
  nonce: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter(256);
  into.u16(versions.min);
  into.u16(versions.max);
  writeIdentity(into, identity);
  into.raw(nonce);
  return into.copy();
}

/** @throws {WhorlError} `protocol_error` if it is not a challenge. */
export function decodeChallenge(
  payload: Uint8Array,
  ours: VersionRange,
): Challenge {
  const reader = new ByteReader(payload);
  const versions = readVersions(reader);
  const identity = readIdentity(reader);
  const nonce = reader.raw(NONCE_BYTES).slice();
  checkEnd(reader, versions.max, ours.max);
  return { versions, identity, nonce };
}

/** Payload of a `proof`; `lastLinkId` is 32 hex digits, or empty for none. */
export function encodeProof(
  lastLink: Uint8Array,
  mac: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter(LINK_ID_BYTES + MAC_BYTES);
  into.raw(lastLink);
  into.raw(mac);
  return into.copy();
}

/** @throws {WhorlError} `protocol_error` if it is not a proof. */
export function decodeProof(payload: Uint8Array): Proof {
  const reader = new ByteReader(payload);
  const lastLinkBytes = reader.raw(LINK_ID_BYTES).slice();
  const mac = reader.raw(MAC_BYTES).slice();
  checkEnd(reader, 0, 0);
  return { lastLinkId: lastLinkBytes.toHex(), lastLinkBytes, mac };
}

/** @throws {WhorlError} `protocol_error` if it is not a welcome. */
export function decodeWelcome(payload: Uint8Array): Uint8Array {
  const reader = new ByteReader(payload);
  const mac = reader.raw(MAC_BYTES).slice();
  checkEnd(reader, 0, 0);
  return mac;
}

/** Payload of a `refused`. */
export function encodeRefused(
  reason: RefusalReason,
  versions: VersionRange,
): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter(8);
  into.u8(REFUSALS[reason]);
  into.u16(versions.min);
  into.u16(versions.max);
  return into.copy();
}

/** `undefined` for an unknown number, as a newer program may have more reasons. @throws {WhorlError} `protocol_error`. */
export function decodeRefused(
  payload: Uint8Array,
): { reason: RefusalReason | undefined; versions: VersionRange } {
  const reader = new ByteReader(payload);
  const reason = REASONS.get(reader.u8());
  return { reason, versions: readVersions(reader) };
}
