import { assertEquals, assertRejects } from "@std/assert";
import { WhorlError } from "../base/errors.ts";
import { EVENTS_WAITING_MAX, EventStream } from "./event_stream.ts";

function stream() {
  const unsubscribed: unknown[] = [];
  const events = new EventStream<number>((which) => unsubscribed.push(which));
  return { events, unsubscribed };
}

Deno.test("EventStream yields the events since its creation, in order, and then new ones", async () => {
  const { events, unsubscribed } = stream();
  events.push(1);
  events.push(2);
  const seen = [await events.next(), await events.next()];
  const later = [events.next(), events.next()];
  events.push(3);
  events.push(4);
  assertEquals(
    [...seen, ...await Promise.all(later)].map(({ value }) => value),
    [1, 2, 3, 4],
  );
  assertEquals(unsubscribed, []);
});

Deno.test("EventStream lets waiting events be read after its end, and then is done", async () => {
  const { events, unsubscribed } = stream();
  const waiting = events.next();
  events.push(1);
  events.push(2);
  events.end();
  events.push(3);
  assertEquals((await waiting).value, 1);
  assertEquals(await Array.fromAsync(events), [2]);
  assertEquals(unsubscribed, [events]);
});

Deno.test("EventStream ends with its loop, and for waiting readers when it is disposed", async () => {
  const { events, unsubscribed } = stream();
  events.push(1);
  events.push(2);
  for await (const event of events) if (event === 1) break;
  assertEquals(await Array.fromAsync(events), []);
  assertEquals(unsubscribed, [events]);
  const other = stream().events;
  const waiting = other.next();
  await other[Symbol.asyncDispose]();
  assertEquals((await waiting).done, true);
});

Deno.test("EventStream gives a reader that is too far behind what it has, and then tells that it missed some", async () => {
  const { events, unsubscribed } = stream();
  for (let i = 0; i <= EVENTS_WAITING_MAX; i++) events.push(i);
  assertEquals(unsubscribed, [events]);
  for (let i = 0; i < EVENTS_WAITING_MAX; i++) {
    assertEquals((await events.next()).value, i);
  }
  const error = await assertRejects(() => events.next(), WhorlError);
  assertEquals(error.code, "overload");
  assertEquals((await events.next()).done, true);
});
