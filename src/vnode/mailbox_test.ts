import { assert, assertEquals } from "@std/assert";
import { Mailbox, type WaitingRequest } from "./mailbox.ts";
import {
  MAILBOX_BOUNDS_DEFAULT,
  type MailboxRefusal,
} from "./mailbox_bounds.ts";
import { ThreadLoad } from "./thread_load.ts";
import { RequestFlag } from "./vnode_wire.ts";

const BOUNDS = {
  ...MAILBOX_BOUNDS_DEFAULT,
  requestsMax: 4,
  bytesMax: 40,
  behindAfterMs: 500,
  waitMsMax: 50,
};

/** Why one of so many bytes may not come in, if so. */
function refusalOf(
  mailbox: Mailbox,
  byteCount: number,
  { flags = 0, nowMs = 0 } = {},
): MailboxRefusal | undefined {
  return mailbox.refusal(0, byteCount, flags, nowMs + 1_000, nowMs);
}

/** A request of ten bytes in the middle of a message of a hundred. */
function request(
  correlation: number,
  arrivedMs = 0,
  flags = 0,
): WaitingRequest {
  const bytes = new Uint8Array(100).fill(correlation);
  return {
    correlation,
    command: 0,
    flags,
    deadline: 10_000,
    arrivedMs,
    servedBefore: 0,
    bytes,
    start: 20,
    end: 30,
  };
}

function numbers(requests: readonly WaitingRequest[]): number[] {
  return requests.map(({ correlation }) => correlation);
}

