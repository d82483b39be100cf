/**
 * One direction of a stream in memory: a bounded buffer between a writer, who
 * waits while it is full, and a reader, who waits while it is empty.
 *
 * @module
 */
import { invariant } from "../base/invariant.ts";
import type { Runtime } from "../../supervisors/runtime.ts";

/** How far a writer can be ahead of its reader, like a socket's buffer. */
export const PIPE_BYTES_MAX = 256 * 1024;

interface PendingRead {
  readonly into: Uint8Array<ArrayBuffer>;
  readonly resolve: (count: number | null | undefined) => void;
}

interface PendingWrite {
  readonly bytes: Uint8Array<ArrayBuffer>;
  written: number;
  readonly resolve: (done: boolean) => void;
}

/** A bounded buffer with one reader and one writer. */
export class MemoryPipe {
  readonly #runtime: Runtime;
  #buffer = new Uint8Array(4096);
  #start = 0;
  #end = 0;
  #reading: PendingRead | undefined;
  #writing: PendingWrite | undefined;
  #finished = false;
  #broken = false;
  #stalled = false;
  #abandoned = false;
  #deliveryDue = false;
  readonly #whenFlowing: (() => void)[] = [];

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** Resolves to the number of bytes copied, to null at the end, or to undefined if the pipe broke. */
  read(into: Uint8Array<ArrayBuffer>): Promise<number | null | undefined> {
    invariant(this.#reading === undefined, "one read at a time");
    invariant(!this.#abandoned, "nobody reads after leaving");
    return new Promise((resolve) => {
      this.#reading = { into, resolve };
      this.#deliverSoon();
    });
  }

  /** Resolves to true once all of `bytes` is in the buffer, or to false if it will not be read. */
  write(bytes: Uint8Array<ArrayBuffer>): Promise<boolean> {
    invariant(this.#writing === undefined, "one write at a time");
    return new Promise((resolve) => {
      this.#writing = { bytes, written: 0, resolve };
      this.#takeOver();
      this.#deliverSoon();
    });
  }

  /** Ends writing; the reader gets what is left, then the end. */
  finish(): void {
    this.#finished = true;
    // A write that is cut short by its own side's close never completes.
    this.#writing?.resolve(false);
    this.#writing = undefined;
    this.#deliverSoon();
  }

  /** The reader has gone; bytes in transit are lost, and the writer does not know yet. */
  abandon(): void {
    this.#reading?.resolve(undefined);
    this.#reading = undefined;
    this.#abandoned = true;
  }

  /** Calls `callback` once the pipe delivers: now, or when the stall is over. */
  whenFlowing(callback: () => void): void {
    if (this.#stalled) this.#whenFlowing.push(callback);
    else callback();
  }

  /** Breaks the pipe for both sides. */
  breakOff(): void {
    this.#broken = true;
    this.#start = this.#end = 0;
    this.#writing?.resolve(false);
    this.#writing = undefined;
    this.#reading?.resolve(undefined);
    this.#reading = undefined;
  }

  /** Stalls or resumes delivery. */
  stall(stalled: boolean): void {
    this.#stalled = stalled;
    if (!stalled) {
      for (const callback of this.#whenFlowing.splice(0)) callback();
    }
    this.#deliverSoon();
  }

  #takeOver(): void {
    const writing = this.#writing;
    if (writing === undefined) return;
    if (this.#broken || this.#finished) {
      this.#writing = undefined;
      return writing.resolve(false);
    }
    const count = Math.min(
      writing.bytes.length - writing.written,
      PIPE_BYTES_MAX - (this.#end - this.#start),
    );
    this.#reserve(count);
    this.#buffer.set(
      writing.bytes.subarray(writing.written, writing.written + count),
      this.#end,
    );
    this.#end += count;
    writing.written += count;
    if (writing.written === writing.bytes.length) {
      this.#writing = undefined;
      writing.resolve(true);
    }
  }

  #reserve(count: number): void {
    if (this.#end + count <= this.#buffer.length) return;
    const held = this.#end - this.#start;
    let capacity = this.#buffer.length;
    while (capacity < held + count) capacity *= 2;
    if (capacity === this.#buffer.length) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
    } else {
      const grown = new Uint8Array(capacity);
      grown.set(this.#buffer.subarray(this.#start, this.#end));
      this.#buffer = grown;
    }
    this.#start = 0;
    this.#end = held;
  }

  #deliverSoon(): void {
    if (this.#deliveryDue || this.#reading === undefined) return;
    this.#deliveryDue = true;
    this.#runtime.defer(() => {
      this.#deliveryDue = false;
      this.#deliver();
    });
  }

  #deliver(): void {
    const reading = this.#reading;
    if (reading === undefined) return;
    if (this.#broken) {
      this.#reading = undefined;
      return reading.resolve(undefined);
    }
    if (this.#stalled) return;
    const count = Math.min(reading.into.length, this.#end - this.#start);
    if (count > 0) {
      reading.into.set(
        this.#buffer.subarray(this.#start, this.#start + count),
      );
      this.#start += count;
      if (this.#start === this.#end) this.#start = this.#end = 0;
      this.#reading = undefined;
      reading.resolve(count);
      this.#takeOver();
    } else if (this.#finished) {
      this.#reading = undefined;
      reading.resolve(null);
    }
  }
}
