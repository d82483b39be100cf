/**
 * Trace events of connections: which frames leave and arrive, and which
 * connections break. It exists only if there is a trace.
 *
 * A message is what one write passes to the system. It counts as received when
 * a process has read its last byte, not when its system has it, since nothing
 * can follow from it before.
 *
 * @module
 */
import { FrameSummary } from "./frame_summary.ts";
import type { SimulatedFlow } from "./simulated_flow.ts";
import type { Trace } from "../trace/trace.ts";

interface MessageUnderWay {
  readonly id: number;
  /** Position after its last byte. */
  readonly end: number;
  readonly text: string;
}

interface TracedFlow {
  readonly frames: FrameSummary;
  /** In the order they were sent; bounded by the bytes in the buffers. */
  readonly underWay: MessageUnderWay[];
}

/** Traces what happens on all streams of a network. */
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

  /** Bytes were read from `flow`. */
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

  /** A process tried to connect, with this outcome. */
  dialed(host: string, text: string): void {
    this.#trace.add(host, "connect", text);
  }

  /** The system of `host` has sent `other` a reset. */
  reset(host: string, other: string): void {
    this.#trace.add(host, "reset", `knows no such connection from ${other}`);
  }

  /** A connection of `host` to `other` has broken. */
  broke(host: string, other: string, reason: string): void {
    this.#trace.add(host, "broken", `link to ${other}: ${reason}`);
  }
}
