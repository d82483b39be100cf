/**
 * Tests of dotted version vector sets against riak_core's `dvvset.erl`
 * (tests/golden/dvvset.json) and the scenarios of the paper.
 *
 * @module
 */
import { assertEquals, assertThrows } from "@std/assert";
import {
  dvvContext,
  dvvEqual,
  dvvIds,
  dvvLess,
  type DvvSet,
  dvvSet,
  dvvSize,
  dvvValues,
  lastOfDvv,
  lastWriteWinsDvv,
  mapDvv,
  reconcileDvv,
  syncDvv,
  updateDvv,
} from "./dvv_set.ts";
import golden from "../../tests/golden/dvvset.json" with { type: "json" };

/** The golden sets made anew, by the names that say how. */
function remade(): Map<string, DvvSet<string>> {
  const a = updateDvv(dvvSet(["v1"]), "a");
  const b = updateDvv(dvvSet(["v2"], dvvContext(a)), "b", a);
  const c = updateDvv(dvvSet(["v3"], dvvContext(a)), "a", b);
  const d = updateDvv(dvvSet(["v4"]), "c", c);
  const s = syncDvv([a, b, c, d]);
  const r = updateDvv(dvvSet(["v5"], dvvContext(s)), "b", s);
  return new Map([
    ["A=update(new(v1),a)", a],
    ["B=update(new(join(A),v2),A,b)", b],
    ["C=update(new(join(A),v3),B,a)", c],
    ["D=update(new([],v4),C,c)", d],
    ["S=sync([A,B,C,D])", s],
    ["R=update(new(join(S),v5),S,b)", r],
    ["Anon=new(vx)", dvvSet(["vx"])],
  ]);
}

Deno.test("dvvSet(), updateDvv() and syncDvv() make the sets riak_core makes", () => {
  const sets = remade();
  assertEquals(golden.sets.map(({ name }) => name), [...sets.keys()]);
  for (const { name, dvv, join, ids, values, size } of golden.sets) {
    const set = sets.get(name)!;
    assertEquals<unknown>(set, dvv, name);
    assertEquals<unknown>(dvvContext(set), join, name);
    assertEquals(dvvIds(set), ids, name);
    assertEquals(dvvValues(set), values, name);
    assertEquals(dvvSize(set), size, name);
  }
});

Deno.test("dvvLess(), dvvEqual() and syncDvv() answer as riak_core for every pair", () => {
  const sets = remade();
  assertEquals(golden.pairs.length, sets.size ** 2);
  for (const pair of golden.pairs) {
    const a = sets.get(pair.a)!;
    const b = sets.get(pair.b)!;
    assertEquals<unknown>(
      { less: dvvLess(a, b), equal: dvvEqual(a, b), sync: syncDvv([a, b]) },
      { less: pair.less, equal: pair.equal, sync: pair.sync },
      `${pair.a} and ${pair.b}`,
    );
  }
});

Deno.test("updateDvv() keeps what the writer had not seen and drops what it had", () => {
  const mary = updateDvv(dvvSet(["v1"]), "a");
  const peterSaw = dvvContext(mary);
  const maryAgain = updateDvv(dvvSet(["v2"]), "a", mary);
  assertEquals(dvvValues(maryAgain), ["v2", "v1"]);
  const peter = updateDvv(dvvSet(["v3"], peterSaw), "a", maryAgain);
  assertEquals(peter, {
    entries: [{ id: "a", counter: 3, values: ["v3", "v2"] }],
    anonymous: [],
  });
});

Deno.test("updateDvv() refuses anything but one new value", () => {
  assertThrows(() => updateDvv(dvvSet([]), "a"), RangeError, "count is 0");
  assertThrows(() => updateDvv(dvvSet([1, 2]), "a"), RangeError, "count is 2");
});

Deno.test("syncDvv() drops a value that the other side has as history, both ways round", () => {
  const gone: DvvSet<string> = {
    entries: [{ id: "a", counter: 1, values: [] }],
    anonymous: [],
  };
  const siblings: DvvSet<string> = {
    entries: [{ id: "a", counter: 2, values: ["v2", "v1"] }],
    anonymous: [],
  };
  const expected: DvvSet<string> = {
    entries: [{ id: "a", counter: 2, values: ["v2"] }],
    anonymous: [],
  };
  assertEquals(syncDvv([gone, siblings]), expected);
  assertEquals(syncDvv([siblings, gone]), expected);
  assertEquals(syncDvv([]), { entries: [], anonymous: [] });
});

Deno.test("syncDvv() keeps one of anonymous values that are the same", () => {
  const a = dvvSet([{ key: 1 }]);
  const b = dvvSet([{ key: 1 }, { key: 2 }]);
  assertEquals(syncDvv([a, b]).anonymous.length, 3);
  assertEquals(
    syncDvv([a, b], (x, y) => x.key === y.key).anonymous,
    [{ key: 1 }, { key: 2 }],
  );
});

const mixed: DvvSet<number> = {
  entries: [
    { id: "a", counter: 4, values: [5, 2] },
    { id: "b", counter: 1, values: [] },
    { id: "c", counter: 1, values: [3] },
  ],
  anonymous: [10, 0],
};

Deno.test("lastWriteWinsDvv() keeps the newest value at its own dot", () => {
  const noLarger = (a: number, b: number): boolean => a <= b;
  const dotted = { ...mixed, anonymous: [] };
  assertEquals(lastOfDvv(dotted, noLarger), 5);
  assertEquals(lastWriteWinsDvv(dotted, noLarger), {
    entries: [
      { id: "a", counter: 4, values: [5] },
      { id: "b", counter: 1, values: [] },
      { id: "c", counter: 1, values: [] },
    ],
    anonymous: [],
  });
  assertEquals(lastOfDvv(mixed, noLarger), 10);
  assertEquals(
    lastWriteWinsDvv(mixed, noLarger),
    dvvSet([10], dvvContext(mixed)),
  );
  assertThrows(() => lastOfDvv(dvvSet<number>([]), noLarger), RangeError);
});

Deno.test("reconcileDvv() and mapDvv() leave the history as it is", () => {
  const sum = (values: number[]): number =>
    values.reduce((total, value) => total + value, 0);
  const reconciled = reconcileDvv(mixed, sum);
  assertEquals(reconciled, dvvSet([20], dvvContext(mixed)));
  const doubled = mapDvv(mixed, (value) => `${value * 2}`);
  assertEquals(dvvValues(doubled), ["20", "0", "10", "4", "6"]);
  assertEquals(dvvEqual<unknown>(doubled, mixed), true);
});
