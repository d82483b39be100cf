/**
 * What connections tell a trace: which frames leave and arrive, and what breaks.
 * It exists only where a trace is wanted.
 *
 * A message is what one write hands to the system. It is received when a
 * process has read its last byte, not when its system has it, for only then can
 * anything follow from it.
 *
 * @module
 */
import { FrameSummary } from "./frame_summary.ts";
import type { SimulatedFlow } from "./simulated_flow.ts";
import type { Trace } from "../trace/trace.ts";

interface MessageUnderWay {
  readonly id: number;
  /** Place behind its last byte. */
  readonly end: number;
  readonly text: string;
}

interface TracedFlow {
  readonly frames: FrameSummary;
  /** In the order they were sent; no more than there are bytes in the buffers. */
  readonly underWay: MessageUnderWay[];
}

/** Writes to a trace what happens on all streams of a network. */
export class StreamTrace {
  readonly #trace: Trace;
  readonly #flows: WeakMap<SimulatedFlow, TracedFlow> = new WeakMap();
  #messages = 0;

  constructor(trace: Trace) {
    this.#trace = trace;
  }

  /** `bytes` are about to be written to `flow`. */
  sent(flow: SimulatedFlow, bytes: Uint8Array): void {
    let traced = this.#flows.get(flow);
    if (traced === undefined) {
      traced = { frames: new FrameSummary(), underWay: [] };
      this.#flows.set(flow, traced);
    }
    const { from, to } = flow.path;
    const id = ++this.#messages;
    const text = traced.frames.describe(bytes);
    traced.underWay.push({ id, end: flow.writtenEnd + bytes.length, text });
    this.#trace.add(from, "send", text, { id, from, to });
  }

  /** Something was read from `flow`. */
  received(flow: SimulatedFlow): void {
    const underWay = this.#flows.get(flow)?.underWay ?? [];
    const { from, to } = flow.path;
    for (;;) {
      const first = underWay[0];
      if (first === undefined || first.end > flow.readEnd) return;
      underWay.shift();
      this.#trace.add(to, "receive", first.text, { id: first.id, from, to });
    }
  }

  /** A process wanted to connect, and this is what came of it. */
  dialed(host: string, text: string): void {
    this.#trace.add(host, "connect", text);
  }

  /** The system of `host` has answered `other` that there is no such connection. */
  reset(host: string, other: string): void {
    this.#trace.add(host, "reset", `knows no such connection from ${other}`);
  }

  /** A connection of `host` to `other` has broken. */
  broke(host: string, other: string, reason: string): void {
    this.#trace.add(host, "broken", `link to ${other}: ${reason}`);
  }
}
