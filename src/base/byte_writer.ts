/**
 * Appends binary data to a buffer that grows by doubling and is reused. Hot
 * paths write straight into the buffer that goes to the socket or the port:
 * allocating a typed array per message would cost more than the message.
 *
 * @module
 */

const encoder = new TextEncoder();
/**
 * Up to this many characters, a loop over ASCII is faster than the encoder and
 * the view that it needs. Names are short and ASCII.
 */
const SHORT_TEXT_LENGTH = 48;

/** A growing buffer with a write position. Integers are big-endian. */
export class ByteWriter {
  /** The underlying memory; replaced when the writer grows. */
  bytes: Uint8Array<ArrayBuffer>;
  /** How many bytes have been written. */
  length = 0;
  #view: DataView<ArrayBuffer>;

  /**
   * Starts empty.
   *
   * @param capacityBytes Space to start with, in bytes; it doubles as needed. @default {1024}
   */
  constructor(capacityBytes = 1024) {
    this.bytes = new Uint8Array(capacityBytes);
    this.#view = new DataView(this.bytes.buffer);
  }

  /** Makes room for `count` more bytes. */
  reserve(count: number): void {
    const needed = this.length + count;
    if (needed <= this.bytes.length) return;
    let capacity = Math.max(64, this.bytes.length * 2);
    while (capacity < needed) capacity *= 2;
    const grown = new Uint8Array(capacity);
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
    this.#view = new DataView(grown.buffer);
  }

  /** Forgets what was written and keeps the memory. */
  clear(): void {
    this.length = 0;
  }

  /** One byte: the lowest eight bits of `value`. */
  u8(value: number): void {
    this.reserve(1);
    this.bytes[this.length++] = value;
  }

  /** Two bytes: the lowest sixteen bits of `value`. */
  u16(value: number): void {
    this.reserve(2);
    this.#view.setUint16(this.length, value);
    this.length += 2;
  }

  /** Four bytes: the lowest 32 bits of `value`. */
  u32(value: number): void {
    this.reserve(4);
    this.#view.setUint32(this.length, value);
    this.length += 4;
  }

  /** A whole number from 0 to 2^48 - 1 in six bytes. */
  u48(value: number): void {
    this.reserve(6);
    this.#view.setUint16(this.length, value / 0x1_0000_0000);
    this.#view.setUint32(this.length + 2, value >>> 0);
    this.length += 6;
  }

  /** A whole number from 0 to 2^53 - 1 in eight bytes. */
  u53(value: number): void {
    this.reserve(8);
    this.#view.setUint32(this.length, Math.floor(value / 0x1_0000_0000));
    this.#view.setUint32(this.length + 4, value >>> 0);
    this.length += 8;
  }

  /** An IEEE 754 double in eight bytes. */
  f64(value: number): void {
    this.reserve(8);
    this.#view.setFloat64(this.length, value);
    this.length += 8;
  }

  /** The bytes themselves, with no length before them. */
  raw(source: Uint8Array): void {
    this.reserve(source.length);
    this.bytes.set(source, this.length);
    this.length += source.length;
  }

  /** `source[start, end)`; short ranges are copied in a loop, which is faster than a view and `set`. */
  rawRange(source: Uint8Array, start: number, end: number): void {
    const count = end - start;
    this.reserve(count);
    if (count <= 48) {
      const bytes = this.bytes;
      let to = this.length;
      for (let from = start; from < end; from++) {
        bytes[to++] = source[from] as number;
      }
    } else {
      this.bytes.set(source.subarray(start, end), this.length);
    }
    this.length += count;
  }

  /** A u32 length, then the bytes. */
  blob(source: Uint8Array): void {
    this.u32(source.length);
    this.raw(source);
  }

  /** A u16 length in bytes, then UTF-8. @throws {RangeError} If it is longer than 65,535 bytes. */
  text(value: string): void {
    this.reserve(2 + value.length * 3);
    const written = this.#putText(value, this.length + 2);
    if (written > 0xffff) {
      throw new RangeError(
        `Cannot write a text of ${written} bytes: the limit is 65535`,
      );
    }
    this.#view.setUint16(this.length, written);
    this.length += 2 + written;
  }

  /** UTF-8 with no length before it; returns how many bytes it took. */
  rawText(value: string): number {
    this.reserve(value.length * 3);
    const written = this.#putText(value, this.length);
    this.length += written;
    return written;
  }

  /** Writes `value` at `start`, where there is room, and returns how many bytes it took. */
  #putText(value: string, start: number): number {
    const { bytes } = this;
    const { length } = value;
    let at = 0;
    if (length <= SHORT_TEXT_LENGTH) {
      for (; at < length; at++) {
        const code = value.charCodeAt(at);
        if (code > 0x7f) break;
        bytes[start + at] = code;
      }
    }
    if (at === length) return at;
    return encoder.encodeInto(value, bytes.subarray(start)).written;
  }

  /** Overwrites four bytes at `offset`, for lengths known only afterwards. */
  setU32(offset: number, value: number): void {
    this.#view.setUint32(offset, value);
  }

  /** Overwrites one byte at `offset`. */
  setU8(offset: number, value: number): void {
    this.bytes[offset] = value;
  }

  /** Overwrites two bytes at `offset`. */
  setU16(offset: number, value: number): void {
    this.#view.setUint16(offset, value);
  }

  /** What was written, without copying; valid until the next write or clear. */
  view(): Uint8Array<ArrayBuffer> {
    return this.bytes.subarray(0, this.length);
  }

  /** What was written, as a copy of its own. */
  copy(): Uint8Array<ArrayBuffer> {
    return this.bytes.slice(0, this.length);
  }
}
