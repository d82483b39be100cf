/**
 * Paces the pages of coverage queries at a node's coordinators while other
 * requests are under way. A page costs the thread time to pass it on and,
 * usually, to read it, and callers take pages as fast as they get them. So
 * after each page the next one, of any query, waits until
 *
 * - so many other requests have begun that they take several times as long as
 *   the page: requests serve as the clock, since their duration varies with the
 *   load of the machine;
 * - or no other request is under way;
 * - or so much time has passed that those under way must be waiting for
 *   something other than this thread, such as a disk.
 *
 * @module
 */

/** Requests that are served per KiB of pages. One takes about as long as a KiB with keys of ten bytes. */
const REQUESTS_PER_KIB = 16;
/** Most requests that a page waits for, however large the pages before were: those were sent while there were no requests. */
const REQUESTS_MAX = 4_096;
/** Longest wait per KiB of pages, in milliseconds: several times the duration of so many requests on an idle machine. */
const WAIT_MS_PER_KIB = 2;
/** Longest wait of a page, in milliseconds. */
const WAIT_MS_MAX = 500;
/** How often a waiting query checks whether it may continue, in milliseconds. */
export const COVERAGE_PAUSE_MS = 10;

/** What matters here about the coordinators of other requests. */
export interface OtherRequests {
  /** Requests under way. */
  readonly size: number;
  readonly counts: { readonly started: number };
}

/** The pace of all coverage queries of a node. */
export class CoveragePace {
  readonly #others: () => OtherRequests | undefined;
  /** The number of requests begun, and the time, at which the next page may leave. */
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
