/**
 * The bounds of a mailbox, in number, bytes and time. A command beyond them is
 * answered `overload`, at once or after waiting too long; none is dropped
 * silently.
 *
 * Time is bounded as in CoDel (Nichols and Jacobson, "Controlling Queue Delay",
 * 2012), as adapted to servers (Maurer, "Fail at Scale", 2015): a burst may
 * wait until its deadlines, but once a vnode is behind (`wait_meter.ts`),
 * waiting helps nobody: each command would be handled just before or just after
 * its caller gives up. From then on a command is admitted only if it would be
 * handled soon, and others are refused on arrival, which tells their callers at
 * once and costs least. Queued commands then make way for new ones, if any
 * arrive; if none do, the queue was a burst after all.
 *
 * All of this applies to commands that begin something. The second replica of a
 * write that the first has made, and the next part of a listing, wait until
 * their deadlines: refusing them would waste the work done so far, and they
 * cannot pile up, since the commands that lead to them are refused.
 *
 * Serving the newest first, as some servers do, would serve as many. But older
 * commands would learn of their fate only at their deadline, and commands would
 * not be handled in order of arrival.
 *
 * This file only decides; `mailbox.ts` keeps what waits.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";

/** The mailbox bounds of each vnode of a module. */
export interface MailboxBounds {
  /**
   * Commands that wait or are being handled; a further one is answered
   * `overload`. The default is riak_core's `vnode_overload_threshold`.
   *
   * @default {10000}
   */
  readonly requestsMax: number;
  /**
   * Bytes of the commands that wait; one that does not fit is answered
   * `overload`, unless it would wait alone.
   *
   * @default {16777216}
   */
  readonly bytesMax: number;
  /**
   * Commands queued or being handled from which on the vnode leaves the
   * coordination of writes to another replica, if one can do it.
   *
   * @default {2000}
   */
  readonly requestsSoft: number;
  /**
   * Time during which every command taken from the mailbox must have waited
   * longer than `waitMsMax` for the vnode to count as behind, in milliseconds.
   * If at least twice as much arrives for its thread as is done, it is behind
   * as soon as commands have waited longer than `waitMsMax` and the backlog
   * takes this long.
   *
   * @default {2000}
   */
  readonly behindAfterMs: number;
  /**
   * Longest wait while the vnode is behind, in milliseconds. A command that has
   * waited longer is answered `overload` and not handled, as is, on arrival,
   * one that would have to wait for more than half of it.
   *
   * @default {500}
   */
  readonly waitMsMax: number;
}

/** The bounds of a module that sets none. */
export const MAILBOX_BOUNDS_DEFAULT: MailboxBounds = Object.freeze({
  requestsMax: 10_000,
  bytesMax: 16 * 1024 * 1024,
  requestsSoft: 2_000,
  behindAfterMs: 2_000,
  waitMsMax: 500,
});

/** An invalid bound: its name, its rule and its value. */
export interface WrongBound {
  readonly bound: string;
  readonly rule: string;
  readonly value: unknown;
}

/** The first invalid bound in `given`, if there is one. */
export function wrongMailboxBound(
  given: Partial<MailboxBounds>,
): WrongBound | undefined {
  const names = Object.keys(MAILBOX_BOUNDS_DEFAULT);
  for (const [bound, value] of Object.entries(given)) {
    if (!names.includes(bound)) {
      return { bound, rule: `one of ${names.join(", ")}`, value: bound };
    }
    if (Number.isInteger(value) && value >= 1) continue;
    return { bound, rule: "a whole number of at least 1", value };
  }
  return undefined;
}

/**
 * Fills in defaults and checks the bounds of a module.
 *
 * @throws {WhorlError} `vnode_module_failed`, naming the bound and its value.
 */
export function resolveMailboxBounds(
  name: string,
  given: Partial<MailboxBounds> = {},
): MailboxBounds {
  const wrong = wrongMailboxBound(given);
  if (wrong !== undefined) {
    throw new WhorlError(
      "vnode_module_failed",
      `Cannot define vnode module '${name}' as '${wrong.bound}' of its mailbox must be ${wrong.rule}: current value is ${wrong.value}`,
    );
  }
  return Object.freeze({ ...MAILBOX_BOUNDS_DEFAULT, ...given });
}

