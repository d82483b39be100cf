/**
 * Directed scenarios of storage on a simulated disk: what opens, closes and
 * replaces files is stopped after each single event in turn, and meets a disk
 * that fails, is full, or belongs to somebody else.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { isWhorlError, WhorlError } from "../src/base/errors.ts";
import type { StorageEnvironment } from "../src/environment/environment.ts";
import type { Store } from "../src/environment/storage.ts";
import { DiskBench } from "../src/simulation/testing/disk_bench.ts";
import { replaceFile } from "../src/storage/atomic_file.ts";
import {
  DataDirectory,
  type NodeIdentity,
} from "../src/storage/data_directory.ts";
import { openDenoKvStore } from "../src/storage/deno_kv_store.ts";

const key = new Uint8Array([1]);
const bytes = (text: string) => new TextEncoder().encode(text);
const crashes = ["process", "power"] as const;

function openStore(environment: StorageEnvironment): Promise<Store> {
  return openDenoKvStore({ type: "deno_kv", path: "/store" }, environment);
}

/** Writes to partition 0 and resolves to the error, if there was one. */
function put(store: Store, value: string): Promise<Error | undefined> {
  return new Promise((resolve) =>
    store.partition(0).write([{ key, value: bytes(value) }], resolve)
  );
}

/**
 * Begins `action` on a new machine and stops it after 0, 1, 2, … events, in both
 * ways and with several seeds, until it is done before; then calls `after`.
 */
async function stoppedAnywhere(
  action: (environment: StorageEnvironment) => Promise<unknown>,
  after: (bench: DiskBench, done: boolean) => Promise<void>,
  before: (bench: DiskBench) => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  for (const how of crashes) {
    for (let seed = 0; seed < 8; seed++) {
      let done = false;
      for (let events = 0; !done; events++) {
        assert(events < 1_000, "it never ends");
        const bench = new DiskBench(`${how} ${seed} ${events}`);
        await before(bench);
        void action(bench.live()).then(() => done = true);
        await bench.happen(events);
        bench.crash(how);
        try {
          await after(bench, done);
        } catch (cause) {
          throw new Error(`${how}, seed ${seed}, ${events} events: ${cause}`, {
            cause,
          });
        }
      }
    }
  }
}

Deno.test("DenoKvStore can be opened after a creation that was cut short anywhere", () =>
  stoppedAnywhere(async (environment) => {
    const store = await openStore(environment);
    assertEquals(await put(store, "a"), undefined);
    await store.close();
  }, async (bench, done) => {
    const store = await bench.run(openStore(bench.live()));
    assert(!store.state.tailLost);
    const value = await bench.run(
      Promise.resolve(store.partition(0).get(key)),
    );
    if (done) assertEquals(value, bytes("a"));
    assertEquals(await bench.run(put(store, "b")), undefined);
    await bench.run(store.close());
  }));

Deno.test("DenoKvStore counts an epoch once, wherever its openings are cut short", async () => {
  const bench = new DiskBench("epochs");
  const epochs: number[] = [];
  for (let opening = 0; opening < 300; opening++) {
    const opened = openStore(bench.live()).then(async (store) => {
      epochs.push(store.state.epoch);
      await put(store, `${opening}`);
    });
    if (opening % 3 === 0) await bench.run(opened);
    else await bench.happen(bench.chance.below(30));
    bench.crash(bench.chance.pick(crashes));
  }
  assert(epochs.length >= 100);
  assertEquals(new Set(epochs).size, epochs.length);
  assertEquals(epochs, epochs.toSorted((a, b) => a - b));
});

Deno.test("DenoKvStore commits nothing after a commit that failed", async () => {
  for (let seed = 0; seed < 20; seed++) {
    const bench = new DiskBench(seed);
    const store = await bench.run(openStore(bench.live()));
    assertEquals(await bench.run(put(store, "kept")), undefined);
    bench.disk.writeErrorProbability = 1;
    const failure = await bench.run(put(store, "unknown"));
    assert(isWhorlError(failure, "store_unavailable"), `${failure}`);
    assert(failure?.message.endsWith("disk I/O error"));
    bench.disk.writeErrorProbability = 0;
    const { commits } = bench.disk.counts;
    // Longer than a store is idle before it folds its journal.
    await bench.time.run(bench.time.now() + 10_000);
    await bench.run(store.close());
    assertEquals(bench.disk.counts.commits, commits);
    const again = await bench.run(openStore(bench.live()));
    const found = await bench.run(
      Promise.resolve(again.partition(0).get(key)),
    );
    const text = new TextDecoder().decode(found);
    assertEquals(
      text,
      bench.disk.counts.revivedCommits > 0 ? "unknown" : "kept",
    );
    await bench.run(again.close());
  }
});

