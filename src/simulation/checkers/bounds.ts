/**
 * Queues stay within their bounds whenever they are sampled.
 *
 * ```ts
 * import { BoundWatch } from "./bounds.ts";
 *
 * const bounds = new BoundWatch();
 * bounds.see({ queue: "mailbox of master 0 on n1", atMs: 5, length: 12, bound: 10 });
 * // bounds.violations[0].message: mailbox of master 0 on n1 held 12 at 5 ms and may hold 10
 * ```
 *
 * @module
 */
import type { Violation } from "./violation.ts";

/** How full a queue was. */
export interface QueueSample {
  /** The queue, and where it is. */
  readonly queue: string;
  /** When it was sampled. */
  readonly atMs: number;
  /** Its length: entries, or bytes. */
  readonly length: number;
  /** Its bound, in the same unit; may differ between samples. */
  readonly bound: number;
}

/**
 * Whether a queue may hold that much. A length that is not a number is never
 * within bounds.
 */
export function isWithinBound(length: number, bound: number): boolean {
  return length >= 0 && length <= bound;
}

/**
 * By how much a length exceeds its bound; an impossible length exceeds it most.
 */
function excessOf({ length, bound }: QueueSample): number {
  return length >= 0 ? length - bound : Infinity;
}

/**
 * Remembers, for each queue that exceeded its bound, the first sample that did
 * and the worst.
 */
export class BoundWatch {
  readonly #over = new Map<
    string,
    { readonly first: QueueSample; worst: QueueSample }
  >();

  /** Records `sample` if it is not within its bound. */
  see(sample: QueueSample): void {
    if (isWithinBound(sample.length, sample.bound)) return;
    const found = this.#over.get(sample.queue);
    if (found === undefined) {
      this.#over.set(sample.queue, { first: sample, worst: sample });
    } else if (excessOf(sample) > excessOf(found.worst)) found.worst = sample;
  }

  /** One for each such queue. */
  get violations(): readonly Violation[] {
    return [...this.#over].map(([queue, { first, worst }]) => ({
      check: "queue_bound",
      message:
        `${queue} held ${first.length} at ${first.atMs} ms and may hold ${first.bound}${
          worst === first ? "" : `; at worst ${textOf(worst, first.bound)}`
        }`,
      details: { first, worst },
    }));
  }
}

/**
 * The worst sample in words, with its bound if that differs from the first
 * one's.
 */
function textOf(
  { length, atMs, bound }: QueueSample,
  boundTold: number,
): string {
  const told = `${length} at ${atMs} ms`;
  return bound === boundTold ? told : `${told}, when it might hold ${bound}`;
}
