/**
 * Frames for a master that wait for the next turn of its event loop. One
 * message can hold many small requests for large values; answering them all in
 * one turn would take so long that the master would seem to hang.
 *
 * @module
 */
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";

/** Bytes of answers in one turn after which further frames wait for the next. */
export const TURN_ANSWER_BYTES = 16 * 1024 * 1024;

/** A frame that waits for the next turn. */
export interface PostponedFrame {
  readonly type: number;
  readonly correlation: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly start: number;
  readonly end: number;
  /** When its message arrived. */
  readonly receivedMs: number;
}

/** The frames of one master that wait, in order. */
export class PostponedFrames {
  readonly #runtime: Runtime;
  readonly #handle: (frame: PostponedFrame) => void;
  /** Bytes of answers in the present turn. */
  #answeredBytes = 0;
  /** Those before `#from` have been handled. */
  #frames: PostponedFrame[] = [];
  #from = 0;
  #nextTurn: TimerHandle | undefined;

  constructor(runtime: Runtime, handle: (frame: PostponedFrame) => void) {
    this.#runtime = runtime;
    this.#handle = handle;
  }

  /** The master has sent answers of `byteCount` bytes. */
  noteAnswered(byteCount: number): void {
    this.#answeredBytes += byteCount;
  }

  /** Whether a frame that arrives now has to wait. */
  get mustWait(): boolean {
    return this.#answeredBytes >= TURN_ANSWER_BYTES ||
      this.#nextTurn !== undefined;
  }

  /** `frame` waits for the next turn. */
  add(frame: PostponedFrame): void {
    this.#frames.push(frame);
    this.#nextTurn ??= this.#runtime.setTimer(0, this.#takeTurn);
  }

  /** Handles waiting frames, until the turn is full again. */
  readonly #takeTurn = (): void => {
    this.#nextTurn = undefined;
    this.#answeredBytes = 0;
    for (const frame of this.#taken()) {
      this.#handle(frame);
      if (this.#answeredBytes < TURN_ANSWER_BYTES) continue;
      this.#nextTurn = this.#runtime.setTimer(0, this.#takeTurn);
      return;
    }
  };

  *#taken(): Generator<PostponedFrame> {
    while (this.#from < this.#frames.length) {
      yield this.#frames[this.#from++] as PostponedFrame;
    }
    this.#frames = [];
    this.#from = 0;
  }

  /** There are no more turns; returns the frames that have waited for one. */
  close(): Iterable<PostponedFrame> {
    if (this.#nextTurn !== undefined) this.#runtime.clearTimer(this.#nextTurn);
    return this.#taken();
  }
}
