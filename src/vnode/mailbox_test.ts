import { assert, assertEquals } from "@std/assert";
import { Mailbox, type WaitingRequest } from "./mailbox.ts";
import { MAILBOX_BOUNDS_DEFAULT } from "./mailbox_bounds.ts";

const BOUNDS = {
  ...MAILBOX_BOUNDS_DEFAULT,
  requestsMax: 4,
  bytesMax: 40,
  behindAfterMs: 500,
  waitMsMax: 50,
};

/** A request of ten bytes in the middle of a message of a hundred. */
function request(correlation: number, arrivedMs = 0): WaitingRequest {
  const bytes = new Uint8Array(100).fill(correlation);
  return {
    correlation,
    command: 0,
    flags: 0,
    deadline: 10_000,
    arrivedMs,
    bytes,
    start: 20,
    end: 30,
  };
}

function numbers(requests: readonly WaitingRequest[]): number[] {
  return requests.map(({ correlation }) => correlation);
}

Deno.test("Mailbox gives back what it took in, in order, and counts it", () => {
  const mailbox = new Mailbox(MAILBOX_BOUNDS_DEFAULT);
  mailbox.open(0);
  // More than are taken before the rest moves up.
  for (let i = 0; i < 3_000; i++) mailbox.add(request(i));
  for (let i = 0; i < 2_500; i++) {
    assertEquals(mailbox.take()?.correlation, i);
    assertEquals(mailbox.length, 2_999 - i);
    assertEquals(mailbox.byteCount, 10 * (2_999 - i));
  }
  mailbox.add(request(3_000));
  for (let i = 2_500; i <= 3_000; i++) {
    assertEquals(mailbox.take()?.correlation, i);
  }
  assertEquals(mailbox.take(), undefined);
  assertEquals([mailbox.length, mailbox.byteCount], [0, 0]);
});

Deno.test("Mailbox.remove() takes out what is asked for and leaves the others in order", () => {
  const mailbox = new Mailbox(MAILBOX_BOUNDS_DEFAULT);
  for (let i = 0; i < 6; i++) mailbox.add(request(i));
  mailbox.take();
  const odd = mailbox.remove(({ correlation }) => correlation % 2 === 1);
  assertEquals(numbers(odd), [1, 3, 5]);
  assertEquals([mailbox.length, mailbox.byteCount], [2, 20]);
  assertEquals(numbers(mailbox.remove(() => true)), [2, 4]);
  assertEquals([mailbox.length, mailbox.byteCount], [0, 0]);
});

Deno.test("Mailbox.fateOf() is stale once commands have waited without a break, and no longer when the vnode has kept up", () => {
  const mailbox = new Mailbox(BOUNDS);
  mailbox.open(0);
  const first = request(1, 100);
  mailbox.add(first);
  assertEquals(mailbox.fateOf(first, 599), "due");
  assertEquals(mailbox.fateOf(first, 600), "stale");
  // To be turned away is not to be kept up with.
  mailbox.remove(() => true);
  const second = request(2, 700);
  mailbox.add(second);
  assertEquals(mailbox.fateOf(second, 750), "due");
  assertEquals(mailbox.fateOf(second, 751), "stale");
  // Taken, and others wait: it is behind still.
  const third = request(3, 760);
  mailbox.add(third);
  mailbox.take();
  assertEquals(mailbox.fateOf(third, 811), "stale");
  mailbox.take();
  assertEquals(mailbox.take(), undefined);
  const fourth = request(4, 900);
  mailbox.add(fourth);
  assertEquals(mailbox.fateOf(fourth, 1_399), "due");
  assertEquals(mailbox.fateOf(fourth, 1_400), "stale");
});

Deno.test("Mailbox.fateOf() is never stale while the vnode takes no commands, and afterwards it starts anew", () => {
  const mailbox = new Mailbox(BOUNDS);
  const waits = request(1);
  mailbox.add(waits);
  assertEquals(mailbox.fateOf(waits, 5_000), "due");
  assertEquals(mailbox.fateOf(waits, 10_000), "expired");
  mailbox.open(6_000);
  assertEquals(mailbox.fateOf(waits, 6_499), "due");
  assertEquals(mailbox.fateOf(waits, 6_500), "stale");
  mailbox.close();
  assertEquals(mailbox.fateOf(waits, 7_000), "due");
  mailbox.open(7_000);
  assertEquals(mailbox.fateOf(waits, 7_499), "due");
});

Deno.test("Mailbox is overloaded from its first refusal until half of it is free", () => {
  const mailbox = new Mailbox(BOUNDS);
  mailbox.open(0);
  for (let i = 0; i < 4; i++) {
    assertEquals(mailbox.refusal(0, 10, false), undefined);
    mailbox.add(request(i));
  }
  assertEquals([mailbox.overloaded, mailbox.relieved(0)], [false, false]);
  assertEquals(mailbox.refusal(0, 10, false), "requests");
  mailbox.take();
  assertEquals(mailbox.refusal(0, 11, false), "bytes");
  assertEquals([mailbox.overloaded, mailbox.relieved(0)], [true, false]);
  mailbox.take();
  assertEquals(mailbox.relieved(1), false);
  assertEquals(mailbox.relieved(0), true);
  assertEquals([mailbox.overloaded, mailbox.relieved(0)], [false, false]);
});

Deno.test("Mailbox is not overloaded by what it left to others", () => {
  const mailbox = new Mailbox({ ...BOUNDS, requestsSoft: 1 });
  mailbox.open(0);
  mailbox.add(request(1));
  assertEquals(mailbox.refusal(0, 10, true), "soft");
  assertEquals(mailbox.refusal(0, 10, false), undefined);
  assertEquals(mailbox.overloaded, false);
});

Deno.test("Mailbox.keepBytes() lets go of messages of which little waits", () => {
  const mailbox = new Mailbox(BOUNDS);
  const whole = { ...request(7), bytes: new Uint8Array(10), start: 0, end: 10 };
  mailbox.add(request(5));
  mailbox.add(whole);
  const { bytes } = whole;
  mailbox.keepBytes();
  const own = mailbox.take() as WaitingRequest;
  assertEquals([own.start, own.end], [0, 10]);
  assertEquals(own.bytes, new Uint8Array(10).fill(5));
  assertEquals(own.bytes.buffer.byteLength, 10);
  assert(mailbox.take()?.bytes === bytes);
  assertEquals(mailbox.byteCount, 0);
});
