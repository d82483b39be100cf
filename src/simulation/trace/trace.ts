/**
 * What happened in a simulation, event by event, as one line each. The same
 * seed gives the same lines, byte for byte, on any machine; that is the proof
 * that nothing of the real world has leaked in.
 *
 * @module
 */
import { createHash } from "node:crypto";

/** A message on its way between two processes, for drawing it as an arrow. */
export interface TraceMessage {
  /** The same where it leaves and where it arrives. */
  readonly id: number;
  /** Who sent it. */
  readonly from: string;
  /** Whom it is for. */
  readonly to: string;
}

/** One thing that happened. */
export interface TraceEvent {
  /** Virtual time in milliseconds. */
  readonly atMs: number;
  /** The process it happened in, or `"world"` for what no process did. */
  readonly place: string;
  /** What kind of thing it is, in snake_case: `send`, `receive`, `fault`, `log`, `operation`, … */
  readonly kind: string;
  /** The rest, for people. */
  readonly text: string;
  /** The message that left or arrived with this. */
  readonly message?: TraceMessage;
}

/** Where this checkout lies; it must not make two traces differ. */
const ROOT_URL = new URL("../../../", import.meta.url).href;

/** Events kept by a {@linkcode Trace}; older ones give way. */
export const TRACE_EVENTS_MAX = 1_000_000;

/** Collects events if it is on. Whoever has something to tell asks {@linkcode Trace.on} before making the text. */
export class Trace {
  /** Whether anything is collected. */
  readonly on: boolean;
  readonly #now: () => number;
  readonly #events: TraceEvent[] = [];
  #dropped = 0;

  /** A trace of `now`'s time, in milliseconds, which collects if it is `on`. */
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

  /** What happened, oldest first. */
  get events(): readonly TraceEvent[] {
    return this.#events;
  }

  /** Oldest events that had to give way. */
  get dropped(): number {
    return this.#dropped;
  }

  /** All lines, each ended by a line feed. */
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