/** How full a mailbox is. */
export interface MailboxFill {
  /** Commands that wait. */
  readonly waiting: number;
  /** Their bytes. */
  readonly waitingBytes: number;
  /** Commands given to handlers and not answered yet. */
  readonly handling: number;
  /** Whether the vnode is behind. */
  readonly behind: boolean;
}

/** A command that has arrived. */
export interface ComingCommand {
  readonly byteCount: number;
  /** Expected wait, in milliseconds. */
  readonly expectedMs: number;
  /** How long its caller waits, in milliseconds. */
  readonly timeLeftMs: number;
  /** Whether another replica can run it as well. */
  readonly mayDecline: boolean;
  /** Whether it continues something begun before. */
  readonly continues: boolean;
}

/** Why a command is refused: a hard bound, its expected wait, or the soft bound. */
export type MailboxRefusal = "requests" | "bytes" | "wait" | "soft";

/** Why a command is refused, if it is. */
export function refusalOf(
  bounds: MailboxBounds,
  { waiting, waitingBytes, handling, behind }: MailboxFill,
  { byteCount, expectedMs, timeLeftMs, mayDecline, continues }: ComingCommand,
): MailboxRefusal | undefined {
  const requests = waiting + handling;
  if (requests >= bounds.requestsMax) return "requests";
  // An empty mailbox takes any size, or a large command could never be
  // admitted.
  if (waiting > 0 && waitingBytes + byteCount > bounds.bytesMax) return "bytes";
  // An empty mailbox takes any command, to keep the vnode busy. Half of the
  // time, since some commands take longer than those measured.
  const waitMsMax = continues ? timeLeftMs : Math.min(
    bounds.waitMsMax / 2,
    timeLeftMs,
  );
  if (behind && waiting > 0 && expectedMs > waitMsMax) return "wait";
  return mayDecline && requests >= bounds.requestsSoft ? "soft" : undefined;
}

/**
 * For how many milliseconds further commands are futile after one was refused
 * that would have waited for `expectedMs`: until half of the queue has been
 * handled, so that the vnode stays busy meanwhile. `undefined` if commands
 * whose callers have more time would be admitted.
 */
export function againAfterMs(
  { waitMsMax }: MailboxBounds,
  expectedMs: number,
): number | undefined {
  return expectedMs > waitMsMax / 2 ? Math.ceil(expectedMs / 2) : undefined;
}

/** Whether a mailbox that has refused commands has room again: well below its bounds, to avoid flapping. */
export function isRelieved(
  bounds: MailboxBounds,
  { waiting, waitingBytes, handling, behind }: MailboxFill,
): boolean {
  return !behind && waiting + handling <= bounds.requestsMax / 2 &&
    waitingBytes <= bounds.bytesMax / 2;
}

/** The fate of a queued command: `due` to be handled, past its deadline, or `stale`. */
export type WaitFate = "due" | "expired" | "stale";

/** A queued command. */
export interface WaitingCommand {
  /** How long it has waited, in milliseconds. */
  readonly waitedMs: number;
  /** How long its caller still waits, in milliseconds. */
  readonly timeLeftMs: number;
  /** How long after it the last command that begins something arrived, in milliseconds. */
  readonly followedMs: number;
  /** Whether it continues something begun before. */
  readonly continues: boolean;
}

/**
 * The fate of a queued command.
 *
 * @param behind Whether the vnode is behind.
 * @param handlingMs How long it takes to handle one, in milliseconds.
 */
export function fateOf(
  bounds: MailboxBounds,
  { waitedMs, timeLeftMs, followedMs, continues }: WaitingCommand,
  behind: boolean,
  handlingMs: number,
): WaitFate {
  // Its caller has given up, or will have before it is done; a put done then
  // could surprise the caller later.
  if (timeLeftMs <= 0 || timeLeftMs < handlingMs) return "expired";
  if (!behind || continues) return "due";
  return Math.min(waitedMs, followedMs) > bounds.waitMsMax ? "stale" : "due";
}
