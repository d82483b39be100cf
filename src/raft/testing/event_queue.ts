/**
 * What is to happen, by its virtual time; what is due at the same time happens in
 * the order in which it was planned.
 *
 * @module
 */

interface Planned {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

/** A binary heap over virtual time. */
export class EventQueue {
  nowMs = 0;
  readonly #heap: Planned[] = [];
  #order = 0;

  /** Plans `run` for `afterMs` from now. */
  after(afterMs: number, run: () => void): void {
    const heap = this.#heap;
    const planned = { atMs: this.nowMs + afterMs, order: this.#order++, run };
    let at = heap.push(planned) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!isBefore(planned, heap[above] as Planned)) break;
      heap[at] = heap[above] as Planned;
      at = above;
    }
    heap[at] = planned;
  }

  /** Lets the next thing happen, if it is due until `untilMs`; false if there is none. */
  step(untilMs: number): boolean {
    const next = this.#heap[0];
    if (next === undefined || next.atMs > untilMs) {
      this.nowMs = Math.max(this.nowMs, untilMs);
      return false;
    }
    this.#removeFirst();
    this.nowMs = next.atMs;
    next.run();
    return true;
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop() as Planned;
    if (heap.length === 0) return;
    let at = 0;
    while (true) {
      let below = 2 * at + 1;
      if (below >= heap.length) break;
      const right = below + 1;
      if (
        right < heap.length &&
        isBefore(heap[right] as Planned, heap[below] as Planned)
      ) below = right;
      if (!isBefore(heap[below] as Planned, last)) break;
      heap[at] = heap[below] as Planned;
      at = below;
    }
    heap[at] = last;
  }
}

function isBefore(a: Planned, b: Planned): boolean {
  return a.atMs < b.atMs || a.atMs === b.atMs && a.order < b.order;
}
