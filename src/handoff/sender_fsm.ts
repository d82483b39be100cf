/**
 * Sends the data of one vnode to another: it asks the source for batches and the
 * target to take them, a window of them at a time, has the source stand still for
 * the last of it, and lets go of it when the target has everything.
 *
 *     opening ──► connecting ──► sending ── nearly all ──► switching ──► draining
 *        │ empty                    ▲                         │ not quiet    │ all acknowledged
 *        └──► switching             └─────────────────────────┘              ▼
 *                                                       done ◄── finishing ◄── closing
 *
 * Batches that are not acknowledged are kept by the source, so that a transfer
 * whose connection broke goes on after the last one that the target has. A
 * failure says whether that is so.
 *
 * One that resizes the ring has many targets, which take each batch for itself. It
 * reports when nearly all is there, follows what is written, and switches when it
 * is told that the ring has changed.
 *
 * This file only decides; `sender_process.ts` asks and keeps the time.
 *
 * @module
 */
import type { WhorlError } from "../base/errors.ts";
import { invariant } from "../base/invariant.ts";
import { HandoffProgress, TOTAL_UNKNOWN } from "../vnode/handoff_codec.ts";

/** Batches that may be at the target without an acknowledgement. */
export const SEND_WINDOW = 4;
/** First and longest pause before a vnode that did not become quiet is made to stand still again, in milliseconds; doubled in between, as it serves nobody while it is waited for. */
export const SWITCH_PAUSE_MS = 50;
/** See {@linkcode SWITCH_PAUSE_MS}. */
export const SWITCH_PAUSE_MS_MAX = 10_000;
/** How long nothing may happen, in milliseconds. Source: half of riak_core's `handoff_timeout`. */
export const STALL_MS = 60_000;

/** How a transfer is sent. */
export interface SenderRule {
  /** Whether the source gives up what it sends; else it keeps it. */
  readonly moves: boolean;
  /** Whether it goes to many targets, none of which must be asked before. @default {false} */
  readonly spreads?: boolean;
  /** Whether it is to follow what is written until the ring has changed. @default {false} */
  readonly follows?: boolean;
}

/** What happens to a transfer. */
export type SenderEvent =
  | { readonly type: "start" }
  | {
    readonly type: "opened";
    readonly how: "begun" | "resumed" | "not_now";
    readonly sendsCommands: boolean;
    readonly empty: boolean;
  }
  /** The target lets the transfer begin, and has all batches up to `number`. */
  | { readonly type: "connected"; readonly number: number }
  /** What the source said; `batch` is valid during the step only. */
  | {
    readonly type: "said";
    readonly progress: number;
    readonly items: number;
    readonly bytes: number;
    readonly hash: number;
    readonly total: number;
    readonly number: number;
    readonly entries: number;
    readonly batch: Uint8Array;
  }
  | { readonly type: "switched"; readonly quiet: boolean }
  | { readonly type: "acknowledged"; readonly number: number }
  /** The ring has changed: it need not follow any more. */
  | { readonly type: "ring_changed" }
  | { readonly type: "closed" }
  | { readonly type: "finished" }
  | { readonly type: "pause_over" }
  /** What the source or the target was asked has failed, or nothing has happened for too long. */
  | {
    readonly type: "failed";
    readonly at: "source" | "target";
    readonly error: WhorlError;
  }
  /** The manager wants it to end: for now, or as it is not wanted any more. */
  | {
    readonly type: "stop";
    readonly resumable: boolean;
    readonly reason: string;
  };

