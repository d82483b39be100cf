/**
 * Tests of vector clocks against what riak_core's `vclock.erl` answered
 * (tests/golden/vclock.json).
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import {
  clockDescends,
  clockDominates,
  clocksConcurrent,
  clocksEqual,
  counterOf,
  descendsDot,
  dotOf,
  emptyClock,
  incrementClock,
  isDot,
  lastModified,
  mergeClocks,
  nodesOf,
  pruneClock,
  pureDot,
  type TimedDot,
  timestampOf,
  type VectorClock,
} from "./vector_clock.ts";
import golden from "../../tests/golden/vclock.json" with { type: "json" };

type Recorded = { node: string; counter: number; ts: number };
const dot = ({ node, counter, ts }: Recorded): TimedDot => ({
  node,
  counter,
  timestamp: ts,
});
const clock = (recorded: Recorded[]): VectorClock => recorded.map(dot);
const clocks = new Map(
  golden.clocks.map(({ name, clock: recorded }) => [name, clock(recorded)]),
);
const named = (name: string): VectorClock => clocks.get(name)!;

Deno.test("clocks compare and merge as in riak_core, for every pair", () => {
  assertEquals(golden.pairs.length, clocks.size ** 2);
  for (const pair of golden.pairs) {
    const a = named(pair.a);
    const b = named(pair.b);
    assertEquals(
      {
        descends: clockDescends(a, b),
        dominates: clockDominates(a, b),
        equal: clocksEqual(a, b),
        concurrent: clocksConcurrent(a, b),
        merge: mergeClocks([a, b]),
      },
      {
        descends: pair.descends,
        dominates: pair.dominates,
        equal: pair.equal,
        concurrent: pair.concurrent,
        merge: clock(pair.merge),
      },
      `${pair.a} and ${pair.b}`,
    );
  }
});

Deno.test("mergeClocks() merges three as riak_core does, and one or none into itself", () => {
  for (const { clocks: names, merge } of golden.merge3) {
    assertEquals(mergeClocks(names.map(named)), clock(merge));
  }
  assertEquals(mergeClocks([]), emptyClock);
  assertEquals(mergeClocks([named("dcba")]), named("dcba"));
});

Deno.test("incrementClock() counts on and puts the dot at the head, as riak_core does", () => {
  for (const recorded of golden.increments) {
    const before = named(recorded.clock);
    assertEquals(counterOf(before, recorded.node), recorded.counterBefore);
    assertEquals(
      timestampOf(before, recorded.node) ?? null,
      recorded.tsBefore,
    );
    assertEquals(
      incrementClock(before, recorded.node, recorded.ts),
      clock(recorded.result),
    );
  }
});

Deno.test("descendsDot(), pureDot(), dotOf() and isDot() answer as riak_core does", () => {
  for (const recorded of golden.dots) {
    const asked = dot(recorded.dot);
    assertEquals(
      descendsDot(named(recorded.clock), asked),
      recorded.descendsDot,
    );
    assertEquals(pureDot(asked), recorded.pureDot);
    assertEquals(isDot(asked), recorded.valid);
    assertEquals(dotOf(named(recorded.dotOf), asked.node), asked);
  }
  for (
    const value of [
      undefined,
      null,
      "a1",
      [],
      { node: "a", counter: 1 },
      { node: "a", counter: 1.5, timestamp: 0 },
      { node: 1, counter: 1, timestamp: 0 },
    ]
  ) assertEquals(isDot(value), false);
});

Deno.test("nodesOf() lists nodes in the clock's order", () => {
  for (const { name, allNodes } of golden.clocks) {
    assertEquals(nodesOf(named(name)), allNodes);
  }
});

Deno.test("pruneClock() cuts the dots riak_core cuts", () => {
  for (const { clock: recorded, now, result, ...options } of golden.prune) {
    assertEquals(pruneClock(clock(recorded), now, options), clock(result));
  }
  // Which dot goes must not depend on the order a replica holds them in.
  const both = [
    { node: "b", counter: 1, timestamp: 0 },
    { node: "a", counter: 1, timestamp: 0 },
  ];
  const options = { small: 1, big: 1, young: 1, old: 1 };
  assertEquals(
    pruneClock(both, 100, options),
    pruneClock(both.toReversed(), 100, options),
  );
});

Deno.test("lastModified() is the latest timestamp, if there is any", () => {
  assertEquals(lastModified(named("dcba_inc_b")), 50);
  assertEquals(lastModified(emptyClock), undefined);
});
