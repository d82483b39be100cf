/**
 * Holds work behind the scenes back, so that those who wait for a sync or for
 * the event loop do not notice it: so many bytes a second, in small slices.
 *
 * @module
 */
import type { Runtime, TimerHandle } from "../../../supervisors/runtime.ts";
import { WhorlError } from "../../base/errors.ts";

/** So many bytes are read or written in one go, */
export const SLICE_BYTES: number = 256 * 1024;
/** and so many are written before they are synced: who waits for another sync meanwhile waits for this one, which takes about a millisecond. */
export const SYNC_BYTES: number = 1024 * 1024;

/** The pace of all such work of one node, however many do it at a time. */
export class WorkPace {
  readonly #runtime: Runtime;
  readonly #bytesPerMs: number;
  readonly #waiting = new Map<TimerHandle, (error: WhorlError) => void>();
  #hasEnded = false;
  /** When as much has been done as the pace allows. */
  #doneAtMs = 0;
  #hurries = 0;

  constructor(runtime: Runtime, bytesPerSecond: number) {
    this.#runtime = runtime;
    this.#bytesPerMs = bytesPerSecond / 1_000;
  }

  /** From now on there are no pauses, as others wait for the work, until the function it returns is called. */
  hurry(): () => void {
    this.#hurries++;
    let isOver = false;
    return () => {
      if (!isOver) this.#hurries--;
      isOver = true;
    };
  }

  /**
   * Comes back when it is time to go on after `bytes`.
   *
   * @throws {WhorlError} `closed` when there is to be no more work.
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

  /** Does work slice by slice, with time for others in between. @throws {WhorlError} As {@linkcode WorkPace.pause}. */
  async run<T>(work: Generator<void, T>): Promise<T> {
    for (;;) {
      const { done, value } = work.next();
      if (done) return value;
      await this.pause(0);
    }
  }

  /** Ends all work at its next pause. */
  end(): void {
    this.#hasEnded = true;
    for (const [timer, reject] of this.#waiting) {
      this.#runtime.clearTimer(timer);
      reject(endedError());
    }
    this.#waiting.clear();
  }
}

/** Does work slice by slice, with time for others in between, at no pace. */
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
  return new WhorlError("closed", "Cannot go on as the Raft logs are closed");
}
