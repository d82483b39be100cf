/**
 * Where bytes from a stream wait until their record and their frame are whole.
 * It grows only with bytes that have arrived, never by what a frame's length
 * announces, and shrinks to its usual size once large frames stop coming.
 *
 * @module
 */
import {
  announcedFrameBytes,
  type FrameHandler,
  readFrames,
} from "../wire/frame.ts";
import {
  checkRecord,
  RECORD_BYTES_MAX,
  RECORD_HEADER_BYTES,
  recordLength,
} from "../wire/record.ts";

/** Initial size: enough for a handshake. Most links are idle, and a node may hold thousands. */
export const RECEIVE_BUFFER_BYTES_MIN: number = 2 * 1024;
/** Size of a busy link's buffer: it doubles up to here each time a read fills it. */
export const RECEIVE_BUFFER_BYTES: number = 128 * 1024;
/** Reads in a row that would have fitted the usual size before a larger buffer is given back. */
const SMALL_READS_BEFORE_SHRINKING = 64;
/** With less free space than this, or than half of the buffer, what waits is moved to the front before the next read. */
const READ_BYTES_MIN = 8 * 1024;

/**
 * A buffer that is filled by reads and emptied by frames:
 *
 *     … | part of a frame | gap | records | free
 *     start        checked   raw       end
 *
 * The gap was taken by record headers that stood within the frame.
 */
export class ReceiveBuffer {
  #bytes: Uint8Array<ArrayBuffer>;
  /** Start of the first frame that was not handed on. */
  #start = 0;
  /** End of its bytes whose records are complete and verified. */
  #checked = 0;
  /** Start of the first incomplete record. */
  #raw = 0;
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

  /** Bytes that wait: after {@linkcode drain}, parts of at most one frame and one record. */
  get pendingBytes(): number {
    return this.#checked - this.#start + this.#end - this.#raw;
  }

  /** Memory held, in bytes. */
  get capacity(): number {
    return this.#bytes.length;
  }

  /** Free space to read into; never empty. */
  space(): Uint8Array<ArrayBuffer> {
    if (this.pendingBytes === 0) {
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
      this.#start =
        this.#checked =
        this.#raw =
        this.#end =
          0;
    } else if (this.#free < Math.min(READ_BYTES_MIN, this.#bytes.length / 2)) {
      this.#moveInto(this.#bytes);
    }
    if (this.#free === 0) {
      this.#moveInto(new Uint8Array(this.#grownCapacity()));
    }
    // Usually the whole buffer is free and needs no view.
    return this.#end === 0 ? this.#bytes : this.#bytes.subarray(this.#end);
  }

  get #free(): number {
    return this.#bytes.length - this.#end;
  }

  /** Moves what waits to the front of `target`, which may be the present buffer. */
  #moveInto(target: Uint8Array<ArrayBuffer>): void {
    const partial = this.#checked - this.#start;
    if (target !== this.#bytes || this.#start > 0) {
      target.set(this.#bytes.subarray(this.#start, this.#checked));
    }
    if (target !== this.#bytes || this.#raw > partial) {
      target.set(this.#bytes.subarray(this.#raw, this.#end), partial);
    }
    this.#bytes = target;
    this.#end = partial + this.#end - this.#raw;
    this.#start = 0;
    this.#checked = this.#raw = partial;
  }

  /** At most double the present size: an announced frame gets its space only as its bytes arrive. */
  #grownCapacity(): number {
    const frame =
      announcedFrameBytes(this.#bytes, this.#start, this.#checked) ?? 0;
    return Math.max(
      this.pendingBytes + 64,
      Math.min(
        // Plus what follows the frame in its last record, and headers.
        frame + RECORD_BYTES_MAX + 2 * RECORD_HEADER_BYTES,
        this.#bytes.length * 2,
      ),
    );
  }

  /** `count` bytes have been read into {@linkcode space}. */
  filled(count: number): void {
    this.#end += count;
    this.#smallReads = count < RECEIVE_BUFFER_BYTES ? this.#smallReads + 1 : 0;
  }

  /**
   * Hands every complete frame from complete records to `handle` and keeps the
   * rest. Nothing from a corrupted record is handed on.
   *
   * @throws {WhorlError} As {@linkcode readFrames}, {@linkcode recordLength}
   * and {@linkcode checkRecord} do; then the buffer must not be used again.
   */
  drain(lengthMax: number, handle: FrameHandler): void {
    for (;;) {
      const length = recordLength(this.#bytes, this.#raw, this.#end);
      if (
        length === undefined ||
        this.#end - this.#raw < RECORD_HEADER_BYTES + length
      ) return;
      checkRecord(this.#bytes, this.#raw, length);
      this.#open(length);
      this.#start = readFrames(
        this.#bytes,
        this.#start,
        this.#checked,
        lengthMax,
        handle,
      );
    }
  }

  /** Appends the first record, complete and verified, to the frame that has begun. */
  #open(length: number): void {
    const from = this.#raw + RECORD_HEADER_BYTES;
    const partial = this.#checked - this.#start;
    this.#raw = from + length;
    if (partial <= length) {
      // Usually no frame has begun, and the record's bytes stay in place.
      if (partial > 0) {
        this.#bytes.copyWithin(from - partial, this.#start, this.#checked);
      }
      this.#start = from - partial;
      this.#checked = this.#raw;
    } else {
      this.#bytes.copyWithin(this.#checked, from, this.#raw);
      this.#checked += length;
    }
  }

  /** A copy of the bytes that have arrived and were not taken. */
  rest(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(this.#raw, this.#end);
  }

  /**
   * Takes the first whole frame out, or returns false if there is none yet. For
   * the handshake, whose frames are not in records, and where a frame may
   * change who reads the next one.
   *
   * @throws {WhorlError} As {@linkcode readFrames} does.
   */
  takeOne(lengthMax: number, handle: FrameHandler): boolean {
    const before = this.#raw;
    const frame = announcedFrameBytes(this.#bytes, before, this.#end);
    if (frame === undefined) return false;
    // Cut at the first frame's end; an impossible length is refused by readFrames.
    const end = Math.min(this.#end, before + Math.max(4, frame));
    this.#raw = readFrames(this.#bytes, before, end, lengthMax, handle);
    this.#start = this.#checked = this.#raw;
    return this.#raw > before;
  }
}
