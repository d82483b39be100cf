/**
 * Queues stay within their bounds, whenever one looks.
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
  /** Which queue, and where. */
  readonly queue: string;
  /** When it was looked at. */
  readonly atMs: number;
  /** What it held: entries, or bytes. */
  readonly length: number;
  /** What it may hold, in the same unit; may differ from one sample to the next. */
  readonly bound: number;
}

/** Whether a queue may hold so much. A length that is no number is not within any bound. */
export function isWithinBound(length: number, bound: number): boolean {
  return length >= 0 && length <= bound;
}

/** How far from what is allowed; a length that cannot be is further than any. */
function excessOf({ length, bound }: QueueSample): number {
  return length >= 0 ? length - bound : Infinity;
}

/** Remembers each queue that was over its bound: when it first was, and when it was furthest. */
export class BoundWatch {
  readonly #over = new Map<
    string,
    { readonly first: QueueSample; worst: QueueSample }
  >();

  /** Takes note of `sample` if it is not within its bound. */
  see(sample: QueueSample): void {
    if (isWithinBound(sample.length, sample.bound)) return;
    const found = this.#over.get(sample.queue);
    if (found === undefined) {
      this.#over.set(sample.queue, { first: sample, worst: sample });
    } else if (excessOf(sample) > excessOf(found.worst)) found.worst = sample;
  }

  /** One of each such queue. */
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

/** The worst sample in words; its bound is told if it is another than the first one's. */
function textOf(
  { length, atMs, bound }: QueueSample,
  boundTold: number,
): string {
  const told = `${length} at ${atMs} ms`;
  return bound === boundTold ? told : `${told}, when it might hold ${bound}`;
}
