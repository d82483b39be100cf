/**
 * Sends the data of one vnode to another: reads batches from the source and
 * sends them to the target, a window at a time, makes the source stand still
 * for the last of them, and lets it go when the target has everything.
 *
 *     opening ──► connecting ──► sending ── nearly all ──► switching ──► draining
 *        │ empty, untold            ▲                         │ not quiet    │ all acknowledged
 *        └──► switching             └─────────────────────────┘              ▼
 *                                                       done ◄── finishing ◄── closing
 *
 * The source keeps batches that are not acknowledged, so a transfer whose
 * connection broke can resume after the last one that the target has. A failure
 * says whether it can.
 *
 * A transfer of a resize has many targets, each of which takes its part of
 * every batch. It reports when nearly everything is copied, forwards new
 * writes, and switches when it is told that the ring has changed.
 *
 * This file only decides; `sender_process.ts` performs the requests and keeps
 * time.
 *
 * @module
 */
import type { WhorlError } from "../base/errors.ts";
import { invariant } from "../base/invariant.ts";
import { HandoffProgress, TOTAL_UNKNOWN } from "../vnode/handoff_codec.ts";

/** Most batches sent to the target and not acknowledged. */
export const SEND_WINDOW = 4;
/**
 * First and longest pause before a vnode that did not become quiet is made to
 * stand still again, in milliseconds; doubled in between, since it serves
 * nobody during an attempt.
 */
export const SWITCH_PAUSE_MS = 50;
/** See {@linkcode SWITCH_PAUSE_MS}. */
export const SWITCH_PAUSE_MS_MAX = 10_000;
/**
 * Longest time without progress, in milliseconds. Source: half of riak_core's
 * `handoff_timeout`.
 */
export const STALL_MS = 60_000;

/** How a transfer is sent. */
export interface SenderRule {
  /** Whether the source gives up what it sends; otherwise it keeps it. */
  readonly moves: boolean;
  /**
   * Whether the target must take it even if there is nothing to send: to be
   * told, and to remove what it has left of the partition from before.
   */
  readonly tells: boolean;
  /**
   * Whether it goes to many targets, none of which has to accept it first.
   * @default {false}
   */
  readonly spreads?: boolean;
  /**
   * Whether to forward new writes until the ring has changed.
   *
   * @default {false}
   */
  readonly follows?: boolean;
}

/** Events of a transfer. */
export type SenderEvent =
  | { readonly type: "start" }
  | {
    readonly type: "opened";
    readonly how: "begun" | "resumed" | "not_now";
    readonly sendsCommands: boolean;
    readonly empty: boolean;
  }
  /** The target accepts the transfer, and has all batches up to `number`. */
  | { readonly type: "connected"; readonly number: number }
  /** The answer of the source; `batch` is valid only during the step. */
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
  /** The ring has changed, so it can stop following. */
  | { readonly type: "ring_changed" }
  | { readonly type: "closed" }
  | { readonly type: "finished" }
  | { readonly type: "pause_over" }
  /**
   * A request to the source or the target has failed, or there was no progress
   * for too long.
   */
  | {
    readonly type: "failed";
    readonly at: "source" | "target";
    readonly error: WhorlError;
  }
  /** The manager stops it: for now, or because it is no longer wanted. */
  | {
    readonly type: "stop";
    readonly resumable: boolean;
    readonly reason: string;
  };

/** Effects, to be performed in this order. */
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
  /**
   * Nearly everything is with the targets, and new writes are forwarded from
   * now on.
   */
  | { readonly type: "copied" }
  /** The source gives up what it has sent. */
  | { readonly type: "finish" }
  /**
   * The source forgets the transfer and continues to serve. Nobody waits for
   * the answer.
   */
  | { readonly type: "abandon" }
  /**
   * The source keeps the transfer and continues to serve. Nobody waits for the
   * answer.
   */
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

/** The outcome of a transfer. */
export type SenderOutcome =
  | {
    readonly type: "completed";
    readonly items: number;
    readonly bytes: number;
  }
  | {
    readonly type: "failed";
    /**
     * Whether it resumes where it was when started again under the same number.
     */
    readonly resumable: boolean;
    /** A stable code, and the reason in words. */
    readonly code: string;
    readonly reason: string;
  };

