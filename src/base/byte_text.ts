/**
 * Bytes as strings. Keys are strings with one character per byte: JavaScript has
 * no map keyed by bytes; such strings hash and compare fast, and sort in the
 * order of their bytes. Other short text skips the encoder and the decoder.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { briefBytes } from "./byte_slab.ts";

// On 30-byte keys this takes 43 ns and String.fromCharCode.apply 72 ns. It
// works on any Uint8Array, so no Buffer has to be made first.
const latin1Slice = (Buffer.prototype as unknown as {
  latin1Slice(this: Uint8Array, start: number, end: number): string;
}).latin1Slice;

const encoder = new TextEncoder();
/** Up to this many bytes, checking each one is faster than calling the encoder or decoder. */
const SHORT_TEXT_BYTES = 256;

/** The bytes from `start` to `end` as text, one character per byte. */
export function bytesToText(
  bytes: Uint8Array,
  start = 0,
  end: number = bytes.length,
): string {
  return latin1Slice.call(bytes, start, end);
}

/** Writes the bytes of `text` into `into` at `offset`, from character `from` on. */
export function textIntoBytes(
  text: string,
  into: Uint8Array,
  offset: number,
  from = 0,
): void {
  for (let i = from; i < text.length; i++) {
    into[offset + i - from] = text.charCodeAt(i);
  }
}

/** The bytes of `text`, without its first `from` characters; they come from a shared slab (`byte_slab.ts`). */
export function textToBytes(text: string, from = 0): Uint8Array<ArrayBuffer> {
  const bytes = briefBytes(text.length - from);
  textIntoBytes(text, bytes, 0, from);
  return bytes;
}

/** The bytes from `start` to `end` as text if they are short and ASCII, as names usually are: a decoder takes ten times as long. */
export function shortAscii(
  bytes: Uint8Array,
  start = 0,
  end: number = bytes.length,
): string | undefined {
  if (end - start > SHORT_TEXT_BYTES) return undefined;
  for (let i = start; i < end; i++) {
    if ((bytes[i] as number) > 0x7f) return undefined;
  }
  return bytesToText(bytes, start, end);
}

/** `text` in UTF-8; short text comes from a shared slab (`byte_slab.ts`). */
export function utf8Of(text: string): Uint8Array<ArrayBuffer> {
  const { length } = text;
  if (length > SHORT_TEXT_BYTES) return encoder.encode(text);
  const bytes = briefBytes(length);
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0x7f) return encoder.encode(text);
    bytes[i] = code;
  }
  return bytes;
}

/** Where `text` belongs in the ascending list `sorted`: the index of the first element that is not smaller. */
export function lowerBound(sorted: readonly string[], text: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] as string) < text) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Merges two ascending lists into one, without duplicates. */
export function mergeSorted(
  a: readonly string[],
  b: readonly string[],
): string[] {
  const merged: string[] = [];
  let i = 0;
  let j = 0;
  let last: string | undefined;
  while (i < a.length || j < b.length) {
    const next = j >= b.length ||
        i < a.length && (a[i] as string) <= (b[j] as string)
      ? a[i++] as string
      : b[j++] as string;
    if (next !== last) merged.push(next);
    last = next;
  }
  return merged;
}
