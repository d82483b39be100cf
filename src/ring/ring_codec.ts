/**
 * The ring as bytes, for gossip and the disk, and its digest. The encoding is
 * canonical: equal rings give equal bytes, so a digest of 8 bytes distinguishes
 * rings. Names occur once in a sorted table and are referred to by number. What
 * each member has seen is not part of the digest: it is knowledge about the
 * ring, not part of it. See docs/wire_format.md for the format.
 *
 * @module
 */
import { equalBytes } from "../base/byte_order.ts";
import { WhorlError } from "../base/errors.ts";
import { compareTexts } from "../base/text_order.ts";
import {
  sameVersion,
  type VersionVector,
} from "../causality/version_vector.ts";
import { decodeMsgpack, encodeMsgpack } from "../wire/msgpack.ts";
import { expectBytes, expectList } from "../wire/plain_data.ts";
import type { Ring, TransferProgress } from "./ring.ts";
import type { RingGenerations, RingResize } from "./ring_generations.ts";
import { createSha1State, sha1, sha1Prefix } from "./sha1.ts";
import type { RingMeta } from "./stamped.ts";
import { MARK_PREFIX, RESIZE_PHASES, RingReader } from "./ring_reader.ts";

/** Version of the format; a reader refuses others by name. */
export const RING_FORMAT = 1;

/** A ring with its bytes and digest. */
export interface EncodedRing {
  readonly ring: Ring;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** 16 hex digits; equal for rings that differ only in what members have seen. */
  readonly digest: string;
}

/**
 * Cached encodings of rings still in use: a ring is immutable. A value must not
 * refer back to its ring: V8 frees such a pair only in a full collection, and
 * until then nothing that the ring refers to.
 */
const known = new WeakMap<Ring, Encoded>();

