/**
 * The format in which vnodes list keys, one after the other:
 *
 *     packed   per key: u16 bytes · key in UTF-8
 *
 * Neither packing nor unpacking allocates a view or an object per key, which
 * would dominate the cost of listing a hundred thousand of them.
 *
 * @module
 */
import { compareRanges } from "../base/byte_order.ts";
import type { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import { keyText } from "./key_limits.ts";

const LENGTH_BYTES = 2;

/** Appends the key `bytes[start, end)`. */
export function packKey(
  into: ByteWriter,
  bytes: Uint8Array,
  start: number,
  end: number,
): void {
  into.u16(end - start);
  into.rawRange(bytes, start, end);
}

/**
 * Where in `packed`, whose keys ascend, the first key after `key` is.
 *
 * @throws {WhorlError} `protocol_error` if a key is cut short.
 */
export function placeAfter(packed: Uint8Array, key: Uint8Array): number {
  let at = 0;
  while (at < packed.length) {
    const end = endOfKey(packed, at);
    const order = compareRanges(
      packed,
      at + LENGTH_BYTES,
      end,
      key,
      0,
      key.length,
    );
    if (order > 0) break;
    at = end;
  }
  return at;
}

/**
 * Appends the keys from `at` on to `texts`, and returns the last one, as a view.
 *
 * @throws {WhorlError} `protocol_error` if a key is cut short, `invalid_key` if
 * it is no text.
 */
export function unpackKeys(
  packed: Uint8Array,
  at: number,
  texts: string[],
): Uint8Array | undefined {
  let start = 0;
  let end = at;
  while (end < packed.length) {
    start = end + LENGTH_BYTES;
    end = endOfKey(packed, end);
    texts.push(keyText(packed, start, end));
  }
  return start === 0 ? undefined : packed.subarray(start, end);
}

function endOfKey(packed: Uint8Array, at: number): number {
  // Bytes beyond the end read as zero; the key, or its length, is cut short
  // then.
  const end = at + LENGTH_BYTES +
    ((packed[at] as number) << 8 | (packed[at + 1] as number));
  if (end <= packed.length) return end;
  throw new WhorlError(
    "protocol_error",
    "Cannot read a list of keys as one of them is cut short",
  );
}
