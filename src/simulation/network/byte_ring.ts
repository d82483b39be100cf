/**
 * The bytes of one direction of a connection, from their writer to a reader
 * that has not read them yet. Positions count from the beginning of the
 * connection, like TCP sequence numbers, so a segment is two numbers, and its
 * bytes are copied once in and once out, however often it is sent.
 *
 * @module
 */
import { NO_BYTES } from "../../base/byte_slab.ts";
import { invariant } from "../../base/invariant.ts";

const RING_BYTES_MIN = 2 * 1024;
/** Up to this many bytes a loop is faster than a view and `set`. */
const LOOP_BYTES_MAX = 64;
/** An empty ring larger than this releases its buffer. */
const RING_BYTES_KEPT = 64 * 1024;

/** Bytes in order, addressed by their position in the stream. */
export class ByteRing {
  /**
   * Its length is a power of two, so that masking turns a position into an
   * index.
   */
  #bytes = NO_BYTES;
  #start = 0;
  #end = 0;

  /** Position of the first byte. */
  get start(): number {
    return this.#start;
  }

  /** Position after the last byte. */
  get end(): number {
    return this.#end;
  }

  /** Appends `source[from, from + count)`. */
  append(source: Uint8Array, from: number, count: number): void {
    this.#reserve(count);
    const at = this.#end & (this.#bytes.length - 1);
    const first = Math.min(count, this.#bytes.length - at);
    if (first === count && count <= LOOP_BYTES_MAX) {
      const bytes = this.#bytes;
      for (let i = 0; i < count; i++) {
        bytes[at + i] = source[from + i] as number;
      }
      this.#end += count;
      return;
    }
    this.#bytes.set(part(source, from, first), at);
    if (first < count) {
      this.#bytes.set(part(source, from + first, count - first), 0);
    }
    this.#end += count;
  }

  /** Flips one bit, counted from the byte at `place`. */
  flip(place: number, bit: number): void {
    const at = place + (bit >> 3);
    invariant(at >= this.#start && at < this.#end, "only what is kept changes");
    const index = at & (this.#bytes.length - 1);
    this.#bytes[index] = (this.#bytes[index] as number) ^ 1 << (bit & 7);
  }

  /** Moves the first `count` bytes to the beginning of `into`. */
  take(into: Uint8Array, count: number): void {
    invariant(count <= this.#end - this.#start, "only what is kept is taken");
    const at = this.#start & (this.#bytes.length - 1);
    const first = Math.min(count, this.#bytes.length - at);
    if (first === count && count <= LOOP_BYTES_MAX) {
      const bytes = this.#bytes;
      for (let i = 0; i < count; i++) into[i] = bytes[at + i] as number;
    } else into.set(this.#bytes.subarray(at, at + first));
    if (first < count) into.set(this.#bytes.subarray(0, count - first), first);
    this.#start += count;
    if (this.#start === this.#end && this.#bytes.length > RING_BYTES_KEPT) {
      this.#bytes = NO_BYTES;
    }
  }

  #reserve(count: number): void {
    const kept = this.#end - this.#start;
    if (kept + count <= this.#bytes.length) return;
    let size = Math.max(this.#bytes.length, RING_BYTES_MIN);
    while (size < kept + count) size *= 2;
    const grown = new Uint8Array(size);
    // The index of a position depends on the size, so bytes may wrap in either
    // ring.
    for (let place = this.#start; place < this.#end;) {
      const from = place & (this.#bytes.length - 1);
      const to = place & (size - 1);
      const run = Math.min(
        this.#end - place,
        this.#bytes.length - from,
        size - to,
      );
      grown.set(this.#bytes.subarray(from, from + run), to);
      place += run;
    }
    this.#bytes = grown;
  }
}

/** Most writes are appended whole, and then need no view. */
function part(source: Uint8Array, from: number, count: number): Uint8Array {
  return from === 0 && count === source.length
    ? source
    : source.subarray(from, from + count);
}
