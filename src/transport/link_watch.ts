/**
 * Pings links and notices when no answer comes: first by suspicion, which is a
 * hint to route around a peer, and at last by closing the link, so that what
 * waits for it is answered and a new connection can be tried.
 *
 * The end that opened the link pings. What it says of the pongs it had tells the
 * other one as much, which pings only when it has not heard that for a while.
 *
 * One timer serves all links. When it fires late this very process stood still,
 * and the silence that it sees then is its own.
 *
 * @module
 */
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";
import {
  answered,
  checkSilence,
  createFailureDetector,
  FAILURE_DETECTOR_DEFAULTS,
  type FailureDetectorOptions,
  type FailureDetectorState,
  forgivePause,
  phi,
  silenceMs,
} from "./failure_detector.ts";
import type { Link } from "./link.ts";

/** How a link is watched. */
export interface WatchTerms {
  /** Silence in milliseconds after which it is closed. */
  readonly silenceMsMax: number;
  /** It is pinged on every so many ticks. */
  readonly pingEveryTicks: number;
}

/** What the watch stands on. */
export interface LinkWatchOptions {
  readonly runtime: Runtime;
  /** Its ping interval is the tick. */
  readonly failureDetector?: FailureDetectorOptions;
  readonly onSuspect?: (link: Link) => void;
  readonly onAlive?: (link: Link) => void;
}

/** Silence after which the end that did not open a link pings as well, in pings that should have come. */
const PINGS_MISSED = 2;

interface Watched {
  readonly terms: WatchTerms;
  readonly detector: FailureDetectorState;
}

/** Watches links from {@linkcode add} to {@linkcode remove}. */
export class LinkWatch {
  readonly #options: LinkWatchOptions;
  readonly #runtime: Runtime;
  readonly #tickMs: number;
  readonly #links: Map<Link, Watched> = new Map();
  #timer: TimerHandle | undefined;
  #ticks = 0;
  #lastTickMs = 0;

  constructor(options: LinkWatchOptions) {
    this.#options = options;
    this.#runtime = options.runtime;
    this.#tickMs = options.failureDetector?.pingIntervalMs ??
      FAILURE_DETECTOR_DEFAULTS.pingIntervalMs;
  }

  /** Links that are watched, in the order they were added. */
  links(): Link[] {
    return [...this.#links.keys()];
  }

  /** How many links are watched. */
  get size(): number {
    return this.#links.size;
  }

  /** Begins to watch; that the link is up counts as an answer. */
  add(link: Link, terms: WatchTerms): void {
    const now = this.#runtime.now();
    const { failureDetector } = this.#options;
    this.#links.set(link, {
      terms,
      detector: createFailureDetector(now, failureDetector),
    });
    if (this.#timer === undefined) {
      this.#lastTickMs = now;
      this.#schedule();
    }
  }

  /** Stops watching; false if it was not watched. */
  remove(link: Link): boolean {
    const known = this.#links.delete(link);
    if (this.#links.size === 0 && this.#timer !== undefined) {
      this.#runtime.clearTimer(this.#timer);
      this.#timer = undefined;
    }
    return known;
  }

  /** The other end has heard this one. */
  answered(link: Link): void {
    const watched = this.#links.get(link);
    if (watched === undefined) return;
    if (answered(watched.detector, this.#runtime.now()) === "alive") {
      this.#options.onAlive?.(link);
    }
  }

  /** Whether the link is silent for longer than is usual. */
  isSuspect(link: Link): boolean {
    return this.#links.get(link)?.detector.suspected === true;
  }

  /** How suspicious its silence is now, or undefined if it is not watched. */
  phi(link: Link): number | undefined {
    const watched = this.#links.get(link);
    return watched && phi(watched.detector, this.#runtime.now());
  }

  #schedule(): void {
    this.#timer = this.#runtime.setTimer(this.#tickMs, () => {
      this.#timer = undefined;
      this.#tick();
      if (this.#links.size > 0 && this.#timer === undefined) this.#schedule();
    });
  }

  /** Whether this end is to ping, since it opened the link or the other end does not. */
  #mustAsk({ peer }: Link, terms: WatchTerms, silent: number): boolean {
    return peer.openedBy === "this_node" ||
      silent > PINGS_MISSED * terms.pingEveryTicks * this.#tickMs;
  }

  #tick(): void {
    const now = this.#runtime.now();
    const late = now - this.#lastTickMs - this.#tickMs;
    this.#lastTickMs = now;
    this.#ticks++;
    // A copy, as closing a link and telling of a suspicion change the map.
    for (const [link, { terms, detector }] of [...this.#links]) {
      if (late > this.#tickMs) forgivePause(detector, late);
      const silent = silenceMs(detector, now);
      if (silent > terms.silenceMsMax) {
        link.closeSilent(silent);
        continue;
      }
      if (
        this.#ticks % terms.pingEveryTicks === 0 &&
        this.#mustAsk(link, terms, silent)
      ) link.ping();
      // The ping may have been the byte too many, and anything the handler's doing.
      if (!this.#links.has(link)) continue;
      if (checkSilence(detector, now) === "suspect") {
        this.#options.onSuspect?.(link);
      }
    }
  }
}