/** The cached encoding of a ring. */
interface Encoded {
  readonly content: EncodedContent;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

function encodedOf(ring: Ring): Encoded {
  let encoded = known.get(ring);
  if (encoded === undefined) known.set(ring, encoded = encode(ring));
  return encoded;
}

/** Encodes `ring`. Equal rings give equal bytes. */
export function encodeRing(ring: Ring): EncodedRing {
  const { content, bytes } = encodedOf(ring);
  content.digest ??= digestOf(content.bytes);
  return { ring, bytes, digest: content.digest };
}

/** Whether two rings are equal, including what members have seen. */
export function sameRing(a: Ring, b: Ring): boolean {
  return a === b || equalBytes(encodedOf(a).bytes, encodedOf(b).bytes);
}

/** The parts of a ring's content other than its members. */
type ContentParts = Pick<
  Ring,
  | "clock"
  | "ownership"
  | "progress"
  | "meta"
  | "clusterId"
  | "clusterName"
  | "size"
>;

/**
 * The part of an encoded ring that the digest covers: everything except what
 * members have seen.
 */
interface EncodedContent {
  /** The parts it was made of, besides the members. */
  readonly parts: ContentParts;
  readonly bytes: Uint8Array;
  /** Computed on first use. */
  digest: string | undefined;
  /** The number of each name in it. */
  readonly numbers: ReadonlyMap<string, number>;
}

/**
 * Contents by their members: most changes of a ring concern what has been seen,
 * and leave everything else unchanged.
 */
const knownContents = new WeakMap<Ring["members"], EncodedContent>();

function contentOf(ring: Ring): EncodedContent {
  const { members } = ring;
  const content = knownContents.get(members);
  if (content !== undefined && hasParts(ring, content.parts)) return content;
  const made = encodeContent(ring);
  knownContents.set(members, made);
  return made;
}

function hasParts(ring: Ring, other: ContentParts): boolean {
  return ring.clock === other.clock && ring.ownership === other.ownership &&
    ring.progress === other.progress && ring.meta === other.meta &&
    ring.clusterId === other.clusterId &&
    ring.clusterName === other.clusterName && ring.size === other.size;
}

function encode(ring: Ring): Encoded {
  const content = contentOf(ring);
  const { bytes, numbers } = content;
  const seen: unknown[] = [];
  for (const [node, version] of sortedEntries(ring.seen)) {
    const number = numbers.get(node);
    if (number === undefined) continue;
    seen.push(
      sameVersion(version, ring.clock)
        ? number
        : [number, encodeClock(version, numbers)],
    );
  }
  return { content, bytes: encodeMsgpack([RING_FORMAT, bytes, seen]) };
}

function encodeClock(
  version: VersionVector,
  numbers: ReadonlyMap<string, number>,
): number[] {
  return sortedEntries(version)
    .flatMap(([actor, count]) => [numbers.get(actor) as number, count]);
}

function encodeContent(ring: Ring): EncodedContent {
  const names = namesIn(ring);
  const numbers = new Map(names.map((name, index) => [name, index]));
  const numberOf = (name: string): number => numbers.get(name) as number;
  const clock = (version: VersionVector): number[] =>
    encodeClock(version, numbers);
  const meta = (values: RingMeta): unknown[] =>
    sortedEntries(values)
      .map(([name, { value, stamp }]) => [
        name,
        value,
        stamp.wallMs,
        stamp.count,
        numberOf(stamp.node),
      ]);
  const { ownership } = ring;
  const bytes = encodeMsgpack([
    ring.clusterName,
    [ring.clusterId.claimant, ring.clusterId.seed],
    ring.size,
    names,
    clock(ring.clock),
    sortedEntries(ring.members)
      .map(([name, member]) => [
        numberOf(name),
        clock(member.clock),
        member.dots.map((dot) => [
          numberOf(dot.actor),
          dot.counter,
          dot.status,
          dot.autoJoin,
        ]),
        meta(member.meta),
      ]),
    [
      ownership.term,
      ownership.version,
      numberOf(ownership.claimant),
      ownersToBytes(ownership.owners, numberOf),
      ownership.next.map((transfer) => [
        transfer.partition,
        numberOf(transfer.nextOwner),
        transfer.term,
        transfer.version,
      ]),
      ownership.staged.map((change) => [
        change.action,
        numberOf(change.node),
        change.replacement === null ? null : numberOf(change.replacement),
      ]),
      ownership.committedPlan,
      ...generationsToList(ownership.generations, numberOf),
    ],
    [...ring.progress].sort((a, b) => a[0] - b[0])
      .map(([partition, progress]) => [
        partition,
        progress.term,
        progress.version,
        reportedTexts(progress),
        progress.complete,
      ]),
    meta(ring.meta),
  ]);
  return {
    parts: {
      clock: ring.clock,
      ownership,
      progress: ring.progress,
      meta: ring.meta,
      clusterId: ring.clusterId,
      clusterName: ring.clusterName,
      size: ring.size,
    },
    bytes,
    digest: undefined,
    numbers,
  };
}

const hashed = createSha1State();

/** The first 64 bits of the SHA-1 of `bytes`, in hex. */
function digestOf(bytes: Uint8Array): string {
  sha1(hashed, bytes);
  return sha1Prefix(hashed);
}

/** Recently decoded rings are kept, since several nodes send the same one. */
const DECODED_MAX = 8;
const decoded: { readonly bytes: Uint8Array; readonly ring: EncodedRing }[] =
  [];

/**
 * Decodes a ring.
 *
 * @throws {WhorlError} `protocol_error` for anything that is not a ring in this
 * format, naming the part that is wrong.
 */
export function decodeRing(bytes: Uint8Array): EncodedRing {
  const known = decoded.find((one) => equalBytes(one.bytes, bytes));
  if (known !== undefined) return known.ring;
  const ring = decode(bytes);
  decoded.unshift({ bytes: bytes.slice(), ring });
  if (decoded.length > DECODED_MAX) decoded.pop();
  return ring;
}

function decode(bytes: Uint8Array): EncodedRing {
  const [format, contentBytes, seen] = expectList(
    decodeMsgpack(bytes),
    "a ring",
    3,
    3,
  );
  if (format !== RING_FORMAT) {
    throw new WhorlError(
      "protocol_error",
      `Cannot read a ring as its format must be ${RING_FORMAT}: current value is ${
        String(format)
      }`,
    );
  }
  const content = expectBytes(contentBytes, "the content of a ring");
  const ring = new RingReader().ring(decodeMsgpack(content), seen);
  // Encoding again makes bytes and digest canonical even if the sender's were
  // not.
  return encodeRing(ring);
}

function sortedEntries<V>(map: ReadonlyMap<string, V>): [string, V][] {
  return [...map].sort((a, b) => compareTexts(a[0], b[0]));
}

/** Every name in the content of `ring`, sorted. */
function namesIn(ring: Ring): string[] {
  const names = new Set<string>(ring.ownership.owners);
  const { ownership } = ring;
  names.add(ownership.claimant);
  for (const { nextOwner } of ownership.next) names.add(nextOwner);
  for (const name of ownership.generations.resize?.owners ?? []) {
    names.add(name);
  }
  for (const { node, replacement } of ownership.staged) {
    names.add(node);
    if (replacement !== null) names.add(replacement);
  }
  for (const actor of ring.clock.keys()) names.add(actor);
  for (const [name, member] of ring.members) {
    names.add(name);
    for (const actor of member.clock.keys()) names.add(actor);
    for (const { stamp } of member.meta.values()) names.add(stamp.node);
  }
  for (const { stamp } of ring.meta.values()) names.add(stamp.node);
  return [...names].sort(compareTexts);
}

/**
 * Modules, and the decisions that they were reported for. Versions that know no
 * marks take them for names of modules, and keep them in a merge.
 */
function reportedTexts(
  { completedModules, decisions }: TransferProgress,
): string[] {
  return [
    ...completedModules,
    ...decisions.map((mark) => MARK_PREFIX + mark),
  ].sort();
}

/**
 * Empty for a ring that was never resized, so that versions without resizes can
 * read it.
 */
function generationsToList(
  { current, newest, sizes, staged, resize }: RingGenerations,
  numberOf: (name: string) => number,
): unknown[] {
  if (newest === 0 && staged === null) return [];
  return [[
    current,
    newest,
    sizes,
    staged,
    resize === null ? null : [
      resize.generation,
      ownersToBytes(resize.owners, numberOf),
      resize.term,
      resize.version,
      ...phaseToList(resize),
    ],
  ]];
}

/**
 * Empty for a resize in its first phase, so that versions without phases can
 * read it.
 */
function phaseToList({ term, version, phase, since }: RingResize): unknown[] {
  if (
    phase === "copying" && since.term === term && since.version === version
  ) return [];
  return [RESIZE_PHASES.indexOf(phase), since.term, since.version];
}

function ownersToBytes(
  owners: readonly string[],
  numberOf: (name: string) => number,
): Uint8Array {
  const bytes = new Uint8Array(owners.length * 2);
  owners.forEach((owner, partition) => {
    const number = numberOf(owner);
    bytes[partition * 2] = number >> 8;
    bytes[partition * 2 + 1] = number & 0xff;
  });
  return bytes;
}
