/**
 * Decides which jobs of a pool run and which wait: up to `size` run, others
 * wait in order of arrival, up to `queueMax`. This file only decides;
 * `work_pool.ts` runs them.
 *
 * @module
 */
import { invariant } from "../base/invariant.ts";

/** The limits of a pool. */
export interface PoolBounds {
  /** Jobs that run at a time. */
  readonly size: number;
  /** Jobs that may wait; a further one is refused. */
  readonly queueMax: number;
}

/** The jobs of one pool. */
export class PoolQueue<Job> {
  readonly #bounds: PoolBounds;
  /** In order of arrival. */
  readonly #waiting = new Set<Job>();
  #running = 0;

  constructor(bounds: PoolBounds) {
    this.#bounds = bounds;
  }

  /** Jobs that wait. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Jobs that run. */
  get running(): number {
    return this.#running;
  }

  /** Admits a job: it runs now, waits, or is refused. */
  offer(job: Job): "run" | "wait" | "refuse" {
    if (this.#running < this.#bounds.size) {
      this.#running++;
      return "run";
    }
    if (this.#waiting.size >= this.#bounds.queueMax) return "refuse";
    this.#waiting.add(job);
    return "wait";
  }

  /** A job has ended; returns the job to run in its place. */
  ended(): Job | undefined {
    invariant(this.#running > 0, "what ends has run");
    for (const next of this.#waiting) {
      this.#waiting.delete(next);
      return next;
    }
    this.#running--;
    return undefined;
  }

  /** Removes a waiting job; false if it is not waiting. */
  remove(job: Job): boolean {
    return this.#waiting.delete(job);
  }
}
