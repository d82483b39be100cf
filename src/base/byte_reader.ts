/**
 * Reads binary data from untrusted sources: every read checks its bounds and
 * refuses truncated input. The inverse of `ByteWriter`.
 *
 * @module
 */
import { WhorlError } from "./errors.ts";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The unsigned integer in the four bytes at `at`, which the caller has checked
 * to exist. Decoded by hand, since a `DataView` for each message would be
 * garbage.
 */
export function u32At(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 24 | (bytes[at + 1] as number) << 16 |
    (bytes[at + 2] as number) << 8 | (bytes[at + 3] as number)) >>> 0;
}

/** A read position over bytes. Integers are big-endian. */
export class ByteReader {
  /** The bytes being read. */
  bytes: Uint8Array;
  /** Where the next read starts. */
  offset: number;
  /** Where reading must stop. */
  end: number;

  /**
   * Reads `bytes` from `offset` up to, not including, `end`, without copying.
   *
   * @param bytes What to read; views handed out point into it.
   * @param offset First byte to read. @default {0}
   * @param end Where to stop, at most `bytes.length`. @default {bytes.length}
   */
  constructor(bytes: Uint8Array, offset = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.offset = offset;
    this.end = end;
  }

  /** Continues with other bytes. */
  reset(bytes: Uint8Array, offset: number, end: number): void {
    this.bytes = bytes;
    this.offset = offset;
    this.end = end;
  }

  /** Bytes not read yet. */
  get remaining(): number {
    return this.end - this.offset;
  }

  #take(count: number): number {
    const at = this.offset;
    if (count > this.end - at) {
      throw new WhorlError(
        "protocol_error",
        `Cannot read ${count} bytes as the message is cut short: ${
          this.end - at
        } bytes are left`,
      );
    }
    this.offset = at + count;
    return at;
  }

  /** One byte, 0 to 255. @throws {WhorlError} `protocol_error` if the message is cut short, as with every read. */
  u8(): number {
    return this.bytes[this.#take(1)] as number;
  }

  /** A whole number from two bytes, 0 to 65,535. */
  u16(): number {
    const at = this.#take(2);
    return (this.bytes[at] as number) << 8 | (this.bytes[at + 1] as number);
  }

  /** A whole number from four bytes, 0 to 2^32 - 1. */
  u32(): number {
    return u32At(this.bytes, this.#take(4));
  }

  /** A whole number from six bytes, 0 to 2^48 - 1. */
  u48(): number {
    const at = this.#take(6);
    const high = (this.bytes[at] as number) << 8 |
      (this.bytes[at + 1] as number);
    return high * 0x1_0000_0000 + u32At(this.bytes, at + 2);
  }

  /** A whole number from eight bytes. @throws {WhorlError} `protocol_error` also if it is above 2^53 - 1. */
  u53(): number {
    const at = this.#take(8);
    const high = u32At(this.bytes, at);
    if (high > 0x1f_ffff) {
      throw new WhorlError(
        "protocol_error",
        "Cannot read a number above 2^53 - 1",
      );
    }
    return high * 0x1_0000_0000 + u32At(this.bytes, at + 4);
  }

  /** An IEEE 754 double from eight bytes; may be NaN or infinite. */
  f64(): number {
    const { buffer, byteOffset } = this.bytes;
    return new DataView(buffer, byteOffset + this.#take(8), 8).getFloat64(0);
  }

  /** Skips `count` bytes and returns where they begin, for callers that need no view of them. */
  skip(count: number): number {
    return this.#take(count);
  }

  /** `count` bytes as a view into the message; copy what must outlive it. */
  raw(count: number): Uint8Array {
    const at = this.#take(count);
    return this.bytes.subarray(at, at + count);
  }

  /** A u32 length, then that many bytes, as a view. */
  blob(): Uint8Array {
    return this.raw(this.u32());
  }

  /** All bytes that are left, as a view. */
  rest(): Uint8Array {
    return this.raw(this.remaining);
  }

  /** A u16 length in bytes, then UTF-8. @throws {WhorlError} `protocol_error` also if it is not UTF-8. */
  text(): string {
    return this.rawText(this.u16());
  }

  /** `count` bytes of UTF-8. @throws {WhorlError} `protocol_error` also if it is not UTF-8. */
  rawText(count: number): string {
    const bytes = this.raw(count);
    try {
      return decoder.decode(bytes);
    } catch (cause) {
      throw new WhorlError(
        "protocol_error",
        "Cannot read a text that is not UTF-8",
        { cause },
      );
    }
  }
}
