/**
 * How much may wait for a vnode, in number, in bytes and in time, and what
 * becomes of what is beyond that: it is answered `overload`, at once or when it
 * has waited too long, never forgotten.
 *
 * The time is bounded as in CoDel (Nichols and Jacobson, "Controlling Queue
 * Delay", 2012), in the form servers take it in (Maurer, "Fail at Scale", 2015):
 * a burst may wait until its deadlines, but once a vnode is behind
 * (`wait_meter.ts`), waiting helps nobody. Each command would be handled just
 * before its caller gives up, or just after. So then a command is taken in only
 * if it would be handled soon, and others are refused when they come, which tells
 * their callers at once and costs least. What waits then has to make way for what
 * comes, if anything does: when nothing comes after it, it is a burst after all.
 *
 * All that holds for commands that begin something. The second replica of a write
 * that the first has made, and the next part of a listing, wait until their
 * deadlines: to refuse them would be to waste what has been done, and they cannot
 * become too many, as those before them are refused.
 *
 * Newest first, which servers do as well, would serve as many and as soon. But
 * those that came before would hear of it when their time is over, and commands
 * would not be handled in the order in which they came.
 *
 * This file only decides; `mailbox.ts` keeps what waits.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";

/** How much may wait for each vnode of a module. */
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
   * Commands that wait or are being handled from which on the vnode had better
   * not be the one that coordinates a write, if another replica can do it.
   *
   * @default {2000}
   */
  readonly requestsSoft: number;
  /**
   * How long all commands that a vnode takes must have waited longer than
   * `waitMsMax` until it counts as behind, in milliseconds. If twice as much comes
   * for its thread as gets done, or more, it is behind as soon as commands have
   * waited longer than `waitMsMax` and what waits takes so long.
   *
   * @default {2000}
   */
  readonly behindAfterMs: number;
  /**
   * How long a command may wait for a vnode that is behind, in milliseconds; one
   * that has waited longer is answered `overload` and not handled, and so is one
   * when it comes that would wait for more than half of it.
   *
   * @default {500}
   */
  readonly waitMsMax: number;
}

/** The bounds of a module that does not say otherwise. */
export const MAILBOX_BOUNDS_DEFAULT: MailboxBounds = Object.freeze({
  requestsMax: 10_000,
  bytesMax: 16 * 1024 * 1024,
  requestsSoft: 2_000,
  behindAfterMs: 2_000,
  waitMsMax: 500,
});

/** A bound that cannot be: its name, what it must be, and what it is. */
export interface WrongBound {
  readonly bound: string;
  readonly rule: string;
  readonly value: unknown;
}

/** The first of `given` that cannot be a bound, if there is one. */
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
 * Fills in defaults and checks what a module gave.
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
  /** Commands that have been taken up and not been answered. */
  readonly handling: number;
  /** Whether the vnode is behind. */
  readonly behind: boolean;
}

/** A command that has come. */
export interface ComingCommand {
  readonly byteCount: number;
  /** How long it would wait, in milliseconds. */
  readonly expectedMs: number;
  /** How long its caller waits, in milliseconds. */
  readonly timeLeftMs: number;
  /** Whether another replica can do it as well. */
  readonly mayDecline: boolean;
  /** Whether it goes on with what was begun before. */
  readonly continues: boolean;
}

/** Why a command is not taken in: the hard bounds, the time it would wait, or the soft bound. */
export type MailboxRefusal = "requests" | "bytes" | "wait" | "soft";

/** Why a command may not come in, if so. */
export function refusalOf(
  bounds: MailboxBounds,
  { waiting, waitingBytes, handling, behind }: MailboxFill,
  { byteCount, expectedMs, timeLeftMs, mayDecline, continues }: ComingCommand,
): MailboxRefusal | undefined {
  const requests = waiting + handling;
  if (requests >= bounds.requestsMax) return "requests";
  // Alone it may be of any size, or it could never be taken in.
  if (waiting > 0 && waitingBytes + byteCount > bounds.bytesMax) return "bytes";
  // Alone it may wait for any time, or the vnode had nothing to do. Half of the
  // time, as some will take longer than those before them.
  const waitMsMax = continues ? timeLeftMs : Math.min(
    bounds.waitMsMax / 2,
    timeLeftMs,
  );
  if (behind && waiting > 0 && expectedMs > waitMsMax) return "wait";
  return mayDecline && requests >= bounds.requestsSoft ? "soft" : undefined;
}

/**
 * For how long it is of no use to send further commands after one was refused
 * that would have waited for `expectedMs`: until half of what waits has been
 * handled, so that the vnode has enough to do meanwhile. `undefined` if others,
 * whose callers have more time, would be taken in.
 */
export function againAfterMs(
  { waitMsMax }: MailboxBounds,
  expectedMs: number,
): number | undefined {
  return expectedMs > waitMsMax / 2 ? Math.ceil(expectedMs / 2) : undefined;
}

/** Whether a mailbox that has refused commands has room again; well below its bounds, so that this does not come and go with each command. */
export function isRelieved(
  bounds: MailboxBounds,
  { waiting, waitingBytes, handling, behind }: MailboxFill,
): boolean {
  return !behind && waiting + handling <= bounds.requestsMax / 2 &&
    waitingBytes <= bounds.bytesMax / 2;
}

/** What becomes of a command that has waited: `due` to be handled, past its deadline, or `stale`. */
export type WaitFate = "due" | "expired" | "stale";

/** A command that waits. */
export interface WaitingCommand {
  /** How long it has waited, in milliseconds. */
  readonly waitedMs: number;
  /** How long its caller still waits, in milliseconds. */
  readonly timeLeftMs: number;
  /** How long after it the last one came that begins something, in milliseconds. */
  readonly followedMs: number;
  /** Whether it goes on with what was begun before. */
  readonly continues: boolean;
}

/**
 * What becomes of a command.
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
  // Nobody waits for it any more, or will when it is done, and a put done then
  // could surprise them later.
  if (timeLeftMs <= 0 || timeLeftMs < handlingMs) return "expired";
  if (!behind || continues) return "due";
  return Math.min(waitedMs, followedMs) > bounds.waitMsMax ? "stale" : "due";
}
