/**
 * What a reader has seen of an object. The reader passes it to its next write,
 * which then replaces exactly that. Applications see an opaque text:
 *
 *     context  u8 format = 1 · u8 zero · u16 entries · entry*
 *     entry    12 bytes actor · u48 counter
 *     text     base64url(context · u32 FNV-1a of the context), without padding
 *
 * The checksum guards against accidents (a truncated text, a mistyped letter)
 * that would otherwise overwrite siblings nobody has seen.
 *
 * @module
 */
import { briefBytes } from "../base/byte_slab.ts";
import { WhorlError } from "../base/errors.ts";
import {
  ACTOR_BYTES,
  compareActors,
  ENTRY_BYTES,
  entryCount,
  OBJECT_HEADER_BYTES,
  readU16,
  readU32,
  readU48,
  writeU16,
  writeU32,
} from "./kv_object_codec.ts";

/** First byte of a context. */
export const CONTEXT_FORMAT = 1;
/** Bytes before the first entry. */
export const CONTEXT_HEADER_BYTES = 4;
/** Bytes of an entry. */
export const CONTEXT_ENTRY_BYTES = 18;
/** Most actors of a context, and of an object that a write produces. */
export const ACTORS_MAX = 4_096;
/** Largest context. */
export const CONTEXT_BYTES_MAX = CONTEXT_HEADER_BYTES +
  ACTORS_MAX * CONTEXT_ENTRY_BYTES;
/**
 * Largest counter that a context may name. No vnode reaches it, and it keeps a
 * forged context from exhausting the 48 bits of a counter.
 */
export const CONTEXT_COUNTER_MAX = 2 ** 47 - 1;

const CHECKSUM_BYTES = 4;
const CONTEXT_TEXT_MAX = Math.ceil(
  (CONTEXT_BYTES_MAX + CHECKSUM_BYTES) * 4 / 3,
);

/** The context of all of `object`. */
export function contextOf(object: Uint8Array): Uint8Array<ArrayBuffer> {
  const entries = entryCount(object);
  const context = briefBytes(
    CONTEXT_HEADER_BYTES + entries * CONTEXT_ENTRY_BYTES,
  );
  context[0] = CONTEXT_FORMAT;
  writeU16(context, 2, entries);
  for (let i = 0; i < entries; i++) {
    const from = OBJECT_HEADER_BYTES + i * ENTRY_BYTES;
    context.set(
      object.subarray(from, from + CONTEXT_ENTRY_BYTES),
      CONTEXT_HEADER_BYTES + i * CONTEXT_ENTRY_BYTES,
    );
  }
  return context;
}

/** @throws {WhorlError} `invalid_context` unless `bytes` are exactly one context. */
export function checkContext(bytes: Uint8Array): void {
  if (bytes.length < CONTEXT_HEADER_BYTES) throw invalidContext("cut short");
  if (bytes[0] !== CONTEXT_FORMAT || bytes[1] !== 0) {
    throw invalidContext("of an unknown format");
  }
  const entries = readU16(bytes, 2);
  if (
    entries > ACTORS_MAX ||
    bytes.length !== CONTEXT_HEADER_BYTES + entries * CONTEXT_ENTRY_BYTES
  ) throw invalidContext("of a wrong length");
  for (
    let at = CONTEXT_HEADER_BYTES;
    at < bytes.length;
    at += CONTEXT_ENTRY_BYTES
  ) {
    if (
      at > CONTEXT_HEADER_BYTES &&
      compareActors(bytes, at - CONTEXT_ENTRY_BYTES, bytes, at) >= 0
    ) throw invalidContext("out of order");
    const counter = readU48(bytes, at + ACTOR_BYTES);
    if (counter === 0 || counter > CONTEXT_COUNTER_MAX) {
      throw invalidContext("beyond what any replica has counted");
    }
  }
}

/** A context as the text that applications see. */
export function contextToText(context: Uint8Array): string {
  const bytes = briefBytes(context.length + CHECKSUM_BYTES);
  bytes.set(context);
  writeU32(bytes, context.length, checksumOf(context));
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}

/**
 * The context in a text from an application.
 *
 * @throws {WhorlError} `invalid_context` if {@linkcode contextToText} did not
 * make it.
 */
export function contextFromText(text: string): Uint8Array<ArrayBuffer> {
  if (typeof text !== "string" || text.length > CONTEXT_TEXT_MAX) {
    throw invalidContext("not a text, or too long");
  }
  // Room for everything that the text can hold, so decoding never stops early.
  const bytes = briefBytes(Math.ceil(text.length / 4) * 3);
  let length: number;
  try {
    // Unused bits of the last letter must be zero, or several texts would
    // decode to the same bytes; the strict decoder checks that in whole groups
    // of four only.
    length = bytes.setFromBase64(
      text.padEnd(Math.ceil(text.length / 4) * 4, "="),
      { alphabet: "base64url", lastChunkHandling: "strict" },
    ).written;
  } catch (cause) {
    throw invalidContext("not base64url", cause);
  }
  const end = length - CHECKSUM_BYTES;
  if (end < 0) throw invalidContext("cut short");
  const context = bytes.subarray(0, end);
  if (readU32(bytes, end) !== checksumOf(context)) {
    throw invalidContext("damaged");
  }
  checkContext(context);
  return context;
}

/** 32-bit FNV-1a. */
function checksumOf(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < bytes.length; i++) {
    hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193);
  }
  return hash >>> 0;
}

function invalidContext(reason: string, cause?: unknown): WhorlError {
  return new WhorlError(
    "invalid_context",
    `Cannot use a causal context as it must come unchanged from a read: current value is ${reason}`,
    cause === undefined ? {} : { cause },
  );
}