type Connection = "none" | "connecting" | "up";

/** The state of a transfer. */
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
  /** Whether it follows new writes once nearly everything is sent. */
  follows: boolean;
  /** Last batch sent when nearly everything was, and whether the targets have it. */
  copiedAt: number | undefined;
  copied: boolean;
  /** Whether the source may have sent batches that the target lacks. */
  repeat: boolean;
  /** How often the source did not become quiet. */
  unquiet: number;
  /** Whether it is pausing. */
  pausing: boolean;
  /** Whether the source stands still. */
  still: boolean;
  /** Whether a batch has been requested. */
  reading: boolean;
  /** Whether the source has little or nothing left. */
  nearlyAll: boolean;
  /**
   * Last batch number used by the source, for this sender or an earlier one.
   */
  numbered: number;
  /** Last batch sent, and last one acknowledged. */
  said: number;
  acked: number;
  /** Totals of everything sent. */
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

/** A transfer that has not started. */
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
  // Earlier requests may be answered after the end.
  if (sender.phase === "done") return [];
  switch (event.type) {
    case "start":
      return [{ type: "open" }];
    case "opened":
      return opened(sender, event);
    case "connected":
      if (event.number > 0 && !sender.repeat) {
        // The source has restarted and numbers its batches from 1 again.
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
      // The target has everything, and the source is already giving up its
      // data.
      if (sender.phase === "finishing" && event.at === "target") return [];
      const { code, message } = event.error;
      // If the source does not know the transfer, or the target has something
      // other than what was sent, it has to start over.
      const begunAnew = event.at === "source" || code === "handoff_mismatch" ||
        code === "protocol_error";
      return ended(sender, !begunAnew, code, message);
    }
    case "stop":
      // The target has everything, and the source is already giving up its
      // data.
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
  // Nothing to send, so nobody else needs to be asked.
  if (event.empty && !sender.rule.tells && !sender.repeat) {
    return standStill(sender);
  }
  sender.phase = "sending";
  return connect(sender);
}

function connect(sender: SenderState): SenderEffect[] {
  sender.connection = "connecting";
  return [{ type: "state", state: "connecting" }, { type: "connect" }];
}

/** The next steps. */
function goOn(sender: SenderState): SenderEffect[] {
  const waiting = sender.said - sender.acked;
  switch (sender.phase) {
    case "sending": {
      if (sender.pausing) return [];
      if (sender.nearlyAll) {
        if (sender.follows) return follow(sender);
        // A request made before the ring changed.
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
      // Nothing was ever sent, now or before the transfer was resumed.
      if (
        sender.rule.spreads || (sender.numbered === 0 && !sender.rule.tells)
      ) {
        sender.phase = "finishing";
        return [{ type: "finish" }];
      }
      // The target processes batches in flight before it answers this.
      sender.phase = "closing";
      const { items, hash } = sender;
      return [{ type: "close", items, hash }];
    }
    default:
      return [];
  }
}

/**
 * Makes the source stand still, and requests the rest at once: one after the
 * other would take twice as long.
 */
function standStill(sender: SenderState): SenderEffect[] {
  sender.phase = "switching";
  sender.nearlyAll = false;
  return [
    { type: "state", state: "switching" },
    { type: "switch" },
    ...read(sender),
  ];
}

/**
 * Continues to read, and reports once that the targets have nearly everything.
 */
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
    // After the first time, little is ever left, though the source may not say
    // so again.
    sender.copiedAt !== undefined && !sender.still;
  sender.numbered = Math.max(sender.numbered, number);
  if (entries === 0) {
    // This is how it learns of what was sent before it resumed the transfer.
    sender.items = items;
    sender.bytes = bytes;
    sender.hash = hash;
    return goOn(sender);
  }
  if (sender.connection !== "up") {
    // It was empty when it was asked; what came since is sent again.
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
      // Meanwhile it counts as sending.
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
  // The next request carries it too, and each message to the source takes two
  // hops. A request together with a switch is handled after the switch, which
  // may need writes to be acknowledged.
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
  // Commands wait for a target that is not there, which they must not.
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