/** What is to be done, in this order. */
export type SenderEffect =
  | { readonly type: "open" }
  | { readonly type: "connect" }
  | { readonly type: "next"; readonly acked: number; readonly repeat: boolean }
  | {
    readonly type: "send";
    readonly number: number;
    readonly batch: Uint8Array;
  }
  | { readonly type: "tell_acknowledged"; readonly number: number }
  | { readonly type: "switch" }
  /** Ask the target whether it has everything. */
  | { readonly type: "close"; readonly items: number; readonly hash: number }
  /** Nearly all is with the targets, and what is written follows from now on. */
  | { readonly type: "copied" }
  /** The source lets go. */
  | { readonly type: "finish" }
  /** The source forgets the transfer and serves on. Nobody waits for the answer. */
  | { readonly type: "abandon" }
  /** The source keeps the transfer and serves on. Nobody waits for the answer. */
  | { readonly type: "let_go_on" }
  | { readonly type: "set_pause"; readonly afterMs: number }
  | {
    readonly type: "progress";
    readonly items: number;
    readonly bytes: number;
    readonly total: number | null;
  }
  | {
    readonly type: "state";
    readonly state: "connecting" | "sending" | "switching";
  }
  | { readonly type: "done"; readonly outcome: SenderOutcome };

/** How a transfer ended. */
export type SenderOutcome =
  | {
    readonly type: "completed";
    readonly items: number;
    readonly bytes: number;
  }
  | {
    readonly type: "failed";
    /** Whether it goes on where it was when it is begun again under the same number. */
    readonly resumable: boolean;
    /** A stable name, and the reason in words. */
    readonly code: string;
    readonly reason: string;
  };

type Connection = "none" | "connecting" | "up";

/** A transfer being sent. */
export interface SenderState {
  readonly rule: SenderRule;
  phase:
    | "opening"
    | "sending"
    | "switching"
    | "draining"
    | "closing"
    | "finishing"
    | "done";
  connection: Connection;
  sendsCommands: boolean;
  /** Whether it follows what is written when nearly all is said. */
  follows: boolean;
  /** The batch with which nearly all was said, and whether the targets have it. */
  copiedAt: number | undefined;
  copied: boolean;
  /** Whether the source may have said batches that the target lacks. */
  repeat: boolean;
  /** How often the source did not become quiet. */
  unquiet: number;
  /** Whether a pause lasts. */
  pausing: boolean;
  /** Whether the source stands still. */
  still: boolean;
  /** Whether a batch has been asked for. */
  reading: boolean;
  /** Whether the source has nothing, or little, left. */
  nearlyAll: boolean;
  /** Last batch that the source has numbered, this sender's or an earlier one's. */
  numbered: number;
  /** Last batch said, and last one acknowledged. */
  said: number;
  acked: number;
  /** Of everything said. */
  items: number;
  bytes: number;
  hash: number;
  total: number | null;
  /** Items and bytes up to each batch that is not acknowledged. */
  readonly counts: Map<
    number,
    { readonly items: number; readonly bytes: number }
  >;
}

/** A transfer that has not begun. */
export function createSender(rule: SenderRule): SenderState {
  return {
    rule,
    phase: "opening",
    connection: "none",
    sendsCommands: false,
    follows: rule.follows ?? false,
    copiedAt: undefined,
    copied: false,
    repeat: false,
    unquiet: 0,
    pausing: false,
    still: false,
    reading: false,
    nearlyAll: false,
    numbered: 0,
    said: 0,
    acked: 0,
    items: 0,
    bytes: 0,
    hash: 0,
    total: null,
    counts: new Map(),
  };
}

