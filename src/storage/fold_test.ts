import { assert, assertEquals } from "@std/assert";
import { Fold } from "./fold.ts";
import type { PendingWrite } from "./pending_batch.ts";
import { UnfoldedWrites } from "./unfolded_writes.ts";

const slab = new Uint8Array(100);
const everything = { rows: 100, bytes: 10_000, keyBytes: 10_000 };

function writeOf(
  keyText: string,
  batch: number,
  partition = 0,
  hides = false,
): PendingWrite {
  return {
    partition,
    keyText,
    slab,
    keyAt: 0,
    recordAt: 10,
    end: 40,
    row: null,
    batch,
    hides,
    superseded: false,
  };
}

function tableOf(...writes: PendingWrite[]): UnfoldedWrites {
  const table = new UnfoldedWrites();
  for (const write of writes) table.set(write);
  return table;
}

const keysOf = (part: PendingWrite[]) =>
  part.map(({ partition, keyText }) => `${partition}${keyText}`);

Deno.test("Fold.next() returns partitions and keys in order, as many as fit at a time", () => {
  const fold = new Fold(
    tableOf(
      writeOf("c", 1, 2),
      writeOf("b", 1, 1),
      writeOf("a", 2, 2),
      writeOf("a", 3, 1),
    ),
    2,
  );
  assertEquals(fold.left, 3);
  assertEquals(keysOf(fold.next({ ...everything, rows: 2 })), ["1b", "2a"]);
  assert(!fold.isOver(3));
  // A row takes 28 bytes of keys, and 58 in all.
  assertEquals(fold.next({ ...everything, keyBytes: 27 }), []);
  assertEquals(fold.next({ ...everything, bytes: 57 }), []);
  assertEquals(
    keysOf(fold.next({ rows: 9, bytes: 58, keyBytes: 28 })),
    ["2c"],
  );
  assert(fold.isOver(2));
  assertEquals(fold.next(everything), []);
});

Deno.test("Fold skips rows that were overwritten, and ends once the writes that replaced them are committed", () => {
  const table = tableOf(writeOf("a", 1), writeOf("b", 1), writeOf("c", 1));
  const fold = new Fold(table, 1);
  table.set(writeOf("b", 4, 0, true));
  table.delete(0, "c");
  assertEquals(keysOf(fold.next(everything)), ["0a"]);
  assert(fold.waits);
  assert(!fold.isOver(3));
  assert(fold.isOver(4));
});

Deno.test("Fold ends with a newer batch that hid one of its writes from the start", () => {
  const hiding = new Fold(tableOf(writeOf("a", 5, 0, true)), 1);
  assertEquals(hiding.next(everything), []);
  assert(!hiding.isOver(4) && hiding.isOver(5));
  const fresh = new Fold(tableOf(writeOf("a", 5)), 1);
  assert(fresh.isOver(1));
});

Deno.test("UnfoldedWrites.range() keeps the order of keys while they come and go", () => {
  const table = tableOf(writeOf("d", 1), writeOf("b", 1), writeOf("x", 1, 9));
  const range = (start: string, end: string, limit = 9, reverse = false) =>
    table.range(0, start, end, limit, reverse).map((write) => write.keyText);
  assertEquals(range("", "z"), ["b", "d"]);
  table.set(writeOf("c", 2));
  table.set(writeOf("a", 2));
  table.delete(0, "d");
  assertEquals(range("", "z"), ["a", "b", "c"]);
  assertEquals(range("b", "c"), ["b"]);
  assertEquals(range("", "z", 2, true), ["c", "b"]);
  table.set(writeOf("d", 3));
  assertEquals(range("", "z", 2), ["a", "b"]);
  assertEquals(range("c", "z", 9, true), ["d", "c"]);
  assertEquals(table.size, 5);
  assertEquals([...table.partitions()], [0, 9]);
  table.delete(9, "x");
  table.delete(9, "x");
  assertEquals([...table.partitions()], [0]);
  assertEquals(table.size, 4);
});
