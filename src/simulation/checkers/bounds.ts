/**
 * Queues stay within their bounds, whenever one looks.
 *
 * ```ts
 * import { checkBounds } from "./bounds.ts";
 *
 * const violations = checkBounds([
 *   { queue: "mailbox of master 0 on n1", atMs: 5, length: 12, bound: 10 },
 * ]);
 * // violations[0].message: mailbox of master 0 on n1 held 12 at 5 ms and may hold 10
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
  /** What it may hold, in the same unit. */
  readonly bound: number;
}

/** Names each queue that was over its bound, with when it first was and when it was worst. */
export function checkBounds(
  samples: Iterable<QueueSample>,
): readonly Violation[] {
  const over = new Map<string, { first: QueueSample; worst: QueueSample }>();
  for (const sample of samples) {
    // A length that is no number is not within any bound.
    if (sample.length >= 0 && sample.length <= sample.bound) continue;
    const found = over.get(sample.queue);
    if (found === undefined) {
      over.set(sample.queue, { first: sample, worst: sample });
    } else if (sample.length > found.worst.length) found.worst = sample;
  }
  return [...over].map(([queue, { first, worst }]) => ({
    check: "queue_bound",
    message:
      `${queue} held ${first.length} at ${first.atMs} ms and may hold ${first.bound}${
        worst === first ? "" : `; at worst ${worst.length} at ${worst.atMs} ms`
      }`,
    details: { first, worst },
  }));
}
