/**
 * A trace prepared for drawing: lanes for places, arrows for messages, bars for
 * operations, spans for faults and for the time a node is down. This module
 * finds what belongs together, from what the simulation writes into its trace;
 * the page only draws.
 *
 * @module
 */
import { compareTexts } from "../../base/text_order.ts";
import type { Violation } from "../checkers/violation.ts";
import { shortened } from "./failure_report.ts";
import type { OperationOutcome, OperationRecord } from "../history.ts";
import type { TraceEvent } from "./trace.ts";

/** A column of the drawing. */
export interface TimelineLane {
  readonly name: string;
  readonly role: "world" | "client" | "node";
}

/** A message from its sending to its arrival, as indexes of events. */
export interface TimelineMessage {
  readonly id: number;
  readonly from: string;
  readonly to: string;
  /** The event in which it is sent. */
  readonly sent: number;
  /** The event in which it arrives; undefined if it never does. */
  readonly received?: number;
  /** The event with its fate, such as `lost`. */
  readonly lost?: number;
}

/** An operation to be drawn. */
export interface TimelineOperation {
  readonly id: number;
  readonly client: string;
  readonly key: string;
  readonly outcome: OperationOutcome;
  readonly input: string;
  readonly result: string;
  /** The events in which it begins and ends. */
  readonly begin: number;
  /** Undefined if it never ends. */
  readonly end?: number;
  /** Whether a violation names it. */
  readonly violated: boolean;
}

/** Something that lasts. */
export interface TimelineSpan {
  readonly kind: "down" | "pause" | "network" | "clock" | "disk";
  readonly text: string;
  /** The nodes involved. */
  readonly hosts: readonly string[];
  readonly begin: number;
  /** Undefined if it lasts to the end. */
  readonly end?: number;
}

/**
 * Everything to be drawn. Events are referred to by their index in `events`.
 */
export interface Timeline {
  readonly lanes: readonly TimelineLane[];
  readonly events: readonly TraceEvent[];
  readonly messages: readonly TimelineMessage[];
  readonly operations: readonly TimelineOperation[];
  readonly spans: readonly TimelineSpan[];
}

/**
 * Finds what belongs together in `events`, given what clients saw and the
 * violations.
 */
export function timelineOf(
  events: readonly TraceEvent[],
  history: readonly OperationRecord<unknown, unknown>[],
  violations: readonly Violation[],
): Timeline {
  return {
    lanes: lanesOf(events, history),
    events,
    messages: messagesOf(events),
    operations: operationsOf(events, history, violations),
    spans: [...downSpansOf(events), ...faultSpansOf(events)]
      .sort((a, b) => a.begin - b.begin),
  };
}

/** The world, then clients, then nodes, each by name and numerically. */
function lanesOf(
  events: readonly TraceEvent[],
  history: readonly OperationRecord<unknown, unknown>[],
): TimelineLane[] {
  const clients = new Set(history.map(({ client }) => client));
  const nodes = new Set<string>();
  for (const { place, message } of events) {
    for (const name of [place, message?.from, message?.to]) {
      if (name === undefined || name === "world") continue;
      if (!clients.has(name)) nodes.add(name);
    }
  }
  const lanes = (names: Set<string>, role: TimelineLane["role"]) =>
    [...names].sort(compareNumbered).map((name) => ({ name, role }));
  return [
    { name: "world", role: "world" },
    ...lanes(clients, "client"),
    ...lanes(nodes, "node"),
  ];
}

/** By letters, then by number: `n2` before `n10`. */
function compareNumbered(a: string, b: string): number {
  const parts = /^(\D*)(\d*)/;
  const [, textA = "", numberA = ""] = parts.exec(a) ?? [];
  const [, textB = "", numberB = ""] = parts.exec(b) ?? [];
  return compareTexts(textA, textB) || Number(numberA) - Number(numberB) ||
    compareTexts(a, b);
}

