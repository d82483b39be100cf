import { assertEquals, assertThrows } from "@std/assert";
import { WhorlError } from "../base/errors.ts";
import {
  againAfterMs,
  type ComingCommand,
  fateOf,
  isRelieved,
  MAILBOX_BOUNDS_DEFAULT,
  type MailboxBounds,
  type MailboxFill,
  refusalOf,
  resolveMailboxBounds,
} from "./mailbox_bounds.ts";

const BOUNDS: MailboxBounds = {
  requestsMax: 10,
  bytesMax: 100,
  requestsSoft: 4,
  behindAfterMs: 500,
  waitMsMax: 50,
};

const EMPTY: MailboxFill = {
  waiting: 0,
  waitingBytes: 0,
  handling: 0,
  behind: false,
};
const SMALL: ComingCommand = {
  byteCount: 1,
  expectedMs: 0,
  timeLeftMs: 1_000,
  mayDecline: false,
  continues: false,
};

Deno.test("refusalOf() counts waiting commands and the one being handled", () => {
  const refusal = (waiting: number, handling: number) =>
    refusalOf(
      BOUNDS,
      { ...EMPTY, waiting, waitingBytes: waiting, handling },
      SMALL,
    );
  assertEquals(refusal(0, 0), undefined);
  assertEquals(refusal(9, 0), undefined);
  assertEquals(refusal(8, 1), undefined);
  assertEquals(refusal(9, 1), "requests");
  assertEquals(refusal(10, 0), "requests");
  assertEquals(refusal(0, 10), "requests");
});

Deno.test("refusalOf() bounds waiting bytes, but accepts a command of any size if none waits", () => {
  const refusal = (waiting: number, waitingBytes: number, byteCount: number) =>
    refusalOf(BOUNDS, { ...EMPTY, waiting, waitingBytes, handling: 1 }, {
      ...SMALL,
      byteCount,
    });
  assertEquals(refusal(0, 0, 1_000), undefined);
  assertEquals(refusal(1, 60, 40), undefined);
  assertEquals(refusal(1, 60, 41), "bytes");
  assertEquals(refusal(1, 1_000, 0), "bytes");
});

Deno.test("refusalOf() bounds the waiting time of a vnode that is behind, but accepts a command if none waits", () => {
  const refusal = (
    waiting: number,
    expectedMs: number,
    timeLeftMs = 1_000,
    behind = true,
  ) =>
    refusalOf(BOUNDS, { ...EMPTY, waiting, behind }, {
      ...SMALL,
      expectedMs,
      timeLeftMs,
    });
  // Half of the 50 ms that it may wait.
  assertEquals(refusal(1, 25), undefined);
  assertEquals(refusal(1, 26), "wait");
  // It would come too late.
  assertEquals(refusal(1, 11, 10), "wait");
  assertEquals(refusal(0, 10_000), undefined);
  // A burst may wait.
  assertEquals(refusal(9, 10_000, 1_000, false), undefined);
  // So may what was begun elsewhere, unless it would come too late.
  const continued = (expectedMs: number) =>
    refusalOf(BOUNDS, { ...EMPTY, waiting: 9, behind: true }, {
      ...SMALL,
      expectedMs,
      continues: true,
    });
  assertEquals(continued(1_000), undefined);
  assertEquals(continued(1_001), "wait");
});

Deno.test("refusalOf() declines commands that another replica can run once the soft bound is reached", () => {
  const refusal = (waiting: number, handling: number, mayDecline: boolean) =>
    refusalOf(BOUNDS, { ...EMPTY, waiting, handling }, {
      ...SMALL,
      mayDecline,
    });
  assertEquals(refusal(2, 1, true), undefined);
  assertEquals(refusal(4, 0, true), "soft");
  assertEquals(refusal(0, 4, true), "soft");
  assertEquals(refusal(4, 0, false), undefined);
  assertEquals(refusal(4, 6, true), "requests");
});

Deno.test("isRelieved() holds once every bound is at most half used and the vnode is not behind", () => {
  const relieved = (
    waiting: number,
    waitingBytes: number,
    handling: number,
    behind = false,
  ) => isRelieved(BOUNDS, { waiting, waitingBytes, handling, behind });
  assertEquals(relieved(3, 50, 2), true);
  assertEquals(relieved(4, 50, 2), false);
  assertEquals(relieved(1, 51, 0), false);
  assertEquals(relieved(0, 0, 0, true), false);
});

Deno.test("fateOf() keeps a burst waiting until its deadlines, or until they cannot be met", () => {
  const fate = (timeLeftMs: number, handlingMs = 0) =>
    fateOf(
      BOUNDS,
      { waitedMs: 499, timeLeftMs, followedMs: 499, continues: false },
      false,
      handlingMs,
    );
  assertEquals(fate(1), "due");
  assertEquals(fate(0), "expired");
  assertEquals(fate(8, 8), "due");
  assertEquals(fate(7, 8), "expired");
});

Deno.test("fateOf() of a vnode that is behind is due for recent commands, and for the last one", () => {
  const fate = (
    waitedMs: number,
    { timeLeftMs = 1_000, followedMs = waitedMs, continues = false } = {},
  ) =>
    fateOf(
      BOUNDS,
      { waitedMs, timeLeftMs, followedMs, continues },
      true,
      0,
    );
  assertEquals(fate(50), "due");
  assertEquals(fate(51), "stale");
  assertEquals(fate(999, { followedMs: 50 }), "due");
  assertEquals(fate(999, { followedMs: -1 }), "due");
  assertEquals(fate(999, { continues: true }), "due");
  // Its caller is told what matters most: that it is too late.
  assertEquals(fate(51, { timeLeftMs: -1 }), "expired");
});

Deno.test("resolveMailboxBounds() fills in riak_core's bound and refuses invalid bounds", () => {
  assertEquals(resolveMailboxBounds("kv"), MAILBOX_BOUNDS_DEFAULT);
  assertEquals(MAILBOX_BOUNDS_DEFAULT.requestsMax, 10_000);
  assertEquals(resolveMailboxBounds("kv", { waitMsMax: 7 }), {
    ...MAILBOX_BOUNDS_DEFAULT,
    waitMsMax: 7,
  });
  for (const value of [0, -1, 1.5, NaN, Infinity, "9" as never]) {
    const error = assertThrows(
      () => resolveMailboxBounds("kv", { requestsSoft: value }),
      WhorlError,
      `'requestsSoft' of its mailbox must be a whole number of at least 1: current value is ${value}`,
    );
    assertEquals(error.code, "vnode_module_failed");
  }
  assertThrows(
    () => resolveMailboxBounds("kv", { requests: 5 } as never),
    WhorlError,
    "'requests' of its mailbox must be one of requestsMax, bytesMax, requestsSoft, behindAfterMs, waitMsMax",
  );
});

Deno.test("againAfterMs() is half of the waiting time, if others would be refused as well", () => {
  assertEquals(againAfterMs(BOUNDS, 31), 16);
  // Refused as its caller had less time.
  assertEquals(againAfterMs(BOUNDS, BOUNDS.waitMsMax / 2), undefined);
});