/** Advances the transfer by one event; `sender` has one owner and changes in place. */
export function stepSender(
  sender: SenderState,
  event: SenderEvent,
): SenderEffect[] {
  // What was asked for may be answered after the end.
  if (sender.phase === "done") return [];
  switch (event.type) {
    case "start":
      return [{ type: "open" }];
    case "opened":
      return opened(sender, event);
    case "connected":
      if (event.number > 0 && !sender.repeat) {
        // The source was started anew and numbers its batches from 1 again.
        return ended(
          sender,
          false,
          "handoff_mismatch",
          "The target has batches of an earlier beginning",
        );
      }
      sender.connection = "up";
      sender.acked = event.number;
      return [
        { type: "state", state: sender.still ? "switching" : "sending" },
        ...goOn(sender),
      ];
    case "said":
      return said(sender, event);
    case "switched":
      return switched(sender, event.quiet);
    case "acknowledged":
      return acknowledged(sender, event.number);
    case "ring_changed":
      sender.follows = false;
      return goOn(sender);
    case "closed":
      invariant(sender.phase === "closing", "the target was asked to close");
      sender.phase = "finishing";
      return [{ type: "finish" }];
    case "finished":
      sender.phase = "done";
      return [{
        type: "done",
        outcome: {
          type: "completed",
          items: sender.items,
          bytes: sender.bytes,
        },
      }];
    case "pause_over":
      sender.pausing = false;
      return goOn(sender);
    case "failed": {
      // It has everything, and the source lets go already.
      if (sender.phase === "finishing" && event.at === "target") return [];
      const { code, message } = event.error;
      // A source that does not know the transfer, or a target that has something
      // else than was sent, has to begin anew.
      const begunAnew = event.at === "source" || code === "handoff_mismatch" ||
        code === "protocol_error";
      return ended(sender, !begunAnew, code, message);
    }
    case "stop":
      // The target has everything, and the source lets go already.
      if (sender.phase === "finishing") return [];
      return ended(sender, event.resumable, "cancelled", event.reason);
    default:
      return event satisfies never;
  }
}

function opened(
  sender: SenderState,
  event: Extract<SenderEvent, { type: "opened" }>,
): SenderEffect[] {
  if (event.how === "not_now") {
    sender.phase = "done";
    return [{
      type: "done",
      outcome: {
        type: "failed",
        resumable: false,
        code: "handoff_refused",
        reason: "The vnode does not want to hand off now",
      },
    }];
  }
  sender.sendsCommands = event.sendsCommands;
  sender.repeat = event.how === "resumed";
  if (sender.rule.spreads) {
    sender.phase = "sending";
    sender.connection = "up";
    return [{ type: "state", state: "sending" }, ...goOn(sender)];
  }
  // Nothing to send: nobody else need be asked.
  if (event.empty && sender.rule.moves && !sender.repeat) {
    return standStill(sender);
  }
  sender.phase = "sending";
  return connect(sender);
}

function connect(sender: SenderState): SenderEffect[] {
  sender.connection = "connecting";
  return [{ type: "state", state: "connecting" }, { type: "connect" }];
}

/** What can be done next. */
function goOn(sender: SenderState): SenderEffect[] {
  const waiting = sender.said - sender.acked;
  switch (sender.phase) {
    case "sending": {
      if (sender.pausing) return [];
      if (sender.nearlyAll) {
        if (sender.follows) return follow(sender);
        // What it was asked for before the ring changed.
        if (sender.reading) return [];
        if (!sender.rule.moves) {
          sender.phase = "draining";
          return goOn(sender);
        }
        return standStill(sender);
      }
      return waiting < SEND_WINDOW ? read(sender) : [];
    }
    case "draining": {
      if (!sender.nearlyAll) return waiting < SEND_WINDOW ? read(sender) : [];
      if (sender.reading || sender.rule.spreads && waiting > 0) return [];
      // Nothing was ever said, now or before the transfer was resumed. Whoever waits
      // for a copy must hear even of that.
      if (
        sender.rule.spreads || (sender.numbered === 0 && sender.rule.moves)
      ) {
        sender.phase = "finishing";
        return [{ type: "finish" }];
      }
      // The target takes what is under way before it answers this.
      sender.phase = "closing";
      const { items, hash } = sender;
      return [{ type: "close", items, hash }];
    }
    default:
      return [];
  }
}

/** Has the source stand still, and asks for the rest in the same breath: each step for itself would be as long again. */
function standStill(sender: SenderState): SenderEffect[] {
  sender.phase = "switching";
  sender.nearlyAll = false;
  return [
    { type: "state", state: "switching" },
    { type: "switch" },
    ...read(sender),
  ];
}

