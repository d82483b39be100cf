/**
 * How fast the pages of coverage queries leave a node's coordinators while other
 * requests are under way. A page costs its thread time to pass it on and, as a
 * rule, to read it, and callers of queries take pages as fast as they get them.
 * So after each page the next one, of whichever query, waits until
 *
 * - as many other requests have begun as take several times as long as the page:
 *   requests are the clock, as what they take changes with the machine's load;
 * - or none is under way any more;
 * - or so much time has passed that those under way must wait for something else
 *   than this thread, as a disk.
 *
 * @module
 */

/** Requests that have their turn for each KiB of pages. One takes about as long as a KiB with keys of ten bytes. */
const REQUESTS_PER_KIB = 16;
/** Most requests that are waited for, whatever has been said: that was said while there were none. */
const REQUESTS_MAX = 4_096;
/** Longest wait for each KiB of pages, in milliseconds: several times what so many requests take on an idle machine. */
const WAIT_MS_PER_KIB = 2;
/** Longest wait whatever has been said, in milliseconds. */
const WAIT_MS_MAX = 500;
/** How often a query that waits looks whether it may go on, in milliseconds. */
export const COVERAGE_PAUSE_MS = 10;

/** The coordinators of other requests, as far as they matter here. */
export interface OtherRequests {
  /** Requests under way. */
  readonly size: number;
  readonly counts: { readonly started: number };
}

/** The pace of all coverage queries of a node. */
export class CoveragePace {
  readonly #others: () => OtherRequests | undefined;
  /** How many other requests must have begun, or what time it must be, for the next page. */
  #startedNext = 0;
  #nextMs = -Infinity;

  /** @param others The coordinators of the other requests. */
  constructor(others: () => OtherRequests | undefined) {
    this.#others = others;
  }

  /** A page of so many bytes has left. */
  notePage(byteCount: number, nowMs: number): void {
    const kib = byteCount / 1024;
    const started = this.#others()?.counts.started ?? 0;
    this.#startedNext = Math.min(
      Math.max(this.#startedNext, started) + kib * REQUESTS_PER_KIB,
      started + REQUESTS_MAX,
    );
    this.#nextMs = Math.min(
      Math.max(this.#nextMs, nowMs) + kib * WAIT_MS_PER_KIB,
      nowMs + WAIT_MS_MAX,
    );
  }

  /** Whether the next page may leave. */
  mayGoOn(nowMs: number): boolean {
    const others = this.#others();
    return others === undefined || others.size === 0 ||
      others.counts.started >= this.#startedNext || nowMs >= this.#nextMs;
  }
}