Deno.test("DenoKvStore reports store_full on a full disk, still reads, and works again once there is space", async () => {
  const bench = new DiskBench("full");
  const store = await bench.run(openStore(bench.live()));
  assertEquals(await bench.run(put(store, "kept")), undefined);
  bench.disk.full = true;
  const failure = await bench.run(put(store, "refused"));
  assert(isWhorlError(failure, "store_full"), `${failure}`);
  await bench.run(store.close());
  const refused = await assertRejects(
    () => bench.run(openStore(bench.live())),
    WhorlError,
    "database or disk is full",
  );
  assert(isWhorlError(refused, "store_full"));
  bench.disk.full = false;
  const again = await bench.run(openStore(bench.live()));
  assertEquals(
    await bench.run(Promise.resolve(again.partition(0).get(key))),
    bytes("kept"),
  );
  await bench.run(again.close());
});

Deno.test("replaceFile() leaves the old content or the new one, wherever it is cut short", async () => {
  const [older, newer] = [bytes("older".repeat(300)), bytes("newer")];
  const found = { older: 0, newer: 0 };
  await stoppedAnywhere(
    ({ disk }) => replaceFile(disk, "/a", newer),
    async (bench, done) => {
      const { disk } = bench.live();
      const content = await bench.run(disk.readFile("/a"));
      const isNew = content?.length === newer.length;
      assertEquals(content, isNew ? newer : older);
      assert(isNew || !done, "done, and durable");
      found[isNew ? "newer" : "older"]++;
      // What is left beside it is in nobody's way.
      await bench.run(replaceFile(disk, "/a", older));
    },
    (bench) => bench.run(replaceFile(bench.live().disk, "/a", older)),
  );
  assert(found.older > 10 && found.newer > 10);
});

const identity: NodeIdentity = {
  nodeId: "00112233445566778899aabbccddeeff",
  name: "n1@n1",
  cluster: "test",
  ringSize: 8,
  masters: 1,
};

function openDirectory({ disk }: StorageEnvironment): Promise<DataDirectory> {
  return DataDirectory.open({ path: "/data", identity, disk });
}

Deno.test("DataDirectory can be opened after an opening that was cut short anywhere, and counts each once", () =>
  stoppedAnywhere(async (environment) => {
    const directory = await openDirectory(environment);
    await directory.writeRecord("ring", { incarnation: directory.incarnation });
    await directory.close();
  }, async (bench, done) => {
    const directory = await bench.run(openDirectory(bench.live()));
    assertEquals(directory.identity, identity);
    const ring = await bench.run(directory.readRecord("ring")) as
      | { incarnation: number }
      | undefined;
    if (done) assertEquals(ring?.incarnation, 1);
    if (ring !== undefined) assert(directory.incarnation > ring.incarnation);
    await bench.run(directory.close());
  }));

Deno.test("DataDirectory survives a loss of power, whatever became of the opening before", async () => {
  for (let seed = 0; seed < 8; seed++) {
    for (let events = 0; events < 40; events++) {
      const bench = new DiskBench(`${seed} ${events}`);
      // Every other one fails instead of being cut short.
      bench.disk.writeErrorProbability = events % 2;
      void openDirectory(bench.live()).catch(() => {});
      await bench.happen(events);
      bench.crash("process");
      bench.disk.writeErrorProbability = 0;
      const { incarnation } = await bench.run(openDirectory(bench.live()));
      bench.crash("power");
      const again = await bench.run(openDirectory(bench.live()));
      assertEquals(again.isNew, false, `seed ${seed}, ${events} events`);
      assertEquals(again.incarnation, incarnation + 1);
      await bench.run(again.close());
    }
  }
});

Deno.test("DataDirectory is held by one process until that ends", async () => {
  const bench = new DiskBench("locks");
  const first = bench.live();
  const held = await bench.run(openDirectory(first));
  const second = bench.live();
  const refused = await assertRejects(
    () => bench.run(openDirectory(second)),
    WhorlError,
    `process ${first.disk.processId} has it`,
  );
  assert(isWhorlError(refused, "store_locked"));
  bench.disk.crash("process", first.disk);
  const taken = await bench.run(openDirectory(second));
  assertEquals(taken.incarnation, held.incarnation + 1);
  await bench.run(taken.close());
});
