/**
 * MessagePack for messages that are rare: ring, services, calls. Input is
 * scanned before it is decoded, because the decoder trusts the lengths it
 * reads: 200 bytes with forty nested headers of 16 million elements exhaust the
 * process's memory. The scan walks the structure without building anything and
 * refuses impossible lengths; the decoded data must still be checked against a
 * schema.
 *
 * Maps become plain objects, binaries become views into the input. JavaScript
 * `Map`s, `Date`s and `bigint`s cannot be sent.
 *
 * @module
 */
import { Decoder, Encoder } from "npm:@msgpack/msgpack@3.1.3";
import type { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";

/** Bounds of a message. */
export interface MsgpackLimits {
  /** Nesting depth of containers. @default {32} */
  readonly depthMax?: number;
  /** Values in total, keys of maps included. @default {100000} */
  readonly elementsMax?: number;
}

/** Default of {@linkcode MsgpackLimits.depthMax}. */
export const MSGPACK_DEPTH_MAX = 32;
/** Default of {@linkcode MsgpackLimits.elementsMax}. */
export const MSGPACK_ELEMENTS_MAX = 100_000;

// Both are made once: a new one for each message costs six times as much as
// encoding the message.
const encoder = new Encoder({
  maxDepth: MSGPACK_DEPTH_MAX,
  ignoreUndefined: true,
});
const decoder = new Decoder();
// The scan's stacks. They can be shared, as the scan runs no foreign code and
// so is never re-entered.
const leftByDepth = new Uint32Array(MSGPACK_DEPTH_MAX + 1);
const isMapByDepth = new Uint8Array(MSGPACK_DEPTH_MAX + 1);
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * `value` with every text in it well-formed. A lone surrogate has no UTF-8
 * encoding, so the receiver would refuse the message; call this before sending
 * text of unknown origin.
 *
 * @throws {WhorlError} `invalid_argument` if it is nested too deeply, or throws
 * when it is read.
 */
export function wellFormed(value: unknown): unknown {
  try {
    return wellFormedWithin(value, MSGPACK_DEPTH_MAX);
  } catch (cause) {
    throw new WhorlError(
      "invalid_argument",
      "Cannot read a value to send it: it is too deep or throws",
      { cause },
    );
  }
}

function wellFormedWithin(value: unknown, depth: number): unknown {
  if (typeof value === "string") return value.toWellFormed();
  if (typeof value !== "object" || value === null) return value;
  if (depth === 0) throw new RangeError("too deep");
  if (Array.isArray(value)) {
    return value.map((part) => wellFormedWithin(part, depth - 1));
  }
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(
    Object.entries(value).map((
      [name, part],
    ) => [name.toWellFormed(), wellFormedWithin(part, depth - 1)]),
  );
}

/** `value` as MessagePack, in memory of its own. @throws {WhorlError} `invalid_argument` if it cannot be encoded. */
export function encodeMsgpack(value: unknown): Uint8Array<ArrayBuffer> {
  return encodeShared(value).slice();
}

/** Appends `value` as MessagePack. @throws {WhorlError} `invalid_argument` if it cannot be encoded. */
export function writeMsgpack(value: unknown, into: ByteWriter): void {
  into.raw(encodeShared(value));
}

function encodeShared(value: unknown): Uint8Array<ArrayBuffer> {
  try {
    return encoder.encodeSharedRef(value);
  } catch (cause) {
    throw new WhorlError(
      "invalid_argument",
      "Cannot encode a value as MessagePack: it is too deep or of a kind the wire does not know",
      { cause },
    );
  }
}

/**
 * Decodes the value in `bytes`, which must hold exactly one.
 *
 * @throws {WhorlError} `protocol_error` if it is cut short, too long, too deep,
 * too large, or not plain data.
 */
export function decodeMsgpack(
  bytes: Uint8Array,
  limits: MsgpackLimits = {},
): unknown {
  scanMsgpack(bytes, limits);
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new WhorlError("protocol_error", "Cannot decode a message", {
      cause,
    });
  }
}

/**
 * Refuses bytes that are not one whole, bounded MessagePack value of plain
 * data. Reads each byte at most once, and the input cannot make it allocate
 * memory.
 *
 * @throws {WhorlError} `protocol_error`.
 */
