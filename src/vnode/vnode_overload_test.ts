/**
 * The vnodes of one thread under more than they can do: the policy of
 * `mailbox_bounds.ts` as it works together with the turns of `vnode_turns.ts`.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { at, LoadedThread, VNODES } from "./testing/loaded_thread.ts";

for (const commandMs of [2, 8, 40]) {
  Deno.test(`vnodes under ten times the load they can handle serve as much as they can, quickly, and refuse the rest at once: commands of ${commandMs} ms`, async () => {
    const thread = new LoadedThread(commandMs, 5_000);
    await thread.start();
    thread.offer(0.5, 2_000);
    const onset = thread.offer(10, 4_000);
    const later = thread.offer(10, 8_000);
    // From the first moment on.
    assert(onset.servedShare > 0.95, `${onset.servedShare}`);
    // Long before all have waited too long for two seconds.
    assert(at(onset.servedMs, 0.99) < 1_000);
    assert(at(onset.refusedMs, 0.5) <= 50);
    assert(at(onset.refusedMs, 1) < 1_200);
    assert(later.servedShare > 0.95, `${later.servedShare}`);
    // Sixteen vnodes of 60 ms each take a second for one round.
    const roundMs = commandMs * VNODES;
    assert(at(later.servedMs, 0.5) <= Math.max(300, 1.5 * roundMs));
    assert(at(later.servedMs, 0.99) <= Math.max(550, 2.5 * roundMs));
    assert(at(later.refusedMs, 0.5) <= 50);
    assert(at(later.refusedMs, 0.99) <= Math.max(1_000, 1.5 * roundMs));

    // At half of what they can do they serve all of it, and soon as before.
    const normalAtMs = thread.runtime.now();
    // What waits, up to two of each vnode, is worked off with half of the time.
    thread.offer(0.5, 1_000 + 4 * roundMs);
    const normal = thread.offer(0.5, 3_000);
    assertEquals(normal.refusedMs, []);
    assert(at(normal.servedMs, 0.99) <= 50 + 5 * commandMs);
    thread.drain();
    assert(thread.runtime.now() - normalAtMs < 10_000);
    for (const vnode of thread.vnodes) {
      assertEquals([vnode.backlog.behind, vnode.backlog.overloaded], [
        false,
        false,
      ]);
    }
  });
}

Deno.test("vnodes serve a whole burst if they can do so in time", async () => {
  const thread = new LoadedThread(1, 5_000);
  await thread.start();
  // Four seconds of work, of which most waits for long.
  thread.offer(40, 100);
  assert(thread.sent.length >= 4_000, `${thread.sent.length}`);
  thread.drain();
  assert(thread.sent.every(({ served }) => served));
});

Deno.test("vnodes serve a whole second of overload if the load after it leaves time for that", async () => {
  const thread = new LoadedThread(1, 5_000);
  await thread.start();
  thread.offer(0.5, 2_000);
  // A second of work too much, which takes two to be worked off.
  thread.offer(2, 1_000);
  thread.offer(0.5, 4_000);
  thread.drain();
  // And as much all at once.
  thread.offer(10, 110);
  thread.offer(0.5, 4_000);
  thread.drain();
  assert(thread.sent.every(({ served }) => served));
});

Deno.test("an overloaded vnode has its commands refused, and the other vnodes of its thread serve theirs", async () => {
  const thread = new LoadedThread(2, 5_000);
  await thread.start();
  // Three in four are for one of them.
  const skewed = (number: number) => number % 4 > 0 ? 0 : number / 4 % VNODES;
  thread.offer(4, 3_000, skewed);
  const from = thread.sent.length;
  thread.offer(2, 5_000, skewed);
  thread.drain();
  const others = thread.sent.slice(from).filter(({ vnode }) => vnode > 0);
  const served = others.filter(({ served }) => served).length;
  assertEquals(served, others.length);
  const waits = others.map(({ sentMs, answeredMs }) => answeredMs! - sentMs)
    .toSorted((a, b) => a - b);
  assert(at(waits, 0.99) < 500, `${at(waits, 0.99)}`);
});
