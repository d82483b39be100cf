/**
 * A message of a stream: its fields, its limits, and the bytes it is stored as.
 * A message never changes once it is stamped, and its key identifies it:
 *
 *     key    text user · text stream · u53 id · origin
 *     value  JSON of the rest
 *
 * So the messages of a stream lie side by side in the order of their ids, and
 * storing one twice stores it once.
 *
 * @module
 */
import { ByteReader, ByteWriter } from "../../mod.ts";

/** One message. */
export interface Message {
  /** Its number in its stream, from 1. */
  readonly id: number;
  /** Who stamped it, with a count: two messages with the same number differ here. */
  readonly origin: string;
  /** When it was stamped, in milliseconds since 1970. */
  readonly date: number;
  /** Where it was posted; not used yet. */
  readonly lat: number;
  /** See {@linkcode Message.lat}. */
  readonly lng: number;
  /** The message it refers to; not used yet. */
  readonly ref: number;
  /** What kind of message it is; there is one. */
  readonly type: number;
  /** Bytes of `msg` in UTF-8. */
  readonly size: number;
  /** What it says. */
  readonly msg: string;
}

/** Longest name of a user or a stream, in bytes of UTF-8. */
export const NAME_BYTES_MAX = 256;
/** Longest text of a message, in bytes of UTF-8. */
export const MSG_BYTES_MAX = 16 * 1024;
/** Most messages of one answer: with the longest texts 4 MiB, half of what a frame holds. */
export const MESSAGES_MAX = 256;
/** Longest origin, in bytes. */
const ORIGIN_BYTES_MAX = 64;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Bytes of `text` in UTF-8. */
export function byteCount(text: string): number {
  return encoder.encode(text).length;
}

/** Whether `value` can name a user or a stream: 1 to {@linkcode NAME_BYTES_MAX} bytes of text. */
export function isName(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.isWellFormed() &&
    value.length <= NAME_BYTES_MAX && byteCount(value) <= NAME_BYTES_MAX;
}

/** Whether `value`, which came from another process, is a message. */
export function isMessage(value: unknown): value is Message {
  if (typeof value !== "object" || value === null) return false;
  const { id, origin, date, lat, lng, ref, type, size, msg } = value as Partial<
    Record<keyof Message, unknown>
  >;
  return Number.isSafeInteger(id) && id as number >= 1 &&
    typeof origin === "string" && byteCount(origin) <= ORIGIN_BYTES_MAX &&
    [date, lat, lng, ref, type].every(Number.isFinite) &&
    typeof msg === "string" && msg.isWellFormed() && size === byteCount(msg) &&
    size <= MSG_BYTES_MAX;
}

/** The key of a message. */
export function messageKey(
  user: string,
  stream: string,
  { id, origin }: Pick<Message, "id" | "origin">,
): Uint8Array {
  const into = new ByteWriter(128);
  into.text(user);
  into.text(stream);
  into.u53(id);
  into.rawText(origin);
  return into.copy();
}

/** The common prefix of the keys of `user`, or of one of its streams. */
export function keyPrefix(user: string, stream?: string): Uint8Array {
  const into = new ByteWriter(128);
  into.text(user);
  if (stream !== undefined) into.text(stream);
  return into.copy();
}

/** The first key after all keys with `prefix`, made by {@linkcode keyPrefix}. */
export function keyAfter(prefix: Uint8Array): Uint8Array {
  const after = prefix.slice();
  let last = after.length - 1;
  // It ends before the first byte does: that is a part of a small length.
  while (after[last] === 0xff) last--;
  after[last]!++;
  return after.subarray(0, last + 1);
}

/** What a key names. */
export function partsOfKey(
  key: Uint8Array,
): { user: string; stream: string; id: number; origin: string } {
  const from = new ByteReader(key);
  return {
    user: from.text(),
    stream: from.text(),
    id: from.u53(),
    origin: from.rawText(from.remaining),
  };
}

/** The value stored for a message. */
export function encodeMessage(
  { date, lat, lng, ref, type, msg }: Message,
): Uint8Array {
  return encoder.encode(JSON.stringify({ date, lat, lng, ref, type, msg }));
}

/** The message under `key`. */
export function decodeMessage(key: Uint8Array, value: Uint8Array): Message {
  const { id, origin } = partsOfKey(key);
  const kept = JSON.parse(decoder.decode(value)) as Omit<
    Message,
    "id" | "origin" | "size"
  >;
  return { id, origin, ...kept, size: byteCount(kept.msg) };
}
