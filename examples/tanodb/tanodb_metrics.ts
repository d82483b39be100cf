/**
 * What tanodb counts: operations, and HTTP requests with their times. A count
 * is kept in total and for the last minute, times for the last requests.
 *
 * @module
 */
import { type Operation, OPERATIONS } from "./tanodb.ts";

/** How far back the recent count goes, in seconds. */
export const WINDOW_SECONDS = 60;
/** Of how many requests the times are remembered. */
export const TIMES_KEPT = 1_024;

/** Counts what happens, in all and in the last {@linkcode WINDOW_SECONDS} seconds. */
export class RecentCount {
  #count = 0;
  /** What happened in each second of the window, at the second modulo its length. */
  readonly #bySecond = new Uint32Array(WINDOW_SECONDS);
  /** The last second that has a place in the window. */
  #second = 0;

  /** It has happened at `nowMs`. */
  add(nowMs: number): void {
    this.#forget(nowMs);
    this.#count++;
    (this.#bySecond[this.#second % WINDOW_SECONDS] as number)++;
  }

  /** How often in all, and how often in the minute before `nowMs`. */
  at(nowMs: number): { readonly count: number; readonly one: number } {
    this.#forget(nowMs);
    return {
      count: this.#count,
      one: this.#bySecond.reduce((sum, count) => sum + count, 0),
    };
  }

  /** Empties the places of the seconds that have begun. */
  #forget(nowMs: number): void {
    const second = Math.floor(nowMs / 1_000);
    const begun = Math.min(second - this.#second, WINDOW_SECONDS);
    for (let i = 0; i < begun; i++) {
      this.#bySecond[(second - i) % WINDOW_SECONDS] = 0;
    }
    this.#second = Math.max(second, this.#second);
  }
}

/** The last {@linkcode TIMES_KEPT} times, in milliseconds. */
export class Times {
  readonly #times: number[] = [];
  #added = 0;

  /** One more; the oldest goes when there are too many. */
  add(ms: number): void {
    this.#times[this.#added++ % TIMES_KEPT] = ms;
  }

  /** How they are distributed; `n` is how many these figures are of. */
  histogram(): Readonly<Record<string, number>> {
    const sorted = this.#times.toSorted((one, other) => one - other);
    const n = sorted.length;
    if (n === 0) return { n };
    /** The least that so many of a thousand are not above. */
    const quantile = (perMille: number) =>
      sorted[Math.ceil(n * perMille / 1_000) - 1] as number;
    return {
      n,
      mean: sorted.reduce((sum, ms) => sum + ms, 0) / n,
      min: sorted[0] as number,
      max: sorted[n - 1] as number,
      median: quantile(500),
      50: quantile(500),
      75: quantile(750),
      90: quantile(900),
      95: quantile(950),
      99: quantile(990),
      999: quantile(999),
    };
  }
}

/** What is counted of one HTTP endpoint. */
class EndpointMetrics {
  readonly requests = new RecentCount();
  readonly times = new Times();
  readonly responses: Record<number, number> = {};
}

/** The counters of one node. */
export class TanodbMetrics {
  readonly #now: () => number;
  readonly #operations = new Map(
    OPERATIONS.map((operation) => [operation, new RecentCount()]),
  );
  readonly #endpoints = new Map<string, EndpointMetrics>();
  #active = 0;

  /** @param now A monotonic clock, in milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** An operation has begun. */
  readonly countOperation = (operation: Operation): void => {
    this.#operations.get(operation)?.add(this.#now());
  };

  /**
   * A request has come to `endpoint`, of which there are few.
   *
   * @returns To be called with the status of the response when it is ready.
   */
  beginRequest(endpoint: string): (status: number) => void {
    const beganMs = this.#now();
    const metrics = this.#endpoints.getOrInsertComputed(
      endpoint,
      () => new EndpointMetrics(),
    );
    metrics.requests.add(beganMs);
    this.#active++;
    return (status) => {
      this.#active--;
      metrics.times.add(this.#now() - beganMs);
      metrics.responses[status] = (metrics.responses[status] ?? 0) + 1;
    };
  }

  /** The counts of operations. */
  core(): Record<Operation, { readonly count: number; readonly one: number }> {
    const counts = OPERATIONS.map((operation) => [
      operation,
      this.#operations.get(operation)?.at(this.#now()),
    ]);
    return Object.fromEntries(counts);
  }

  /** Requests under way, and what is counted of each endpoint. */
  http(): { readonly active: number; readonly endpoints: unknown } {
    const endpoints = [...this.#endpoints].map((
      [endpoint, { requests, times, responses }],
    ) => [
      endpoint,
      {
        ...requests.at(this.#now()),
        timeMs: times.histogram(),
        responses: { ...responses },
      },
    ]);
    return { active: this.#active, endpoints: Object.fromEntries(endpoints) };
  }
}
