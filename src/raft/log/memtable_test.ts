import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { Memtable } from "./memtable.ts";

const slab = new Uint8Array(256).map((_, i) => i);

function push(table: Memtable, index: number, term = 1): void {
  table.push(index, term, slab, index % 200, 3, index);
}

function indexesIn(table: Memtable, last = 30): number[] {
  return Array.from({ length: last }, (_, i) => i + 1)
    .filter((index) => table.has(index));
}

Deno.test("Memtable finds entries by index, including those it holds no object of", () => {
  const table = new Memtable();
  const body = slab.subarray(5, 8);
  const entry = { index: 7, term: 2, body };
  table.push(7, 2, slab, 5, 3, 99, entry);
  push(table, 8);
  assert(table.entry(7) === entry);
  assertEquals(table.entry(8), {
    index: 8,
    term: 1,
    body: slab.subarray(8, 11),
  });
  assertEquals(table.entry(6), undefined);
  assertEquals([table.first, table.last, table.count, table.bytes], [
    7,
    8,
    2,
    6,
  ]);
  const place = { term: 0, slab, offset: 0, length: 0, crc: 0 };
  assert(table.placeOf(7, place));
  assertEquals(place, { term: 2, slab, offset: 5, length: 3, crc: 99 });
  assert(!table.placeOf(9, place));
});

Deno.test("Memtable keeps the objects of the newest entries only", () => {
  const table = new Memtable();
  const entries = Array.from(
    { length: 3_000 },
    (_, i) => ({ index: i + 1, term: 1, body: slab.subarray(0, 3) }),
  );
  for (const entry of entries) {
    table.push(entry.index, 1, slab, 0, 3, 0, entry);
  }
  assert(table.entry(3_000) === entries[2_999]);
  assert(table.entry(1) !== entries[0]);
  assertEquals(table.entry(1), entries[0]);
});

Deno.test("Memtable.letGoOfObjects() keeps the entries", () => {
  const table = new Memtable();
  const entries = Array.from(
    { length: 10 },
    (_, i) => ({ index: i + 1, term: 1, body: slab.subarray(i, i + 3) }),
  );
  const pushAll = (from: number) => {
    for (const entry of entries.slice(from - 1)) {
      table.push(entry.index, 1, slab, entry.index - 1, 3, 0, entry);
    }
  };
  const objects = () =>
    entries.filter((entry) => table.entry(entry.index) === entry)
      .map(({ index }) => index);
  pushAll(1);
  table.letGoOfObjects(4);
  assertEquals(objects(), [5, 6, 7, 8, 9, 10]);
  table.dropTo(2);
  table.letGoOfObjects(6);
  assertEquals(objects(), [7, 8, 9, 10]);
  assertEquals(table.entry(6), entries[5]);
  table.cutFrom(6);
  pushAll(6);
  assertEquals(objects(), [6, 7, 8, 9, 10]);
  table.letGoOfObjects(100);
  assertEquals(objects(), []);
});

Deno.test("Memtable.keepLive() leaves holes, and none at the front", () => {
  const table = new Memtable();
  for (let index = 1; index <= 10; index++) push(table, index);
  table.keepLive(1, 7, (index) => index === 4 || index === 6);
  assertEquals(indexesIn(table), [4, 6, 8, 9, 10]);
  assertEquals([table.first, table.count, table.lengthAt(5)], [4, 5, -1]);
  table.keepLive(1, 10, () => false);
  assertEquals([table.count, table.bytes], [0, 0]);
  push(table, 40);
  assertEquals([table.first, table.last], [40, 40]);
});

const change = fc.oneof(
  fc.record({ type: fc.constant("push"), gap: fc.nat({ max: 2 }) }),
  fc.record({ type: fc.constant("cut"), back: fc.nat({ max: 6 }) }),
  fc.record({ type: fc.constant("drop"), count: fc.nat({ max: 6 }) }),
  fc.record({ type: fc.constant("keep"), to: fc.nat({ max: 20 }) }),
);

Deno.test("Memtable behaves like a map", () =>
  fc.assert(
    fc.property(fc.array(change, { maxLength: 200 }), (changes) => {
      const table = new Memtable();
      const map = new Map<number, number>();
      let last = 0;
      let bytes = 0;
      for (const [term, each] of changes.entries()) {
        if ("gap" in each) {
          last += 1 + (map.size > 0 ? each.gap : 0);
          table.push(last, term, slab, last % 200, 3, 0);
          map.set(last, term);
        } else if ("back" in each) {
          const from = last - each.back;
          table.cutFrom(from);
          for (const index of [...map.keys()]) {
            if (index >= from) map.delete(index);
          }
          last = Math.max(table.last, ...map.keys());
        } else if ("count" in each) {
          const to = table.first + each.count;
          table.dropTo(Math.min(to, last));
          for (const index of [...map.keys()]) {
            if (index <= Math.min(to, last)) map.delete(index);
          }
        } else {
          const to = table.first + each.to;
          table.keepLive(0, to, (index) => index % 3 === 0);
          for (const index of [...map.keys()]) {
            if (index <= to && index % 3 > 0) map.delete(index);
          }
        }
        bytes = 3 * map.size;
        assertEquals([table.count, table.bytes], [map.size, bytes]);
        for (let index = Math.max(0, last - 30); index <= last + 2; index++) {
          assertEquals(table.termAt(index), map.get(index));
        }
      }
    }),
    { numRuns: 100 },
  ));
