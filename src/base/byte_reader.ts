/**
 * Reads binary data that may come from anybody: every read checks its bounds
 * and refuses what is cut short. The opposite of `ByteWriter`.
 *
 * @module
 */
import { WhorlError } from "./errors.ts";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A read position over bytes. Integers are big-endian. */
export class ByteReader {
  /** The bytes being read. */
  bytes: Uint8Array;
  /** Where the next read starts. */
  offset: number;
  /** Where reading must stop. */
  end: number;
  #view: DataView;

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
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Reads something else from now on; cheap when it lies in the same bytes. */
  reset(bytes: Uint8Array, offset: number, end: number): void {
    if (bytes !== this.bytes) {
      this.bytes = bytes;
      this.#view = new DataView(
        bytes.buffer,
        bytes.byteOffset,
        bytes.byteLength,
      );
    }
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
    return this.#view.getUint8(this.#take(1));
  }

  /** A whole number from two bytes, 0 to 65,535. */
  u16(): number {
    return this.#view.getUint16(this.#take(2));
  }

  /** A whole number from four bytes, 0 to 2^32 - 1. */
  u32(): number {
    return this.#view.getUint32(this.#take(4));
  }

  /** A whole number from eight bytes. @throws {WhorlError} `protocol_error` also if it is above 2^53 - 1. */
  u53(): number {
    const at = this.#take(8);
    const high = this.#view.getUint32(at);
    if (high > 0x1f_ffff) {
      throw new WhorlError(
        "protocol_error",
        "Cannot read a number above 2^53 - 1",
      );
    }
    return high * 0x1_0000_0000 + this.#view.getUint32(at + 4);
  }

  /** An IEEE 754 double from eight bytes; may be NaN or infinite. */
  f64(): number {
    return this.#view.getFloat64(this.#take(8));
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