Deno.test("Mailbox returns commands in order of arrival, and counts them", () => {
  const mailbox = new Mailbox(MAILBOX_BOUNDS_DEFAULT, new ThreadLoad());
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

Deno.test("Mailbox.remove() removes the commands that match and keeps the others in order", () => {
  const mailbox = new Mailbox(MAILBOX_BOUNDS_DEFAULT, new ThreadLoad());
  for (let i = 0; i < 6; i++) mailbox.add(request(i));
  mailbox.take();
  const odd = mailbox.remove(({ correlation }) => correlation % 2 === 1);
  assertEquals(numbers(odd), [1, 3, 5]);
  assertEquals([mailbox.length, mailbox.byteCount], [2, 20]);
  assertEquals(numbers(mailbox.remove(() => true)), [2, 4]);
  assertEquals([mailbox.length, mailbox.byteCount], [0, 0]);
});

/** What became of those that were looked through. */
function overdue(mailbox: Mailbox, nowMs: number): [number, string][] {
  return mailbox.removeOverdue(nowMs)
    .map(([{ correlation }, fate]) => [correlation, fate]);
}

Deno.test("Mailbox refuses commands that waited too long once the vnode is behind and others have come after them", () => {
  const mailbox = new Mailbox(
    { ...BOUNDS, requestsMax: 6, bytesMax: 1_000 },
    new ThreadLoad(),
  );
  mailbox.open(0);
  for (let i = 1; i <= 3; i++) mailbox.add(request(i, 100));
  mailbox.add(request(4, 100, RequestFlag.continues));
  // Nothing has come since: a burst.
  assertEquals(overdue(mailbox, 700), []);
  assertEquals([mailbox.behind, mailbox.overloaded], [true, false]);
  mailbox.add(request(5, 700, RequestFlag.continues));
  assertEquals(overdue(mailbox, 700), []);
  const first = mailbox.take() as WaitingRequest;
  assertEquals(mailbox.fateOfTaken(first, 700, 0), "due");
  // What is refused has come as well.
  assertEquals(refusalOf(mailbox, 10, { nowMs: 710 }), "wait");
  assertEquals(
    refusalOf(mailbox, 10, { nowMs: 710, flags: RequestFlag.continues }),
    "wait",
  );
  assertEquals(overdue(mailbox, 710), [[2, "stale"], [3, "stale"]]);
  // What was begun elsewhere waits until its deadline.
  assertEquals([mailbox.behind, mailbox.length], [true, 2]);
  // Empty, but others of the thread wait.
  for (const correlation of [4, 5]) {
    const next = mailbox.take() as WaitingRequest;
    assertEquals(next.correlation, correlation);
    assertEquals(mailbox.fateOfTaken(next, 800, 0), "due");
  }
  assertEquals(mailbox.take(), undefined);
  // To be turned away is not to be kept up with.
  mailbox.emptied(710 + BOUNDS.waitMsMax);
  assertEquals(mailbox.behind, true);
  mailbox.emptied(711 + BOUNDS.waitMsMax);
  assertEquals(mailbox.behind, false);
});

Deno.test("Mailbox.removeOverdueFirst() removes the commands before the first one that is due", () => {
  const mailbox = new Mailbox({ ...BOUNDS, requestsMax: 9 }, new ThreadLoad());
  mailbox.open(0);
  mailbox.add(request(1, 100));
  mailbox.add(request(2, 110));
  mailbox.add(request(3, 110, RequestFlag.continues));
  mailbox.add(request(4, 120));
  const first = (nowMs: number) =>
    mailbox.removeOverdueFirst(nowMs)
      .map(([{ correlation }, fate]) => [correlation, fate]);
  assertEquals(overdue(mailbox, 700), []);
  mailbox.add(request(5, 700));
  assertEquals([mailbox.behind, first(700)], [
    true,
    [[1, "stale"], [2, "stale"]],
  ]);
  assertEquals([mailbox.length, mailbox.byteCount], [3, 30]);
  assertEquals(first(700), []);
  // The one that goes on with something is due, so the fourth waits for its turn.
  assertEquals(overdue(mailbox, 700), [[4, "stale"]]);
});

Deno.test("Mailbox refuses commands that would wait too long for a vnode that is behind, and is overloaded until the vnode has caught up", () => {
  const mailbox = new Mailbox(
    { ...BOUNDS, requestsMax: 100, bytesMax: 1_000 },
    new ThreadLoad(),
  );
  mailbox.open(0);
  for (let i = 0; i < 70; i++) mailbox.add(request(i, 0));
  // Ten milliseconds each.
  for (let nowMs = 0; nowMs <= 550; nowMs += 10) {
    const next = mailbox.take() as WaitingRequest;
    assertEquals(mailbox.fateOfTaken(next, nowMs, 0), "due");
    if (mailbox.behind) break;
  }
  const refusal = () => refusalOf(mailbox, 10, { nowMs: 550 });
  assertEquals([mailbox.behind, mailbox.length], [true, 14]);
  assertEquals([refusal(), mailbox.overloaded], ["wait", true]);
  assertEquals(mailbox.relieved(0), false);
  mailbox.remove(({ correlation }) => correlation > 57);
  assertEquals(mailbox.length, 2);
  assertEquals(Math.round(mailbox.expectedMs), 29);
  assertEquals(refusal(), "wait");
  mailbox.take();
  assertEquals(refusal(), undefined);
  mailbox.take();
  assertEquals(mailbox.relieved(0), false);
  // Those that were refused may come back.
  mailbox.emptied(550 + BOUNDS.waitMsMax);
  assertEquals(mailbox.relieved(0), false);
  mailbox.emptied(551 + BOUNDS.waitMsMax);
  assertEquals([mailbox.relieved(0), mailbox.overloaded], [true, false]);
});

Deno.test("Mailbox is not behind while the vnode takes no commands, and measures anew afterwards", () => {
  const mailbox = new Mailbox(BOUNDS, new ThreadLoad());
  mailbox.add(request(1));
  mailbox.add(request(2));
  assertEquals(overdue(mailbox, 5_000), []);
  mailbox.open(6_000);
  assertEquals(overdue(mailbox, 6_549), []);
  mailbox.close();
  assertEquals(overdue(mailbox, 7_000), []);
  mailbox.open(7_000);
  mailbox.add(request(3, 7_200));
  assertEquals(overdue(mailbox, 7_549), []);
  assertEquals(overdue(mailbox, 7_550), [[1, "stale"], [2, "stale"]]);
  assertEquals(overdue(mailbox, 10_000), [[3, "expired"]]);
});

Deno.test("Mailbox is overloaded from its first refusal until half of it is free", () => {
  const mailbox = new Mailbox(BOUNDS, new ThreadLoad());
  mailbox.open(0);
  for (let i = 0; i < 4; i++) {
    assertEquals(refusalOf(mailbox, 10), undefined);
    mailbox.add(request(i));
  }
  assertEquals([mailbox.overloaded, mailbox.relieved(0)], [false, false]);
  assertEquals(refusalOf(mailbox, 10), "requests");
  mailbox.take();
  assertEquals(refusalOf(mailbox, 11), "bytes");
  assertEquals([mailbox.overloaded, mailbox.relieved(0)], [true, false]);
  mailbox.take();
  assertEquals(mailbox.relieved(1), false);
  assertEquals(mailbox.relieved(0), true);
  assertEquals([mailbox.overloaded, mailbox.relieved(0)], [false, false]);
});

Deno.test("Mailbox is not overloaded by commands that it left to other replicas", () => {
  const mailbox = new Mailbox({ ...BOUNDS, requestsSoft: 1 }, new ThreadLoad());
  mailbox.open(0);
  mailbox.add(request(1));
  assertEquals(
    refusalOf(mailbox, 10, { flags: RequestFlag.mayDecline }),
    "soft",
  );
  assertEquals(refusalOf(mailbox, 10), undefined);
  assertEquals(mailbox.overloaded, false);
});

Deno.test("Mailbox.keepBytes() copies waiting commands out of a message of which little waits", () => {
  const mailbox = new Mailbox(BOUNDS, new ThreadLoad());
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
