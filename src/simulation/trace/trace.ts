/**
 * What happened in a simulation, one line per event. A seed gives the same
 * lines, byte for byte, on any machine, which proves that nothing of the real
 * world has leaked in.
 *
 * @module
 */
import { createHash } from "node:crypto";

/** A message between two processes, to be drawn as an arrow. */
export interface TraceMessage {
  /** The same when it is sent and when it is received. */
  readonly id: number;
  /** The sender. */
  readonly from: string;
  /** The receiver. */
  readonly to: string;
}

/** One event. */
export interface TraceEvent {
  /** Virtual time in milliseconds. */
  readonly atMs: number;
  /** The process it happened in, or `"world"` if in none. */
  readonly place: string;
  /**
   * Its type, in snake_case: `send`, `receive`, `fault`, `log`, `operation`, …
   */
  readonly kind: string;
  /** A description for people. */
  readonly text: string;
  /** The message that was sent or received. */
  readonly message?: TraceMessage;
}

/** Location of this checkout, which must not make two traces differ. */
const ROOT_URL = new URL("../../../", import.meta.url).href;

/** Most events kept by a {@linkcode Trace}; the oldest are dropped. */
export const TRACE_EVENTS_MAX = 1_000_000;

/**
 * Collects events if it is on. Callers check {@linkcode Trace.on} before
 * building the text.
 */
export class Trace {
  /** Whether it collects events. */
  readonly on: boolean;
  readonly #now: () => number;
  readonly #events: TraceEvent[] = [];
  #dropped = 0;

  /**
   * A trace with the clock `now`, in milliseconds, which collects events if it
   * is `on`.
   */
  constructor(on: boolean, now: () => number) {
    this.on = on;
    this.#now = now;
  }

  /** Adds an event that happens now; does nothing when off. */
  add(place: string, kind: string, text: string, message?: TraceMessage): void {
    if (!this.on) return;
    if (this.#events.length === TRACE_EVENTS_MAX) {
      this.#dropped += this.#events.splice(0, TRACE_EVENTS_MAX / 2).length;
    }
    this.#events.push({
      atMs: this.#now(),
      place,
      kind,
      text: text.replaceAll(ROOT_URL, ""),
      ...(message === undefined ? {} : { message }),
    });
  }

  /** The events, oldest first. */
  get events(): readonly TraceEvent[] {
    return this.#events;
  }

  /** Number of old events dropped. */
  get dropped(): number {
    return this.#dropped;
  }

  /** All lines, each ending in a line feed. */
  toString(): string {
    return this.#events.map((event) => `${traceLine(event)}\n`).join("");
  }

  /** SHA-256 of the lines, as hex. */
  digest(): string {
    const hash = createHash("sha256");
    for (const event of this.#events) hash.update(`${traceLine(event)}\n`);
    return hash.digest("hex");
  }
}

/** An event as a line: time, place, kind, text. */
export function traceLine(event: TraceEvent): string {
  const { atMs, place, kind, text, message } = event;
  const arrow = message === undefined
    ? ""
    : `#${message.id} ${message.from} -> ${message.to} `;
  return `${atMs.toFixed(3).padStart(12)} ${place.padEnd(8)} ${
    kind.padEnd(10)
  } ${arrow}${text}`;
}
