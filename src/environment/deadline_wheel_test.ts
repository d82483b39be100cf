import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { seededChance } from "../base/chance.ts";
import type { Runtime } from "../../supervisors/runtime.ts";
import {
  type Deadline,
  DeadlineWheel,
  WHEEL_TICK_MS,
} from "./deadline_wheel.ts";

class ManualTime implements Runtime {
  time = 0;
  pending: { at: number; callback: () => void } | undefined;
  now = (): number => this.time;
  random = (): number => 0;
  defer = (): void => {};
  setTimer = (afterMs: number, callback: () => void): unknown => {
    assertEquals(this.pending, undefined, "the wheel uses one timer");
    this.pending = { at: this.time + afterMs, callback };
    return this.pending;
  };
  clearTimer = (timer: unknown): void => {
    if (this.pending === timer) this.pending = undefined;
  };
  /** Moves on to `until`, firing the timer whenever it is due. */
  run(until: number): void {
    while (this.pending !== undefined && this.pending.at <= until) {
      const { at, callback } = this.pending;
      this.pending = undefined;
      this.time = at;
      callback();
    }
    this.time = until;
  }
}

class Probe implements Deadline {
  wheelNext: Deadline | undefined = undefined;
  wheelPrevious: Deadline | undefined = undefined;
  wheelTick = 0;
  firedAt: number[] = [];
  #time: ManualTime;
  constructor(time: ManualTime) {
    this.#time = time;
  }
  deadlinePassed(): void {
    this.firedAt.push(this.#time.time);
  }
}

Deno.test("DeadlineWheel fires once, never early and at most two ticks late", () => {
  fc.assert(fc.property(
    fc.array(
      fc.record({
        after: fc.integer({ min: 0, max: 20_000 }),
        wait: fc.integer({ min: 0, max: 50 }),
      }),
      { minLength: 1, maxLength: 50 },
    ),
    (entries) => {
      const time = new ManualTime();
      const wheel = new DeadlineWheel(time);
      const probes = entries.map(({ after, wait }) => {
        time.run(time.time + wait);
        const probe = new Probe(time);
        const due = time.time + after;
        wheel.set(probe, after);
        return { probe, due };
      });
      time.run(time.time + 25_000);
      for (const { probe, due } of probes) {
        assertEquals(probe.firedAt.length, 1);
        const late = (probe.firedAt[0] as number) - due;
        assertEquals(late >= 0 && late <= 2 * WHEEL_TICK_MS, true, `${late}`);
      }
      assertEquals(wheel.size, 0);
      assertEquals(time.pending, undefined);
    },
  ));
});

Deno.test("DeadlineWheel.clear() forgets an entry and leaves no timer behind", () => {
  const time = new ManualTime();
  const wheel = new DeadlineWheel(time);
  const probe = new Probe(time);
  wheel.set(probe, 30);
  wheel.clear(probe);
  wheel.clear(probe);
  time.run(1000);
  assertEquals(probe.firedAt, []);
  assertEquals(time.pending, undefined);
});

Deno.test("DeadlineWheel.set() replaces the deadline an entry had", () => {
  const time = new ManualTime();
  const wheel = new DeadlineWheel(time);
  const probe = new Probe(time);
  wheel.set(probe, 30);
  wheel.set(probe, 6000);
  assertEquals(wheel.size, 1);
  time.run(5990);
  assertEquals(probe.firedAt, []);
  time.run(6100);
  assertEquals(probe.firedAt.length, 1);
});

Deno.test("DeadlineWheel fires everything that is due after a pause longer than its circle", () => {
  const time = new ManualTime();
  const wheel = new DeadlineWheel(time);
  const probes = [10, 400, 5000, 9000].map((after) => {
    const probe = new Probe(time);
    wheel.set(probe, after);
    return probe;
  });
  time.time = 60_000;
  time.run(60_020);
  assertEquals(probes.map((probe) => probe.firedAt.length), [1, 1, 1, 1]);
});

Deno.test("DeadlineWheel lets an entry set itself again while it fires", () => {
  const time = new ManualTime();
  const wheel = new DeadlineWheel(time);
  let fired = 0;
  const again: Deadline = {
    wheelNext: undefined,
    wheelPrevious: undefined,
    wheelTick: 0,
    deadlinePassed(): void {
      if (++fired < 3) wheel.set(again, 50);
    },
  };
  wheel.set(again, 50);
  time.run(1000);
  assertEquals(fired, 3);
});

Deno.test("DeadlineWheel sleeps until there is something to fire", () => {
  const time = new ManualTime();
  const wheel = new DeadlineWheel(time);
  const late = new Probe(time);
  const early = new Probe(time);
  wheel.set(late, 4_000);
  assertEquals(time.pending?.at, 4_000);
  wheel.set(early, 500);
  assertEquals(time.pending?.at, 500);
  time.run(600);
  assertEquals(early.firedAt, [500]);
  assertEquals(time.pending?.at, 4_000);
  time.run(5_000);
  assertEquals([late.firedAt, time.pending], [[4_000], undefined]);
});

Deno.test("DeadlineWheel gets on where the clock has fractions that no sum of waits meets", () => {
  const time = new ManualTime();
  let turns = 0;
  const setTimer = time.setTimer;
  time.setTimer = (afterMs, callback) => {
    assertEquals(++turns < 1_000, true, `it waits for ${afterMs} ms again`);
    return setTimer(afterMs, callback);
  };
  const chance = seededChance("fractions");
  for (let i = 0; i < 10_000; i++) {
    // Divided, as chance alone draws numbers of so few bits that sums are exact.
    time.time = chance.next() * 60 / 3.7;
    const wheel = new DeadlineWheel(time);
    turns = 0;
    time.time += chance.next() * 30_000 / 3.3;
    const probe = new Probe(time);
    wheel.set(probe, chance.next() * 10_000 / 3.1);
    time.run(time.time + 6_000);
    assertEquals(probe.firedAt.length, 1);
    wheel.close();
  }
});
