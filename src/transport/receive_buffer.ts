/**
 * Where bytes from a stream wait until their frame is whole. It grows only with
 * bytes that have arrived, never with what a frame's length merely announces,
 * and goes back to its usual size once large frames stop coming.
 *
 * @module
 */
import {
  announcedFrameBytes,
  type FrameHandler,
  readFrames,
} from "../wire/frame.ts";

/** Size to begin with; most links are idle, and a node may hold thousands. */
export const RECEIVE_BUFFER_BYTES_MIN: number = 16 * 1024;
/** Size of a busy link's buffer: it doubles up to here each time a read fills it. */
export const RECEIVE_BUFFER_BYTES: number = 128 * 1024;
/** Reads in a row that would have fitted the usual size before a larger buffer is given back. */
const SMALL_READS_BEFORE_SHRINKING = 64;
/** Below this much free space the rest is moved to the front before reading on. */
const READ_BYTES_MIN = 8 * 1024;

/** A buffer that is filled by reads and emptied by frames. */
export class ReceiveBuffer {
  #bytes: Uint8Array<ArrayBuffer>;
  #start = 0;
  #end = 0;
  #smallReads = 0;

  /** @param initial Bytes that have arrived already; they are copied. */
  constructor(initial: Uint8Array = new Uint8Array(0)) {
    this.#bytes = new Uint8Array(
      Math.max(RECEIVE_BUFFER_BYTES_MIN, initial.length),
    );
    this.#bytes.set(initial);
    this.#end = initial.length;
  }

  /** Bytes that wait, which is a part of one frame once {@linkcode drain} has run. */
  get pendingBytes(): number {
    return this.#end - this.#start;
  }

  /** Memory held, in bytes. */
  get capacity(): number {
    return this.#bytes.length;
  }

  /** Free space to read into; never empty. */
  space(): Uint8Array<ArrayBuffer> {
    const pending = this.#end - this.#start;
    if (pending === 0) {
      if (
        this.#end === this.#bytes.length &&
        this.#bytes.length < RECEIVE_BUFFER_BYTES
      ) {
        this.#bytes = new Uint8Array(this.#bytes.length * 2);
      } else if (
        this.#bytes.length > RECEIVE_BUFFER_BYTES &&
        this.#smallReads >= SMALL_READS_BEFORE_SHRINKING
      ) {
        this.#bytes = new Uint8Array(RECEIVE_BUFFER_BYTES);
      }
      this.#start = this.#end = 0;
    } else if (this.#start > 0 && this.#free < READ_BYTES_MIN) {
      this.#bytes.copyWithin(0, this.#start, this.#end);
      this.#start = 0;
      this.#end = pending;
    }
    if (this.#free === 0) this.#grow(pending);
    return this.#bytes.subarray(this.#end);
  }

  get #free(): number {
    return this.#bytes.length - this.#end;
  }

  /** A frame of announced size gets that much only as it arrives: the buffer at most doubles. */
  #grow(pending: number): void {
    const announced = announcedFrameBytes(
      this.#bytes,
      this.#start,
      this.#end,
    ) ?? 0;
    const capacity = Math.max(
      pending + 64,
      Math.min(announced, this.#bytes.length * 2),
    );
    const grown = new Uint8Array(capacity);
    grown.set(this.#bytes.subarray(this.#start, this.#end));
    this.#bytes = grown;
    this.#start = 0;
    this.#end = pending;
  }

  /** `count` bytes have been read into {@linkcode space}. */
  filled(count: number): void {
    this.#end += count;
    this.#smallReads = count < RECEIVE_BUFFER_BYTES ? this.#smallReads + 1 : 0;
  }

  /**
   * Hands every whole frame to `handle` and keeps the rest.
   *
   * @throws {WhorlError} As {@linkcode readFrames} does; then the buffer is of no more use.
   */
  drain(lengthMax: number, handle: FrameHandler): void {
    this.#start = readFrames(
      this.#bytes,
      this.#start,
      this.#end,
      lengthMax,
      handle,
    );
  }

  /** A copy of what has arrived and was not drained. */
  rest(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(this.#start, this.#end);
  }

  /**
   * Takes the first whole frame out, or returns false if there is none yet. For
   * the handshake, where the frame may change who reads the next one.
   *
   * @throws {WhorlError} As {@linkcode readFrames} does.
   */
  takeOne(lengthMax: number, handle: FrameHandler): boolean {
    const frame = announcedFrameBytes(this.#bytes, this.#start, this.#end);
    if (frame === undefined) return false;
    // Cut at the first frame's end; an impossible length is refused by readFrames.
    const end = Math.min(this.#end, this.#start + Math.max(4, frame));
    const before = this.#start;
    this.#start = readFrames(this.#bytes, before, end, lengthMax, handle);
    return this.#start > before;
  }
}
