/**
 * Throttles background work, so that it does not delay syncs or the event loop:
 * a limited number of bytes per second, in small slices.
 *
 * @module
 */
import type { Runtime, TimerHandle } from "../../../supervisors/runtime.ts";
import { WhorlError } from "../../base/errors.ts";

/** Bytes read or written without a pause. */
export const SLICE_BYTES: number = 256 * 1024;
/** Bytes written between syncs: another sync has to wait for this one, which takes about a millisecond. */
export const SYNC_BYTES: number = 1024 * 1024;

/** The shared pace of such work on one node. */
export class WorkPace {
  readonly #runtime: Runtime;
  readonly #bytesPerMs: number;
  readonly #waiting = new Map<TimerHandle, (error: WhorlError) => void>();
  #hasEnded = false;
  /** When the work so far is done at the allowed pace. */
  #doneAtMs = 0;
  #hurries = 0;

  constructor(runtime: Runtime, bytesPerSecond: number) {
    this.#runtime = runtime;
    this.#bytesPerMs = bytesPerSecond / 1_000;
  }

  /** Stops pausing, as others wait for the work, until the returned function is called. */
  hurry(): () => void {
    this.#hurries++;
    let isOver = false;
    return () => {
      if (!isOver) this.#hurries--;
      isOver = true;
    };
  }

  /**
   * Resolves when work may continue after `bytes`.
   *
   * @throws {WhorlError} `closed` when work must end.
   */
  pause(bytes: number): Promise<void> {
    if (this.#hasEnded) return Promise.reject(endedError());
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = this.#runtime.setTimer(this.#pauseMs(bytes), () => {
      this.#waiting.delete(timer);
      resolve();
    });
    this.#waiting.set(timer, reject);
    return promise;
  }

  #pauseMs(bytes: number): number {
    if (bytes === 0 || this.#hurries > 0) return 0;
    const now = this.#runtime.now();
    this.#doneAtMs = Math.max(now, this.#doneAtMs) + bytes / this.#bytesPerMs;
    return this.#doneAtMs - now;
  }

  /** Runs work slice by slice, with other work in between. @throws {WhorlError} As {@linkcode WorkPace.pause}. */
  async run<T>(work: Generator<void, T>): Promise<T> {
    for (;;) {
      const { done, value } = work.next();
      if (done) return value;
      await this.pause(0);
    }
  }

  /** Ends all work at the next pause. */
  end(): void {
    this.#hasEnded = true;
    for (const [timer, reject] of this.#waiting) {
      this.#runtime.clearTimer(timer);
      reject(endedError());
    }
    this.#waiting.clear();
  }
}

/** Runs work slice by slice, with other work in between, unthrottled. */
export async function inTurns<T>(
  runtime: Runtime,
  work: Generator<void, T>,
): Promise<T> {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
    await new Promise<void>((resolve) => runtime.setTimer(0, resolve));
  }
}

function endedError(): WhorlError {
  return new WhorlError(
    "closed",
    "Cannot continue as the Raft logs are closed",
  );
}
