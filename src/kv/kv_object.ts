/**
 * Merging and writing versioned objects, computed on their bytes. Nothing is
 * decoded: the entries alone determine how two objects relate, and the values
 * of the result are copied as byte ranges.
 *
 * For each actor an object says "I know its dots up to `counter`, and the newest
 * `siblings` of them are still alive". So for two objects the result knows the
 * larger counter, and a dot lives if it is alive wherever it is known.
 *
 * Each function is synchronous and shares one scratch plan.
 *
 * @module
 */
import { compareBytes, equalBytes } from "../base/byte_order.ts";
import { briefBytes } from "../base/byte_slab.ts";
import { WhorlError } from "../base/errors.ts";
import type { ObjectMerge } from "../request/object_merge.ts";
import {
  ACTORS_MAX,
  CONTEXT_ENTRY_BYTES,
  CONTEXT_HEADER_BYTES,
} from "./causal_context.ts";
import { VALUE_BYTES_MAX } from "./key_limits.ts";
import {
  ACTOR_BYTES,
  checkObject,
  compareActors,
  EMPTY_OBJECT,
  ENTRY_BYTES,
  nextSibling,
  OBJECT_FORMAT,
  OBJECT_HEADER_BYTES,
  readU16,
  readU48,
  SIBLING_HEADER_BYTES,
  siblingCount,
  SiblingFlag,
  siblingsStart,
  U48_MAX,
  writeU16,
  writeU32,
  writeU48,
} from "./kv_object_codec.ts";

/** Most siblings that a write may leave, as in riak_kv. A merge may exceed it, since it must not lose any. */
export const SIBLINGS_MAX = 100;
/** Largest object that a write may produce: a value of the largest size and its history. */
export const OBJECT_BYTES_MAX = VALUE_BYTES_MAX + 128 * 1024;
/** Largest object that a merge may produce; it still fits into a frame and a store. */
export const MERGED_BYTES_MAX = 16 * 1024 * 1024 - 64 * 1024;

/** How two objects relate. */
export type ObjectRelation = "equal" | "newer" | "older" | "concurrent";

/** One new version. */
export interface NewVersion {
  /** {@linkcode SiblingFlag} bits. */
  readonly flags: number;
  /** Milliseconds since 1970. */
  readonly lastModified: number;
  readonly value: Uint8Array;
}

/** Merging as requests use it. */
export const kvObjectMerge: ObjectMerge = {
  nothing: EMPTY_OBJECT,
  check: checkObject,
  merge(a, b) {
    checkObject(b);
    return mergeObjects(a, b);
  },
};

/** Whether an object, which lies from `start` on, has a value that is not a tombstone. */
export function hasLiveValue(object: Uint8Array, start = 0): boolean {
  const count = siblingCount(object, start);
  let at = siblingsStart(object, start);
  for (let i = 0; i < count; i++) {
    if (!((object[at] as number) & SiblingFlag.tombstone)) return true;
    at = nextSibling(object, at);
  }
  return false;
}

/**
 * How `a` relates to `b`: "newer" if it holds everything that `b` holds and
 * more. Compares histories only: objects with the same history are "equal".
 */
export function relateObjects(a: Uint8Array, b: Uint8Array): ObjectRelation {
  const aEnd = siblingsStart(a);
  const bEnd = siblingsStart(b);
  let i = OBJECT_HEADER_BYTES;
  let j = OBJECT_HEADER_BYTES;
  // Whether the merge of both would be `a`, and whether it would be `b`.
  let isA = true;
  let isB = true;
  while (i < aEnd || j < bEnd) {
    const order = i >= aEnd ? 1 : j >= bEnd ? -1 : compareActors(a, i, b, j);
    if (order < 0) {
      isB = false;
      i += ENTRY_BYTES;
    } else if (order > 0) {
      isA = false;
      j += ENTRY_BYTES;
    } else {
      const aCounter = readU48(a, i + ACTOR_BYTES);
      const bCounter = readU48(b, j + ACTOR_BYTES);
      const aHistory = aCounter - readU16(a, i + ACTOR_BYTES + 6);
      const bHistory = bCounter - readU16(b, j + ACTOR_BYTES + 6);
      if (aCounter < bCounter || aHistory < bHistory) isA = false;
      if (bCounter < aCounter || bHistory < aHistory) isB = false;
      i += ENTRY_BYTES;
      j += ENTRY_BYTES;
    }
    if (!isA && !isB) return "concurrent";
  }
  if (isA) return isB ? "equal" : "newer";
  return "older";
}

/**
 * Merges `a` and `b`. Returns one of them, unchanged, if it includes the other,
 * otherwise new bytes. Both must be objects.
 *
 * @throws {WhorlError} `value_too_large` if the result were larger than
 * {@linkcode MERGED_BYTES_MAX} or had more than 65,535 actors or siblings.
 */
