/**
 * Pings links and notices missing answers: first it suspects the peer, a hint
 * to route around it, and finally it closes the link, so that requests waiting
 * for it fail and a new connection can be tried.
 *
 * The end that opened the link pings. Its pings say whether our pongs arrive,
 * so the other end pings only when it has not been told that for a while.
 *
 * One timer serves all links. When it fires late, this process itself was
 * paused, and that time does not count as silence of its peers.
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
  /** Ticks between pings. */
  readonly pingEveryTicks: number;
}

/** What the watch needs. */
export interface LinkWatchOptions {
  readonly runtime: Runtime;
  /** Its ping interval is the tick. */
  readonly failureDetector?: FailureDetectorOptions;
  readonly onSuspect?: (link: Link) => void;
  readonly onAlive?: (link: Link) => void;
}

/** Pings that must be missing before the end that did not open a link pings as well. */
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

  /** The same without a copy, for whoever adds and removes none meanwhile. */
  all(): Iterable<Link> {
    return this.#links.keys();
  }

  /** How many links are watched. */
  get size(): number {
    return this.#links.size;
  }

  /** Starts watching; the link's being up counts as an answer. */
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

  /** Whether the link has been silent for unusually long. */
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

  /** Whether this end must ping: it opened the link, or the other end does not ping. */
  #mustAsk({ peer }: Link, terms: WatchTerms, silent: number): boolean {
    return peer.openedBy === "this_node" ||
      silent > PINGS_MISSED * terms.pingEveryTicks * this.#tickMs;
  }

  #tick(): void {
    const now = this.#runtime.now();
    const late = now - this.#lastTickMs - this.#tickMs;
    this.#lastTickMs = now;
    this.#ticks++;
    // A copy, as closing a link or reporting a suspicion can change the map.
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
      // The ping may have overloaded the link, and handlers may do anything.
      if (!this.#links.has(link)) continue;
      if (checkSilence(detector, now) === "suspect") {
        this.#options.onSuspect?.(link);
      }
    }
  }
}
