import { assertEquals, assertThrows } from "@std/assert";
import { WhorlError } from "../base/errors.ts";
import {
  fateOf,
  isRelieved,
  MAILBOX_BOUNDS_DEFAULT,
  type MailboxBounds,
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

Deno.test("refusalOf() counts what waits and what is being handled", () => {
  const refusal = (waiting: number, handling: number) =>
    refusalOf(
      BOUNDS,
      { waiting, waitingBytes: waiting, handling },
      1,
      false,
    );
  assertEquals(refusal(0, 0), undefined);
  assertEquals(refusal(9, 0), undefined);
  assertEquals(refusal(8, 1), undefined);
  assertEquals(refusal(9, 1), "requests");
  assertEquals(refusal(10, 0), "requests");
  assertEquals(refusal(0, 10), "requests");
});

Deno.test("refusalOf() bounds bytes, but lets in a command of any size that waits alone", () => {
  const refusal = (waiting: number, waitingBytes: number, byteCount: number) =>
    refusalOf(BOUNDS, { waiting, waitingBytes, handling: 1 }, byteCount, false);
  assertEquals(refusal(0, 0, 1_000), undefined);
  assertEquals(refusal(1, 60, 40), undefined);
  assertEquals(refusal(1, 60, 41), "bytes");
  assertEquals(refusal(1, 1_000, 0), "bytes");
});

Deno.test("refusalOf() leaves to others what they can do once the soft bound is reached", () => {
  const refusal = (waiting: number, handling: number, mayDecline: boolean) =>
    refusalOf(
      BOUNDS,
      { waiting, waitingBytes: 0, handling },
      0,
      mayDecline,
    );
  assertEquals(refusal(2, 1, true), undefined);
  assertEquals(refusal(4, 0, true), "soft");
  assertEquals(refusal(0, 4, true), "soft");
  assertEquals(refusal(4, 0, false), undefined);
  assertEquals(refusal(4, 6, true), "requests");
});

Deno.test("isRelieved() waits for half of every bound", () => {
  const relieved = (waiting: number, waitingBytes: number, handling: number) =>
    isRelieved(BOUNDS, { waiting, waitingBytes, handling });
  assertEquals(relieved(3, 50, 2), true);
  assertEquals(relieved(4, 50, 2), false);
  assertEquals(relieved(1, 51, 0), false);
});

Deno.test("fateOf() lets a burst wait until its deadlines", () => {
  assertEquals(fateOf(BOUNDS, 499, 1, 499), "due");
  assertEquals(fateOf(BOUNDS, 499, 0, 499), "expired");
});

Deno.test("fateOf() of a vnode that is behind is due for what came lately", () => {
  assertEquals(fateOf(BOUNDS, 50, 1_000, 500), "due");
  assertEquals(fateOf(BOUNDS, 51, 1_000, 500), "stale");
  // Its caller is told what matters most: that it is too late.
  assertEquals(fateOf(BOUNDS, 51, -1, 500), "expired");
});

Deno.test("resolveMailboxBounds() fills in riak_core's bound and refuses nonsense", () => {
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
