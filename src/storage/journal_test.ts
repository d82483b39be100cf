import { assert, assertEquals, assertThrows } from "@std/assert";
import { journalLimits } from "./deno_kv_limits.ts";
import { Journal } from "./journal.ts";
import type { JournalPart } from "./journal_buffer.ts";

const limits = {
  ...journalLimits,
  generationBytesMax: 1_000,
  generationEntriesMax: 100,
  generationRecordsMax: 10,
  foldRowsMin: 3,
  foldRowsMax: 50,
};

const partOf = (bytes: number, entries = 1): JournalPart => ({
  slab: new Uint8Array(),
  start: 40,
  end: 40 + bytes,
  entries,
});

const empty = { generation: 7, folding: 0, records: 0 };

Deno.test("Journal writes the next generation while one is folded, and then drops the folded one", () => {
  const journal = new Journal(empty, limits);
  assert(journal.isEmpty);
  assertEquals(journal.nextPlace, { generation: 7, index: 0 });
  journal.append([partOf(100), partOf(50)]);
  assertEquals(journal.nextPlace, { generation: 7, index: 2 });
  journal.beginFold();
  assertEquals(journal.extent, { generation: 7, folding: 2, records: 0 });
  journal.append([partOf(10)]);
  assertEquals(journal.nextPlace, { generation: 8, index: 1 });
  assertEquals(journal.bytes, 160);
  assertThrows(() => journal.beginFold(), Error, "one generation is folded");
  journal.endFold();
  assertEquals(journal.extent, { generation: 8, folding: 0, records: 1 });
  assertEquals(journal.bytes, 10);
  assert(!journal.isEmpty && !journal.isFolding);
});

Deno.test("Journal.hasRoomFor() enforces each of the three bounds, but an empty generation accepts any size", () => {
  const journal = new Journal(empty, limits);
  assert(journal.hasRoomFor([partOf(5_000, 500)]));
  journal.append([partOf(600, 10)]);
  assert(journal.hasRoomFor([partOf(400)]));
  assert(!journal.hasRoomFor([partOf(401)]));
  assert(journal.hasRoomFor(new Array(9).fill(partOf(1))));
  assert(!journal.hasRoomFor(new Array(10).fill(partOf(1))));
  journal.append([partOf(1, 90)]);
  assert(!journal.hasRoomFor([partOf(1)]));
});

Deno.test("Journal.rowsInPassing() ends a fold before the next generation is half full", () => {
  for (const left of [10, 400, 2_000]) {
    for (const bytes of [10, 50, 90]) {
      const journal = new Journal(empty, { ...limits, foldRowsMax: 5_000 });
      journal.append([partOf(1_000)]);
      journal.beginFold();
      let rest = left;
      let written = 0;
      while (rest > 0) {
        rest -= journal.rowsInPassing([partOf(bytes)], rest);
        journal.note(0, bytes, 1);
        written += bytes;
      }
      assert(written <= 500 + bytes, `${left} rows took ${written} bytes`);
    }
  }
});

Deno.test("Journal.rowsInPassing() stays within the bounds of a commit", () => {
  const journal = new Journal(empty, limits);
  assertEquals(journal.rowsInPassing([partOf(1)], 100_000), 50);
  assertEquals(journal.rowsInPassing([partOf(1)], 5), 3);
  journal.note(0, 900, 0);
  assertEquals(journal.rowsInPassing([partOf(1)], 40), 40);
});