export function scanMsgpack(
  bytes: Uint8Array,
  limits: MsgpackLimits = {},
): void {
  const depthMax = limits.depthMax ?? MSGPACK_DEPTH_MAX;
  const elementsMax = limits.elementsMax ?? MSGPACK_ELEMENTS_MAX;
  const end = bytes.length;
  // How many values are still to come in each open container. In maps keys and
  // values alternate, and an even number means that a key comes next.
  const isUsual = depthMax <= MSGPACK_DEPTH_MAX;
  const left = isUsual ? leftByDepth : new Uint32Array(depthMax + 1);
  const isMap = isUsual ? isMapByDepth : new Uint8Array(depthMax + 1);
  let depth = 0;
  left[0] = 1;
  let elements = 0;
  // Values announced and not yet read, over all open containers. Each takes at
  // least one byte of its own, so nested containers cannot count on the same
  // bytes.
  let owed = 1;
  let at = 0;

  while (depth >= 0) {
    if (left[depth] === 0) {
      depth--;
      continue;
    }
    if (at >= end) throw refusal("it is cut short");
    const keyExpected = isMap[depth] === 1 && (left[depth]! & 1) === 0;
    left[depth]!--;
    owed--;
    elements++;
    const tag = bytes[at++]!;
    let container = -1; // values inside, if the tag opens a container
    let map = 0;
    let textBytes = -1;
    let skip = 0;
    if (tag <= 0x7f || tag >= 0xe0) skip = 0; // small integers
    else if (tag <= 0x8f) {
      container = (tag & 0x0f) * 2;
      map = 1;
    } else if (tag <= 0x9f) container = tag & 0x0f;
    else if (tag <= 0xbf) textBytes = tag & 0x1f;
    else {
      switch (tag) {
        case 0xc0: // nil
        case 0xc2: // false
        case 0xc3: // true
          break;
        case 0xc4: // bin 8, 16, 32
        case 0xc5:
        case 0xc6: {
          const width = 1 << (tag - 0xc4);
          skip = readLength(bytes, at, width, end);
          at += width;
          break;
        }
        case 0xca: // float 32
        case 0xce: // uint 32
        case 0xd2: // int 32
          skip = 4;
          break;
        case 0xcb: // float 64
          skip = 8;
          break;
        case 0xcc: // uint 8
        case 0xd0: // int 8
          skip = 1;
          break;
        case 0xcd: // uint 16
        case 0xd1: // int 16
          skip = 2;
          break;
        case 0xcf: // uint 64
        case 0xd3: { // int 64
          const high = readLength(bytes, at, 4, end);
          const isSafe = high <= 0x1f_ffff ||
            tag === 0xd3 && high >= 0xffe0_0000;
          if (!isSafe) throw refusal("it has an integer beyond 2^53");
          skip = 8;
          break;
        }
        case 0xd9: // str 8, 16, 32
        case 0xda:
        case 0xdb: {
          const width = 1 << (tag - 0xd9);
          textBytes = readLength(bytes, at, width, end);
          at += width;
          break;
        }
        case 0xdc: // array 16, 32
        case 0xdd: {
          const width = 2 << (tag - 0xdc);
          container = readLength(bytes, at, width, end);
          at += width;
          break;
        }
        case 0xde: // map 16, 32
        case 0xdf: {
          const width = 2 << (tag - 0xde);
          container = readLength(bytes, at, width, end) * 2;
          map = 1;
          at += width;
          break;
        }
        default: // 0xc1 is never used; extensions are not plain data
          throw refusal(`it has a value of type 0x${tag.toString(16)}`);
      }
    }
    if (keyExpected && textBytes < 0) {
      throw refusal("it has a map whose key is not text");
    }
    if (textBytes >= 0) {
      if (textBytes > end - at) throw refusal("it is cut short");
      checkUtf8(bytes, at, at + textBytes);
      at += textBytes;
    } else if (container >= 0) {
      owed += container;
      if (owed > end - at) {
        throw refusal(`it announces ${owed} values in ${end - at} bytes`);
      }
      if (elements + owed > elementsMax) {
        throw refusal(`it has more than ${elementsMax} values`);
      }
      if (++depth > depthMax) {
        throw refusal(`it is deeper than ${depthMax}`);
      }
      left[depth] = container;
      isMap[depth] = map;
    } else {
      if (skip > end - at) throw refusal("it is cut short");
      at += skip;
    }
  }
  if (at !== end) throw refusal(`${end - at} bytes follow it`);
}

function readLength(
  bytes: Uint8Array,
  at: number,
  width: number,
  end: number,
): number {
  if (width > end - at) throw refusal("it is cut short");
  let length = 0;
  for (let i = 0; i < width; i++) length = length * 256 + bytes[at + i]!;
  return length;
}

function checkUtf8(bytes: Uint8Array, start: number, end: number): void {
  for (let i = start; i < end; i++) {
    if (bytes[i]! < 0x80) continue;
    try {
      utf8.decode(bytes.subarray(start, end));
      return;
    } catch (cause) {
      throw new WhorlError(
        "protocol_error",
        "Cannot accept a message as it has a text that is not UTF-8",
        { cause },
      );
    }
  }
}

function refusal(reason: string): WhorlError {
  return new WhorlError(
    "protocol_error",
    `Cannot accept a message as ${reason}`,
  );
}
