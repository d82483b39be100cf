/**
 * A row of tanodb, and the bytes a vnode keeps of it:
 *
 *     key     u16 bucket bytes · bucket in UTF-8 · key in UTF-8
 *     value   f64 when it was written · the value in JSON, or nothing if it was deleted
 *
 * So the rows of a bucket stand together, and two copies of a row can be told
 * apart by when they were written.
 *
 * @module
 */
import { ByteReader, ByteWriter } from "../../mod.ts";

/** What is stored under a key. */
export interface Row {
  /** When it was written, in milliseconds since 1970. */
  readonly at: number;
  /** The value in JSON; `null` if it was deleted. */
  readonly json: string | null;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What the keys of all rows of `bucket` begin with. */
export function bucketStart(bucket: string): Uint8Array {
  const text = encoder.encode(bucket);
  const into = new ByteWriter(2 + text.length);
  into.u16(text.length);
  into.raw(text);
  return into.copy();
}

/** The first key after those of `bucket`. */
export function bucketEnd(bucket: string): Uint8Array {
  const end = bucketStart(bucket);
  // UTF-8 has no byte 0xff, so there is no carry.
  (end[end.length - 1] as number)++;
  return end;
}

/** Under which key a row is stored. */
export function rowKey(bucket: string, key: string): Uint8Array {
  return new Uint8Array([...bucketStart(bucket), ...encoder.encode(key)]);
}

/** Bucket and key of a stored row. */
export function rowName(
  stored: Uint8Array,
): { readonly bucket: string; readonly key: string } {
  const from = new ByteReader(stored);
  return {
    bucket: decoder.decode(from.raw(from.u16())),
    key: decoder.decode(from.rest()),
  };
}

/** A row as it is stored. */
export function rowBytes({ at, json }: Row): Uint8Array {
  const into = new ByteWriter();
  into.f64(at);
  into.raw(encoder.encode(json ?? ""));
  return into.copy();
}

/** The row in stored bytes. */
export function rowIn(bytes: Uint8Array): Row {
  const from = new ByteReader(bytes);
  const at = from.f64();
  return { at, json: decoder.decode(from.rest()) || null };
}

/** The one of two copies of a row that was written later; every vnode takes the same one. */
export function laterRow(one: Row, other: Row): Row {
  if (one.at !== other.at) return one.at > other.at ? one : other;
  return (one.json ?? "") >= (other.json ?? "") ? one : other;
}