/** A message sent again with the same number has not arrived before. */
function messagesOf(events: readonly TraceEvent[]): TimelineMessage[] {
  const messages: TimelineMessage[] = [];
  const open = new Map<number, number>();
  events.forEach(({ kind, place, message }, index) => {
    if (message === undefined) return;
    const { id, from, to } = message;
    const at = open.get(id);
    const sent = at === undefined ? undefined : messages[at];
    if (at === undefined || sent === undefined || kind === "send") {
      // An arrival whose sending was dropped from the trace begins where it
      // ends.
      const arrived = kind !== "send" && place === to;
      const begun = { id, from, to, sent: index };
      messages.push(arrived ? { ...begun, received: index } : begun);
      if (!arrived) open.set(id, messages.length - 1);
    } else if (place === to && sent.from !== to || kind === "receive") {
      messages[at] = { ...sent, received: index };
      open.delete(id);
    } else {
      messages[at] = { ...sent, lost: index };
    }
  });
  return messages;
}

function operationsOf(
  events: readonly TraceEvent[],
  history: readonly OperationRecord<unknown, unknown>[],
  violations: readonly Violation[],
): TimelineOperation[] {
  const violated = new Set(violations.flatMap(({ operations }) => operations));
  const begins = new Map<string, number>();
  const ends = new Map<string, number>();
  events.forEach(({ place, kind, text }, index) => {
    const name = `${place} ${text.split(" ", 1)[0]}`;
    if (kind === "invoke") begins.set(name, index);
    else if (kind === "ok" || kind === "failed" || kind === "unknown") {
      ends.set(name, index);
    }
  });
  return history.flatMap((record) => {
    const { id, client, key, outcome } = record;
    const begin = begins.get(`${client} ${id}`);
    // It began before the first event that was kept.
    if (begin === undefined) return [];
    const end = ends.get(`${client} ${id}`);
    return [{
      id,
      client,
      key,
      outcome,
      input: shortened(record.input, 120),
      result: outcome === "ok"
        ? shortened(record.output, 120)
        : record.error ?? "",
      begin,
      ...(end === undefined ? {} : { end }),
      violated: violated.has(id),
    }];
  });
}

/** Spans from the end of a node to when it is up again. */
function downSpansOf(events: readonly TraceEvent[]): TimelineSpan[] {
  const spans: TimelineSpan[] = [];
  const down = new Map<string, { begin: number; text: string }>();
  events.forEach(({ place, kind, text }, index) => {
    if (place === "world") return;
    if (kind === "fault" || kind === "end") {
      if (!down.has(place)) down.set(place, { begin: index, text });
    } else if (kind === "up") {
      const span = down.get(place);
      down.delete(place);
      if (span === undefined) return;
      spans.push({ kind: "down", hosts: [place], ...span, end: index });
    }
  });
  for (const [place, span] of down) {
    spans.push({ kind: "down", hosts: [place], ...span });
  }
  return spans;
}

/**
 * Spans of the cluster's faults; without kills, which a node's own events show
 * better.
 */
function faultSpansOf(events: readonly TraceEvent[]): TimelineSpan[] {
  const spans: TimelineSpan[] = [];
  /** Open spans by their text; the same fault may be active twice. */
  const open = new Map<string, number[]>();
  events.forEach(({ place, kind, text }, index) => {
    if (place !== "world") return;
    if (kind === "fault") {
      const span = spanKindOf(text);
      if (span === undefined) return;
      const hosts = [...new Set(text.match(/\bn\d+\b/g))];
      open.getOrInsertComputed(text, () => []).push(spans.length);
      // An instantaneous fault is over at once.
      const once = / break$/.test(text) ? { end: index } : {};
      spans.push({ kind: span, text, hosts, begin: index, ...once });
    } else if (kind === "fault_end") {
      const at = open.get(text)?.shift();
      const span = at === undefined ? undefined : spans[at];
      if (at !== undefined && span !== undefined) {
        spans[at] = { ...span, end: index };
      }
    } else if (kind === "heal") {
      for (const [at, span] of spans.entries()) {
        if (span.end === undefined) spans[at] = { ...span, end: index };
      }
      open.clear();
    }
  });
  return spans;
}

function spanKindOf(text: string): TimelineSpan["kind"] | undefined {
  if (/ (is killed|loses power|is down) /.test(text)) return undefined;
  if (/ stands still /.test(text)) return "pause";
  if (/^the clock /.test(text)) return "clock";
  if (/^(the disk|writes|each sync) /.test(text)) return "disk";
  return "network";
}
