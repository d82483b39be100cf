import { assertEquals, assertRejects } from "@std/assert";
import { WhorlError } from "../base/errors.ts";
import type {
  PartitionStore,
  StoreWriteOptions,
} from "../environment/storage.ts";
import { openMemoryStore } from "../storage/memory_store.ts";
import { WatchedPartition } from "./watched_partition.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** What becomes of writes: they are told of at once, or once they may be. */
class Commits {
  hold = false;
  error: Error | undefined;
  #held: (() => void)[] = [];

  told(tell: () => void): void {
    if (this.hold) this.#held.push(tell);
    else tell();
  }

  end(): void {
    this.hold = false;
    for (const tell of this.#held.splice(0)) tell();
  }
}

/** A store that remembers how it was asked. */
function spy(): {
  partition: WatchedPartition;
  written: (StoreWriteOptions | undefined)[];
  known: string[][];
  commits: Commits;
} {
  const store = openMemoryStore("0123456789abcdef").partition(3);
  const written: (StoreWriteOptions | undefined)[] = [];
  const known: string[][] = [];
  const commits = new Commits();
  const watched: PartitionStore = {
    partition: 3,
    get: (key) => store.get(key),
    write(writes, committed, options) {
      written.push(options);
      store.write(
        writes,
        (error) => commits.told(() => committed(commits.error ?? error)),
      );
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
  return { partition: new WatchedPartition(watched), written, known, commits };
}

Deno.test("WatchedPartition.inBulk() writes in bulk what its callback writes, even if the callback fails", () => {
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

Deno.test("WatchedPartition.commit() has written when it returns, in bulk if requested, and resolves once that is durable", async () => {
  const { partition, written, commits } = spy();
  const write = (key: string) => [{ key: bytes(key), value: bytes("0") }];
  let durable = false;
  commits.hold = true;
  const committed = partition.inBulk(() => partition.commit(write("a")))
    .then(() => durable = true);
  assertEquals(await partition.get(bytes("a")), bytes("0"));
  assertEquals([written.map((options) => options?.inBulk), durable], [
    [true],
    false,
  ]);
  commits.end();
  await committed;
  commits.error = new Error("the disk is gone");
  await assertRejects(
    () => partition.commit(write("b")),
    Error,
    "the disk is gone",
  );
});

Deno.test("WatchedPartition.commit() rejects when a write fails, and tells its watcher", async () => {
  const { partition } = spy();
  const key = bytes("k".repeat(2_000));
  const error = await assertRejects(
    () => partition.commit([{ key, value: bytes("") }]),
    WhorlError,
  );
  assertEquals(error.code, "invalid_key");
  const seen: string[] = [];
  partition.watch = (writes) => {
    seen.push(...writes.map(({ key }) => text(key)));
    return undefined;
  };
  await partition.commit([{ key: bytes("a"), value: bytes("") }]);
  assertEquals(seen, ["a"]);
});

Deno.test("WatchedPartition.deleteRange() reports the sent keys once, and none where a part is removed", async () => {
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
