/**
 * How much may wait for a vnode, in number, in bytes and in time, and what
 * becomes of what is beyond that: it is answered `overload`, at once or when it
 * has waited too long, never forgotten.
 *
 * The time is bounded as in CoDel (Nichols and Jacobson, "Controlling Queue
 * Delay", 2012), in the form servers take it in (Maurer, "Fail at Scale", 2015):
 * a burst may wait until its deadlines, but once a vnode has been behind for
 * long, waiting helps nobody. Each command would be handled just before its
 * caller gives up, or just after. So then only what came lately is handled.
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
   * How long a vnode must have had commands waiting without a break until it
   * counts as behind, in milliseconds.
   *
   * @default {5000}
   */
  readonly behindAfterMs: number;
  /**
   * How long a command may wait for a vnode that is behind, in milliseconds; one
   * that has waited longer is answered `overload` and not handled.
   *
   * @default {1000}
   */
  readonly waitMsMax: number;
}

/** The bounds of a module that does not say otherwise. */
export const MAILBOX_BOUNDS_DEFAULT: MailboxBounds = Object.freeze({
  requestsMax: 10_000,
  bytesMax: 16 * 1024 * 1024,
  requestsSoft: 2_000,
  behindAfterMs: 5_000,
  waitMsMax: 1_000,
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
}

/** Why a command is not taken in: the hard bounds, or the soft one. */
export type MailboxRefusal = "requests" | "bytes" | "soft";

/**
 * Why a command of `byteCount` bytes may not come in, if so.
 *
 * @param mayDecline Whether another replica can do it as well.
 */
export function refusalOf(
  bounds: MailboxBounds,
  { waiting, waitingBytes, handling }: MailboxFill,
  byteCount: number,
  mayDecline: boolean,
): MailboxRefusal | undefined {
  const requests = waiting + handling;
  if (requests >= bounds.requestsMax) return "requests";
  // Alone it may be of any size, or it could never be taken in.
  if (waiting > 0 && waitingBytes + byteCount > bounds.bytesMax) return "bytes";
  return mayDecline && requests >= bounds.requestsSoft ? "soft" : undefined;
}

/** Whether a full mailbox has room again; well below its bounds, so that this does not come and go with each command. */
export function isRelieved(
  bounds: MailboxBounds,
  { waiting, waitingBytes, handling }: MailboxFill,
): boolean {
  return waiting + handling <= bounds.requestsMax / 2 &&
    waitingBytes <= bounds.bytesMax / 2;
}

/** What becomes of a command that has waited: `due` to be handled, past its deadline, or `stale`. */
export type WaitFate = "due" | "expired" | "stale";

/**
 * What becomes of a command.
 *
 * @param waitedMs How long it has waited.
 * @param timeLeftMs How long its caller still waits.
 * @param behindMs For how long commands have been waiting without a break.
 */
export function fateOf(
  bounds: MailboxBounds,
  waitedMs: number,
  timeLeftMs: number,
  behindMs: number,
): WaitFate {
  // Nobody waits for it any more, and a put done now could surprise them later.
  if (timeLeftMs <= 0) return "expired";
  return behindMs >= bounds.behindAfterMs && waitedMs > bounds.waitMsMax
    ? "stale"
    : "due";
}