export function mergeObjects(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a === b || equalBytes(a, b)) return a;
  switch (relateObjects(a, b)) {
    case "newer":
      return a;
    case "older":
      return b;
    case "equal":
      // One dot has one value unless bytes were tampered with. Even then all
      // replicas must choose the same one.
      return compareBytes(a, b) > 0 ? a : b;
    case "concurrent":
      planMerge(a, b, siblingsStart(b), ENTRY_BYTES);
      if (
        plan.bytes > MERGED_BYTES_MAX || plan.entries > 0xffff ||
        plan.siblings > 0xffff
      ) throw tooLarge("merge siblings into an object", MERGED_BYTES_MAX);
      return writePlan(a, b, undefined);
  }
}

/**
 * The object after a write: `version` with a new dot of `actor`, beside those
 * siblings of `local` that the writer, by `context`, had not seen.
 *
 * @param local The object as the coordinator holds it.
 * @param context What the writer had seen; checked by `checkContext`.
 * @param actor The coordinator's identity, 12 bytes.
 * @throws {WhorlError} `too_many_siblings` or `value_too_large`.
 */
export function writeToObject(
  local: Uint8Array | undefined,
  context: Uint8Array | undefined,
  actor: Uint8Array,
  version: NewVersion,
): Uint8Array<ArrayBuffer> {
  const mine = local ?? EMPTY_OBJECT;
  const seen = context ?? EMPTY_CONTEXT;
  planMerge(mine, seen, seen.length, CONTEXT_ENTRY_BYTES);
  addDot(mine, seen, actor);
  plan.siblings++;
  plan.bytes += SIBLING_HEADER_BYTES + version.value.length;
  if (plan.siblings > SIBLINGS_MAX) {
    throw new WhorlError(
      "too_many_siblings",
      `Cannot write to a key as it may have ${SIBLINGS_MAX} siblings, and this write replaces none: read the key and write with its context`,
      { details: { limit: SIBLINGS_MAX } },
    );
  }
  if (plan.bytes > OBJECT_BYTES_MAX || plan.entries > ACTORS_MAX) {
    throw tooLarge("store a value with its siblings", OBJECT_BYTES_MAX);
  }
  return writePlan(mine, seen, version);
}

const EMPTY_CONTEXT = new Uint8Array([1, 0, 0, 0]);

/**
 * The composition of the result. For each entry: the source and position of its
 * actor, its counter, how many siblings survive, and the range of their bytes.
 */
const plan = {
  entries: 0,
  siblings: 0,
  bytes: 0,
  /** The entry that gets the new version, or -1. */
  own: -1,
  /** The source of the bytes: 0 is the first object, 1 the second, 2 the actor of a write. */
  side: [] as number[],
  actorAt: [] as number[],
  counter: [] as number[],
  kept: [] as number[],
  from: [] as number[],
  to: [] as number[],
  actor: new Uint8Array(ACTOR_BYTES) as Uint8Array,
};

function planEntry(
  side: number,
  actorAt: number,
  counter: number,
  kept: number,
  from: number,
  to: number,
): void {
  const n = plan.entries++;
  plan.side[n] = side;
  plan.actorAt[n] = actorAt;
  plan.counter[n] = counter;
  plan.kept[n] = kept;
  plan.from[n] = from;
  plan.to[n] = to;
  plan.siblings += kept;
  plan.bytes += ENTRY_BYTES + to - from;
}

/** Plans the merge of object `a` with `b`, an object or (by its shorter entries) a context. */
function planMerge(
  a: Uint8Array,
  b: Uint8Array,
  bEnd: number,
  bEntryBytes: number,
): void {
  const isObject = bEntryBytes === ENTRY_BYTES;
  const aEnd = siblingsStart(a);
  let i = OBJECT_HEADER_BYTES;
  let j = isObject ? OBJECT_HEADER_BYTES : CONTEXT_HEADER_BYTES;
  let aSibling = aEnd;
  let bSibling = bEnd;
  plan.entries = 0;
  plan.siblings = 0;
  plan.bytes = OBJECT_HEADER_BYTES;
  plan.own = -1;
  while (i < aEnd || j < bEnd) {
    const order = i >= aEnd ? 1 : j >= bEnd ? -1 : compareActors(a, i, b, j);
    let aCounter = 0;
    let aSiblings = 0;
    let bCounter = 0;
    let bSiblings = 0;
    if (order <= 0) {
      aCounter = readU48(a, i + ACTOR_BYTES);
      aSiblings = readU16(a, i + ACTOR_BYTES + 6);
    }
    if (order >= 0) {
      bCounter = readU48(b, j + ACTOR_BYTES);
      if (isObject) bSiblings = readU16(b, j + ACTOR_BYTES + 6);
    }
    // Up to this counter, a dot that is not alive on a side that knows it is
    // dead. A side that does not know the actor has no history of it.
    const history = Math.max(aCounter - aSiblings, bCounter - bSiblings);
    if (aCounter >= bCounter) {
      const kept = Math.max(0, aCounter - history);
      const end = skipSiblings(a, aSibling, kept);
      planEntry(0, i, aCounter, kept, aSibling, end);
    } else {
      const kept = Math.max(0, bCounter - history);
      const end = skipSiblings(b, bSibling, kept);
      planEntry(1, j, bCounter, kept, bSibling, end);
    }
    if (order <= 0) {
      aSibling = skipSiblings(a, aSibling, aSiblings);
      i += ENTRY_BYTES;
    }
    if (order >= 0) {
      bSibling = skipSiblings(b, bSibling, bSiblings);
      j += bEntryBytes;
    }
  }
}

