/**
 * A frame sink that gathers the frames of one turn into one message: for a
 * worker's port, a subprocess's pipe, or another task.
 *
 * @module
 */
import { briefCopyOf } from "../base/byte_slab.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { beginFrame, endFrame } from "./frame.ts";
import type { FrameSink } from "./frame_sink.ts";

/**
 * A batch of this many bytes is sent without waiting for the end of the turn.
 * Gathering pays off for small frames; large ones would only be copied again as
 * the buffer grows, while the receiver waits.
 */
export const BATCH_BYTES_MAX = 256 * 1024;

/** Where batches go. */
export interface BatchingSinkOptions {
  /**
   * Whether the receiver lives in this thread. Then batches are cut from slabs
   * (`briefCopyOf`), which is ten times cheaper but rules out transferring them
   * over a port.
   *
   * @default {false}
   */
  readonly sameThread?: boolean;
}

/** Gathers frames; `deliver` owns the bytes of each batch it gets. */
export class BatchingSink implements FrameSink {
  #writer = new ByteWriter(4096);
  #frameStart = 0;
  #scheduled = false;
  #paused = false;
  #defer: (callback: () => void) => void;
  #deliver: (batch: Uint8Array<ArrayBuffer>) => void;
  readonly #sameThread: boolean;
  readonly #flush = (): void => this.flush();

  /**
   * @param defer Runs a callback when the current turn's work is done.
   * @param deliver Takes over a batch.
   */
  constructor(
    defer: (callback: () => void) => void,
    deliver: (batch: Uint8Array<ArrayBuffer>) => void,
    { sameThread = false }: BatchingSinkOptions = {},
  ) {
    this.#defer = defer;
    this.#deliver = deliver;
    this.#sameThread = sameThread;
  }

  get bufferedBytes(): number {
    return this.#writer.length;
  }

  begin(type: number, correlation: number, flags = 0): ByteWriter {
    this.#frameStart = beginFrame(this.#writer, type, correlation, flags);
    return this.#writer;
  }

  end(): void {
    endFrame(this.#writer, this.#frameStart);
    if (this.#writer.length >= BATCH_BYTES_MAX && !this.#paused) {
      this.#sendBatch();
      return;
    }
    if (!this.#scheduled && !this.#paused) {
      this.#scheduled = true;
      this.#defer(this.#flush);
    }
  }

  /** Sends what has been gathered. */
  flush(): void {
    this.#scheduled = false;
    if (!this.#paused) this.#sendBatch();
  }

  #sendBatch(): void {
    if (this.#writer.length === 0) return;
    const { bytes, length } = this.#writer;
    const batch = this.#sameThread
      ? briefCopyOf(bytes, 0, length)
      : this.#writer.copy();
    this.#writer.clear();
    // One huge message should not hold its memory for ever.
    if (this.#writer.bytes.length > 1024 * 1024) {
      this.#writer = new ByteWriter(4096);
    }
    this.#deliver(batch);
  }

  /** Holds frames until {@linkcode BatchingSink.resume}, while the receiver is being restarted. */
  pause(): void {
    this.#paused = true;
  }

  /** Sends frames again, those that were held first. */
  resume(): void {
    this.#paused = false;
    this.flush();
  }

  /** Drops frames that were gathered and not sent. */
  discard(): void {
    this.#writer.clear();
  }
}
