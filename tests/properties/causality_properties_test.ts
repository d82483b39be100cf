/**
 * Laws of vector clocks, dotted version vector sets and hybrid clocks, on
 * histories that could have happened: a few replicas that write, read and merge
 * in any order. The model of a version is the plain set of events it contains.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  dvvContext,
  dvvEqual,
  dvvLess,
  type DvvSet,
  dvvSet,
  dvvSize,
  dvvValues,
  syncDvv,
  updateDvv,
} from "../../src/causality/dvv_set.ts";
import {
  compareHybridTimes,
  hybridStart,
  type HybridTime,
  receiveHybrid,
  tickHybrid,
} from "../../src/causality/hybrid_logical_clock.ts";
import {
  clockDescends,
  clockDominates,
  clocksConcurrent,
  clocksEqual,
  emptyClock,
  incrementClock,
  mergeClocks,
  type VectorClock,
} from "../../src/causality/vector_clock.ts";

const REPLICAS = ["a", "b", "c"] as const;
const replica = fc.nat({ max: REPLICAS.length - 1 });

/** A step of a history: a change at `at`, or `at` takes in what `from` has. */
const steps = fc.array(
  fc.record({ merge: fc.boolean(), at: replica, from: replica }),
  { maxLength: 30 },
);
type Steps = { merge: boolean; at: number; from: number }[];

/** Clocks of three replicas after `history`, each with the events it contains. */
function clocksAfter(
  history: Steps,
): { clock: VectorClock; events: Set<number> }[] {
  const states = REPLICAS.map(() => ({
    clock: emptyClock,
    events: new Set<number>(),
  }));
  history.forEach(({ merge, at, from }, time) => {
    const state = states[at]!;
    if (merge) {
      state.clock = mergeClocks([state.clock, states[from]!.clock]);
      state.events = state.events.union(states[from]!.events);
    } else {
      state.clock = incrementClock(state.clock, REPLICAS[at]!, time);
      state.events = new Set([...state.events, time]);
    }
  });
  return states;
}

Deno.test("vector clocks compare as the sets of events they stand for", () => {
  fc.assert(fc.property(steps, (history) => {
    const states = clocksAfter(history);
    for (const a of states) {
      for (const b of states) {
        const contains = a.events.isSupersetOf(b.events);
        const contained = a.events.isSubsetOf(b.events);
        assertEquals(clockDescends(a.clock, b.clock), contains);
        assertEquals(clockDominates(a.clock, b.clock), contains && !contained);
        assertEquals(
          clocksConcurrent(a.clock, b.clock),
          !contains && !contained,
        );
        assertEquals(clocksEqual(a.clock, b.clock), contains && contained);
      }
    }
  }));
});

Deno.test("mergeClocks() is commutative, associative, idempotent and the least upper bound", () => {
  fc.assert(fc.property(steps, (history) => {
    const [a, b, c] = clocksAfter(history).map(({ clock }) => clock);
    const merged = mergeClocks([a!, b!]);
    assert(clocksEqual(merged, mergeClocks([b!, a!])));
    assert(clocksEqual(mergeClocks([merged, merged]), merged));
    assert(
      clocksEqual(
        mergeClocks([merged, c!]),
        mergeClocks([a!, mergeClocks([b!, c!])]),
      ),
    );
    assert(clockDescends(merged, a!) && clockDescends(merged, b!));
    const above = mergeClocks([a!, b!, c!]);
    assert(clockDescends(above, merged));
  }));
});

/** A step of a store: a write at `at` by a reader of `from`, or a merge. */
const writes = fc.array(
  fc.record({
    merge: fc.boolean(),
    blind: fc.boolean(),
    at: replica,
    from: replica,
  }),
  { maxLength: 30 },
);
type Writes = (Steps[number] & { blind: boolean })[];

/**
 * Replicas of one key after `history`. The model keeps, beside each set, every
 * write the replica knows of and every one it knows to be overwritten.
 */