function skipSiblings(object: Uint8Array, at: number, count: number): number {
  for (let n = 0; n < count; n++) at = nextSibling(object, at);
  return at;
}

/** Adds the next dot of `actor` to the plan, alive. */
function addDot(a: Uint8Array, b: Uint8Array, actor: Uint8Array): void {
  let n = 0;
  let order = 1;
  for (; n < plan.entries; n++) {
    const source = plan.side[n] === 0 ? a : b;
    order = compareActors(source, plan.actorAt[n] as number, actor, 0);
    if (order >= 0) break;
  }
  if (order !== 0 || n === plan.entries) {
    planEntry(2, 0, 0, 0, 0, 0);
    // A linear search for its position; objects have few actors.
    for (let k = plan.entries - 1; k > n; k--) {
      plan.side[k] = plan.side[k - 1] as number;
      plan.actorAt[k] = plan.actorAt[k - 1] as number;
      plan.counter[k] = plan.counter[k - 1] as number;
      plan.kept[k] = plan.kept[k - 1] as number;
      plan.from[k] = plan.from[k - 1] as number;
      plan.to[k] = plan.to[k - 1] as number;
    }
    plan.side[n] = 2;
    plan.actorAt[n] = 0;
    plan.counter[n] = 0;
    plan.kept[n] = 0;
    plan.from[n] = 0;
    plan.to[n] = 0;
  }
  const counter = (plan.counter[n] as number) + 1;
  if (counter > U48_MAX) {
    throw new WhorlError(
      "invalid_context",
      "Cannot write to a key as its counter must stay below 2^48",
    );
  }
  plan.counter[n] = counter;
  plan.kept[n] = (plan.kept[n] as number) + 1;
  plan.own = n;
  plan.actor = actor;
}

function writePlan(
  a: Uint8Array,
  b: Uint8Array,
  version: NewVersion | undefined,
): Uint8Array<ArrayBuffer> {
  const object = briefBytes(plan.bytes);
  object[0] = OBJECT_FORMAT;
  writeU16(object, 2, plan.entries);
  writeU16(object, 4, plan.siblings);
  let at = OBJECT_HEADER_BYTES;
  for (let n = 0; n < plan.entries; n++) {
    const side = plan.side[n];
    const source = side === 0 ? a : side === 1 ? b : plan.actor;
    const actorAt = plan.actorAt[n] as number;
    for (let k = 0; k < ACTOR_BYTES; k++) {
      object[at + k] = source[actorAt + k] as number;
    }
    writeU48(object, at + ACTOR_BYTES, plan.counter[n] as number);
    writeU16(object, at + ACTOR_BYTES + 6, plan.kept[n] as number);
    at += ENTRY_BYTES;
  }
  for (let n = 0; n < plan.entries; n++) {
    if (n === plan.own && version !== undefined) {
      object[at] = version.flags;
      writeU48(object, at + 1, version.lastModified);
      writeU32(object, at + 7, version.value.length);
      object.set(version.value, at + SIBLING_HEADER_BYTES);
      at += SIBLING_HEADER_BYTES + version.value.length;
    }
    const from = plan.from[n] as number;
    const to = plan.to[n] as number;
    if (from === to) continue;
    const source = plan.side[n] === 0 ? a : b;
    object.set(source.subarray(from, to), at);
    at += to - from;
  }
  return object;
}

function tooLarge(action: string, limit: number): WhorlError {
  return new WhorlError(
    "value_too_large",
    `Cannot ${action} as it may have ${limit} bytes: current value is ${plan.bytes}, with ${plan.entries} actors and ${plan.siblings} siblings`,
    { details: { limit, bytes: plan.bytes, siblings: plan.siblings } },
  );
}