/** Goes on asking, and says once that the targets have nearly all. */
function follow(sender: SenderState): SenderEffect[] {
  sender.copiedAt ??= sender.said;
  const isCopied = !sender.copied && sender.acked >= sender.copiedAt;
  sender.copied ||= isCopied;
  return [
    ...isCopied ? [{ type: "copied" as const }] : [],
    ...sender.said - sender.acked < SEND_WINDOW ? read(sender) : [],
  ];
}

function read(sender: SenderState): SenderEffect[] {
  if (sender.reading) return [];
  sender.reading = true;
  const { repeat, acked } = sender;
  sender.repeat = false;
  return [{ type: "next", acked, repeat }];
}

function said(
  sender: SenderState,
  event: Extract<SenderEvent, { type: "said" }>,
): SenderEffect[] {
  sender.reading = false;
  const { number, entries, items, bytes, hash } = event;
  sender.total = event.total === TOTAL_UNKNOWN ? null : event.total;
  sender.nearlyAll = event.progress === HandoffProgress.nearlyAll ||
    // Once all was said little is ever left, though it may not be said again.
    sender.copiedAt !== undefined && !sender.still;
  sender.numbered = Math.max(sender.numbered, number);
  if (entries === 0) {
    // Of what was said before this sender resumed the transfer it hears like this.
    sender.items = items;
    sender.bytes = bytes;
    sender.hash = hash;
    return goOn(sender);
  }
  if (sender.connection !== "up") {
    // It was empty when it was asked; what came since is said again.
    sender.repeat = true;
    sender.nearlyAll = false;
    return sender.connection === "none" ? connect(sender) : [];
  }
  sender.said = number;
  sender.items = items;
  sender.bytes = bytes;
  sender.hash = hash;
  sender.counts.set(number, { items, bytes });
  return [{ type: "send", number, batch: event.batch }, ...goOn(sender)];
}

function switched(sender: SenderState, quiet: boolean): SenderEffect[] {
  if (!quiet) {
    sender.phase = "sending";
    sender.pausing = true;
    const afterMs = Math.min(
      SWITCH_PAUSE_MS_MAX,
      SWITCH_PAUSE_MS * 2 ** Math.min(20, sender.unquiet++),
    );
    return [
      // Meanwhile its state is that of one that sends.
      ...sender.connection === "none"
        ? connect(sender)
        : [{ type: "state" as const, state: "sending" as const }],
      { type: "set_pause", afterMs },
    ];
  }
  sender.still = true;
  sender.nearlyAll = false;
  sender.phase = "draining";
  return goOn(sender);
}

function acknowledged(sender: SenderState, number: number): SenderEffect[] {
  if (number <= sender.acked) return [];
  sender.acked = number;
  const counted = sender.counts.get(number);
  for (const each of sender.counts.keys()) {
    if (each <= number) sender.counts.delete(each);
  }
  const further = goOn(sender);
  // What is asked for next says it as well, and each word to the source is two
  // hops. Together with a switch it comes after that, for which writes may have to
  // be acknowledged.
  const isSaid = further[0]?.type === "next";
  return [
    ...counted === undefined ? [] : [{
      type: "progress" as const,
      ...counted,
      total: sender.total,
    }],
    ...isSaid ? [] : [{ type: "tell_acknowledged" as const, number }],
    ...further,
  ];
}

function ended(
  sender: SenderState,
  resumable: boolean,
  code: string,
  reason: string,
): SenderEffect[] {
  // Commands wait for a target that is not there; they must not.
  const keeps = resumable && !sender.sendsCommands;
  const { still, phase } = sender;
  sender.phase = "done";
  return [
    ...!keeps
      ? [{ type: "abandon" as const }]
      : still || phase === "switching"
      ? [{ type: "let_go_on" as const }]
      : [],
    {
      type: "done",
      outcome: { type: "failed", resumable: keeps, code, reason },
    },
  ];
}