function replicasAfter(
  history: Writes,
): { set: DvvSet<number>; known: Set<number>; overwritten: Set<number> }[] {
  const states = REPLICAS.map(() => ({
    set: dvvSet<number>([]),
    known: new Set<number>(),
    overwritten: new Set<number>(),
  }));
  history.forEach(({ merge, blind, at, from }, value) => {
    const state = states[at]!;
    const other = states[from]!;
    if (merge) {
      state.set = syncDvv([state.set, other.set]);
      state.known = state.known.union(other.known);
      state.overwritten = state.overwritten.union(other.overwritten);
      return;
    }
    const context = blind ? [] : dvvContext(other.set);
    state.set = updateDvv(dvvSet([value], context), REPLICAS[at]!, state.set);
    if (!blind) {
      state.known = state.known.union(other.known);
      state.overwritten = state.overwritten.union(other.known);
    }
    state.known = new Set([...state.known, value]);
  });
  return states;
}

const ordered = (values: Iterable<number>): number[] =>
  [...values].sort((a, b) => a - b);

Deno.test("a dvv set holds exactly the writes known and not overwritten, whatever the order of writes and merges", () => {
  fc.assert(fc.property(writes, (history) => {
    for (const { set, known, overwritten } of replicasAfter(history)) {
      assertEquals(
        ordered(dvvValues(set)),
        ordered(known.difference(overwritten)),
      );
      assertEquals(set.anonymous, []);
    }
  }));
});

Deno.test("syncDvv() is commutative, associative and idempotent", () => {
  fc.assert(fc.property(writes, (history) => {
    const [a, b, c] = replicasAfter(history).map(({ set }) => set);
    assertEquals(syncDvv([a!, b!]), syncDvv([b!, a!]));
    assertEquals(syncDvv([a!, a!]), a);
    assertEquals(
      syncDvv([syncDvv([a!, b!]), c!]),
      syncDvv([a!, syncDvv([b!, c!])]),
    );
  }));
});

Deno.test("dvvLess() and dvvEqual() agree with the writes that are known", () => {
  fc.assert(fc.property(writes, (history) => {
    const states = replicasAfter(history);
    for (const a of states) {
      for (const b of states) {
        const subset = a.known.isSubsetOf(b.known);
        const superset = a.known.isSupersetOf(b.known);
        assertEquals(dvvLess(a.set, b.set), subset && !superset);
        // Equal histories with different values: one side knows of an overwriting.
        const sameValues = subset && superset &&
          a.overwritten.symmetricDifference(b.overwritten).size === 0;
        if (sameValues) assert(dvvEqual(a.set, b.set));
      }
    }
  }));
});

Deno.test("updateDvv() by a reader of the whole set leaves one value", () => {
  fc.assert(fc.property(writes, replica, (history, at) => {
    const { set } = replicasAfter(history)[at]!;
    const written = updateDvv(
      dvvSet([-1], dvvContext(set)),
      REPLICAS[at]!,
      set,
    );
    assertEquals(dvvValues(written), [-1]);
    assertEquals(dvvSize(written), 1);
    assert(dvvLess(set, written));
  }));
});

Deno.test("hybrid moments grow along every message, whatever the wall clocks say", () => {
  const walls = fc.array(
    fc.record({ at: replica, from: replica, wallMs: fc.nat({ max: 50 }) }),
    { maxLength: 100 },
  );
  fc.assert(fc.property(walls, (history) => {
    const clocks: HybridTime[] = REPLICAS.map(() => hybridStart);
    let greatestWall = 0;
    for (const { at, from, wallMs } of history) {
      greatestWall = Math.max(greatestWall, wallMs);
      const before = clocks[at]!;
      const sent = clocks[from]!;
      const after = at === from
        ? tickHybrid(before, wallMs)
        : receiveHybrid(before, sent, wallMs);
      assert(compareHybridTimes(after, before) > 0);
      assert(at === from || compareHybridTimes(after, sent) > 0);
      // Never ahead of every wall clock there has been.
      assert(after.wallMs <= greatestWall);
      clocks[at] = after;
    }
  }));
});
