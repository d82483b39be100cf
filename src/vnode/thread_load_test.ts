import { assertEquals } from "@std/assert";
import { ThreadLoad } from "./thread_load.ts";

/** A thread to which commands come and that handles some, each at its time. */
class Thread {
  readonly load = new ThreadLoad();
  nowMs = 10_000;
  #waiting = 0;

  /** For `forMs` so many come each time before one is handled, every `eachMs`. */
  run(forMs: number, eachMs: number, come: number): void {
    const untilMs = this.nowMs + forMs;
    while (this.nowMs < untilMs) {
      for (let i = 0; i < come; i++) this.load.came();
      this.#wait(come);
      this.nowMs += eachMs;
      if (this.#waiting === 0) continue;
      this.#wait(-1);
      this.load.handled(this.nowMs);
    }
  }

  /** Nothing waits any more. */
  drop(): void {
    this.#wait(-this.#waiting);
  }

  #wait(more: number): void {
    this.#waiting += more;
    this.load.waits(more);
  }

  isSwamped(): boolean {
    return this.load.isSwamped(2_000);
  }
}

Deno.test("ThreadLoad is swamped after half a second in which far more arrives than is handled, and much waits", () => {
  const thread = new Thread();
  thread.run(500, 10, 1);
  thread.run(240, 10, 10);
  assertEquals(thread.isSwamped(), false);
  thread.run(270, 10, 10);
  assertEquals(thread.isSwamped(), true);
  // 459 wait, ten milliseconds each.
  assertEquals(thread.load.isSwamped(4_580), true);
  assertEquals(thread.load.isSwamped(4_600), false);
});

Deno.test("ThreadLoad is not swamped by a burst, nor by the arrivals after it", () => {
  const thread = new Thread();
  thread.run(500, 10, 1);
  thread.run(10, 10, 400);
  thread.run(3_000, 10, 0);
  assertEquals(thread.isSwamped(), false);
  thread.run(10, 10, 400);
  thread.run(3_000, 10, 1);
  assertEquals(thread.isSwamped(), false);
});

Deno.test("ThreadLoad is not swamped by a burst long after a load has ended", () => {
  const thread = new Thread();
  thread.run(3_000, 10, 2);
  assertEquals(thread.isSwamped(), true);
  // What waits is dropped at its deadline, before another span is over.
  thread.drop();
  thread.nowMs += 60_000;
  thread.run(10, 10, 400);
  assertEquals(thread.isSwamped(), false);
});

Deno.test("ThreadLoad is not swamped while little waits, nor once arrivals no longer exceed what is handled", () => {
  const thread = new Thread();
  // 900 ms of work wait after so long.
  thread.run(900, 10, 2);
  assertEquals(thread.isSwamped(), false);
  thread.run(2_100, 10, 2);
  assertEquals(thread.isSwamped(), true);
  thread.run(510, 10, 1);
  assertEquals(thread.isSwamped(), false);
});

Deno.test("ThreadLoad does not judge a thread that handles very few commands", () => {
  const thread = new Thread();
  thread.run(10_000, 400, 10);
  assertEquals(thread.isSwamped(), false);
});

Deno.test("ThreadLoad is not swamped when a thread was paused and then handles what arrived meanwhile", () => {
  const thread = new Thread();
  thread.run(500, 2, 0);
  // Ninety came meanwhile, and ten come in each of the next tenths of a second.
  thread.nowMs += 900;
  thread.run(2, 2, 90);
  thread.run(178, 2, 0);
  for (let i = 0; i < 20; i++) {
    thread.run(2, 2, 10);
    assertEquals(thread.load.isSwamped(0), false);
    thread.run(98, 2, 0);
  }
});

Deno.test("ThreadLoad counts commands that need not wait", () => {
  const load = new ThreadLoad();
  let nowMs = 10_000;
  // Two thirds of what comes are handled at once.
  for (let i = 0; i < 1_000; i++) {
    for (let come = 0; come < 4; come++) load.came();
    load.waits(1);
    for (let at = 0; at < 2; at++) load.handledAtOnce();
    load.handled(nowMs += 2);
  }
  assertEquals(load.isSwamped(0), false);
});
