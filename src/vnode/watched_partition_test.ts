import { assertEquals } from "@std/assert";
import type { PartitionStore, WriteOptions } from "../environment/storage.ts";
import { openMemoryStore } from "../storage/memory_store.ts";
import { WatchedPartition } from "./watched_partition.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** A store that remembers how it was asked. */
function spy(): {
  partition: WatchedPartition;
  written: (WriteOptions | undefined)[];
  known: string[][];
} {
  const store = openMemoryStore("0123456789abcdef").partition(3);
  const written: (WriteOptions | undefined)[] = [];
  const known: string[][] = [];
  const watched: PartitionStore = {
    partition: 3,
    get: (key) => store.get(key),
    write(writes, committed, options) {
      written.push(options);
      store.write(writes, committed);
    },
    scan: (range) => store.scan(range),
    rows: (range, visit) => store.rows(range, visit),
    deleteRange(start, end, keys = []) {
      known.push([...keys].map(text));
      return store.deleteRange(start, end);
    },
    count: () => store.count(),
    integrity: () => store.integrity(),
  };
  return { partition: new WatchedPartition(watched), written, known };
}

Deno.test("WatchedPartition.inBulk() writes in bulk what is written in it, also if that fails", () => {
  const { partition, written } = spy();
  const write = (key: string) =>
    partition.write([{ key: bytes(key), value: bytes("0") }], () => {});
  write("a");
  partition.inBulk(() => write("b"));
  try {
    partition.inBulk(() => {
      throw new Error("refused");
    });
  } catch {
    // The next one is no part of it.
  }
  write("c");
  assertEquals(written.map((options) => options?.inBulk), [false, true, false]);
});

Deno.test("WatchedPartition.deleteRange() says once which keys were sent, and not where a part is removed", async () => {
  const { partition, known } = spy();
  const send = () => {
    for (const key of ["a", "b"]) partition.noteSent(bytes(key));
  };
  send();
  await partition.deleteRange();
  await partition.deleteRange();
  send();
  await partition.deleteRange(bytes("b"));
  send();
  partition.forgetSent();
  await partition.deleteRange();
  assertEquals(known, [["a", "b"], [], [], []]);
});
