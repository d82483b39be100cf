/**
 * A Deno KV store behaves like one in memory whatever the size of its journal:
 * the same calls go to both, with journals so small that folds begin, go on and
 * end between and during them, and with reopenings that leave the journal or
 * fold it.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import type {
  PartitionStore,
  ScanRange,
  Store,
} from "../../src/environment/storage.ts";
import { openDenoKvStore } from "../../src/storage/deno_kv_store.ts";
import { openMemoryStore } from "../../src/storage/memory_store.ts";
import { putAll } from "../../src/storage/testing/store_calls.ts";
import { systemStorage } from "../../src/storage/testing/system_storage.ts";

function valueOf(length: number, seed: number): Uint8Array {
  return new Uint8Array(length).map((_, i) => i + seed * 7);
}

async function scanned(
  partition: PartitionStore,
  range: ScanRange,
): Promise<[string, number, number | undefined][]> {
  const found: [string, number, number | undefined][] = [];
  for await (const { key, value } of partition.scan(range)) {
    found.push([key.toHex(), value.length, value[0]]);
  }
  return found;
}

const anyKey = fc.array(fc.constantFrom(0, 1, 2, 3, 255), { maxLength: 2 })
  .map((bytes) => new Uint8Array(bytes));
const anyPartition = fc.constantFrom(1, 2, 300);
const anyRange = fc.record({
  start: anyKey,
  end: anyKey,
  reverse: fc.boolean(),
  limit: fc.nat(12),
}, { requiredKeys: [] });
const anyLength = fc.option(
  fc.constantFrom(0, 1, 30, 30, 200, 200, 8_192, 8_193, 60_001),
  { freq: 3 },
);
const anyCall = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      call: fc.constant("write" as const),
      partition: anyPartition,
      waits: fc.boolean(),
      inBulk: fc.boolean(),
      writes: fc.array(fc.tuple(anyKey, anyLength), { maxLength: 5 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      call: fc.constant("read" as const),
      partition: anyPartition,
      key: anyKey,
      range: anyRange,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      call: fc.constant("deleteRange" as const),
      partition: anyPartition,
      range: anyRange,
      known: fc.array(anyKey, { maxLength: 5 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ call: fc.constant("look" as const) }) },
  { weight: 1, arbitrary: fc.record({ call: fc.constant("reopen" as const) }) },
);
const anyJournal = fc.record({
  generationBytesMax: fc.constantFrom(200, 2_000, 100_000),
  generationEntriesMax: fc.integer({ min: 1, max: 40 }),
  generationRecordsMax: fc.integer({ min: 1, max: 8 }),
  foldRowsMin: fc.integer({ min: 1, max: 4 }),
  foldRowsMax: fc.integer({ min: 4, max: 12 }),
  idleMs: fc.constantFrom(1, 60_000),
  closeEntriesMax: fc.constantFrom(0, 3, 1_000),
});

Deno.test("DenoKvStore answers like MemoryStore whenever its journal is folded", () =>
  fc.assert(
    fc.asyncProperty(
      anyJournal,
      fc.array(anyCall, { minLength: 5, maxLength: 50 }),
      async (journal, calls) => {
        const folder = await Deno.makeTempDir({ prefix: "whorl-fold-" });
        const config = {
          type: "deno_kv",
          path: `${folder}/store`,
          cacheBytesMax: 2_000,
        } as const;
        const model = openMemoryStore("00112233aabbccdd");
        let store: Store = await openDenoKvStore(config, systemStorage, {
          journal,
        });
        try {
          const pending: Promise<void>[] = [];
          let seed = 0;
          for (const call of calls) {
            if (call.call === "write") {
              const writes = call.writes.map(([key, length]) => ({
                key,
                value: length === null ? null : valueOf(length, ++seed),
              }));
              model.partition(call.partition).write(writes, () => {});
              const done = putAll(
                store.partition(call.partition),
                writes,
                call.inBulk,
              );
              if (call.waits) await done;
              else pending.push(done);
            } else if (call.call === "read") {
              const [ours, theirs] = [store, model].map((one) =>
                one.partition(call.partition)
              ) as [PartitionStore, PartitionStore];
              assertEquals(
                await ours.get(call.key),
                await theirs.get(call.key),
              );
              assertEquals(
                await scanned(ours, call.range),
                await scanned(theirs, call.range),
              );
            } else if (call.call === "deleteRange") {
              const { start, end } = call.range;
              await model.partition(call.partition).deleteRange(start, end);
              const whole = start === undefined && end === undefined;
              await store.partition(call.partition)
                .deleteRange(start, end, whole ? call.known : []);
            } else if (call.call === "look") {
              assertEquals(await store.partitions(), await model.partitions());
            } else {
              await store.close();
              store = await openDenoKvStore(config, systemStorage, { journal });
            }
          }
          await Promise.all(pending);
          await store.close();
          store = await openDenoKvStore(config, systemStorage, { journal });
          assertEquals(await store.partitions(), await model.partitions());
          for (const number of await model.partitions()) {
            const [ours, theirs] = [store, model].map((one) =>
              one.partition(number)
            ) as [PartitionStore, PartitionStore];
            assertEquals(await ours.count(), await theirs.count());
            assertEquals(await scanned(ours, {}), await scanned(theirs, {}));
            assertEquals((await ours.integrity()).corrupt, []);
          }
        } finally {
          await store.close();
          await model.close();
          await Deno.remove(folder, { recursive: true });
        }
      },
    ),
    { numRuns: 100 },
  ));
