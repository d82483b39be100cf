/**
 * What a store promises, on a disk that fails at any moment: the production
 * store writes on a simulated machine whose process is killed, or whose power is
 * cut, after a random event, as often as a seed says; opened again, it holds
 * everything that was acknowledged, and each group of writes as a whole or not
 * at all. A disk that lies or rots is noticed.
 *
 *     WHORL_SEEDS=20000 deno test -A tests/properties/simulated_store_test.ts
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { type Chance, seededChance } from "../../src/base/chance.ts";
import { isWhorlError, WhorlError } from "../../src/base/errors.ts";
import type { StorageEnvironment } from "../../src/environment/environment.ts";
import type { Store, StoreWrite } from "../../src/environment/storage.ts";
import { DiskBench } from "../../src/simulation/testing/disk_bench.ts";
import {
  readManifest,
  recordKind,
  space,
} from "../../src/storage/deno_kv_codec.ts";
import {
  type DenoKvTuning,
  openDenoKvStore,
} from "../../src/storage/deno_kv_store.ts";

const SEEDS = 1_000;
const PARTITIONS = 2;
const KEYS = 10;
/** Most values are small; large ones go to their row, into chunks, and into chunks ahead of their commit. */
const LENGTHS = [3, 3, 3, 20, 20, 200];
const LARGE_LENGTHS = [8_193, 60_001, 601_000];
const LARGE_PROBABILITY = 0.01;

const config = { type: "deno_kv", path: "/store", cacheBytesMax: 0 } as const;

/** A journal so small that almost every commit folds something. */
const tuning: DenoKvTuning = {
  journal: {
    generationEntriesMax: 12,
    generationRecordsMax: 4,
    foldRowsMin: 1,
    foldRowsMax: 4,
    idleMs: 40,
  },
};

function open(environment: StorageEnvironment): Promise<Store> {
  return openDenoKvStore(config, environment, tuning);
}

/** One call of `write`. */
interface Group {
  readonly partition: number;
  readonly writes: readonly StoreWrite[];
  readonly inBulk: boolean;
}

/** What is stored, by partition and key; a value is known by its number and its length. */
type Content = Map<string, string>;

function nameOf(partition: number, key: Uint8Array): string {
  return `${partition}/${key[0]}`;
}

function told(value: Uint8Array): string {
  const number = value[0]! | value[1]! << 8 | value[2]! << 16;
  // The rest of a value follows from its number, so that a mixture is told.
  for (let i = 3; i < value.length; i++) {
    if (value[i] !== (number * 31 + i & 255)) return `${number} damaged`;
  }
  return `${number} of ${value.length} bytes`;
}

function apply(content: Content, { partition, writes }: Group): void {
  for (const { key, value } of writes) {
    const name = nameOf(partition, key);
    if (value === null) content.delete(name);
    else content.set(name, told(value));
  }
}

async function contentOf(store: Store): Promise<Content> {
  const content: Content = new Map();
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const part = store.partition(partition);
    for (let i = 0; i < KEYS; i++) {
      const key = new Uint8Array([i]);
      const value = await part.get(key);
      if (value !== undefined) content.set(nameOf(partition, key), told(value));
    }
    let scanned = 0;
    for await (const { key, value } of part.scan()) {
      assertEquals(told(value), content.get(nameOf(partition, key)));
      scanned++;
    }
    assertEquals(
      scanned,
      [...content.keys()].filter((name) => name.startsWith(`${partition}/`))
        .length,
    );
  }
  return content;
}

/** Chunks that lie in the closed store, and those that the values in it have. */
async function chunksIn(
  { disk }: StorageEnvironment,
): Promise<{ stored: number; used: number }> {
  const kv = await disk.openKv(config.path);
  let stored = 0;
  let used = 0;
  const options = { limit: Infinity, reverse: false, batchSize: 1_000 };
  for await (const { key: [key], value } of kv.list({ prefix: [] }, options)) {
    const [first] = key as Uint8Array;
    const record = value as Uint8Array;
    if (first === space.chunk) stored++;
    if (first === space.data && record[4] === recordKind.manifest) {
      used += readManifest(record, 0).set.chunks;
    }
  }
  kv.close();
  return { stored, used };
}

function same(one: Content, other: Content): boolean {
  return one.size === other.size &&
    [...one].every(([name, value]) => other.get(name) === value);
}

/** What one life of a process did to the store. */
class Life {
  readonly groups: Group[] = [];
  /** How many of the groups, from the first on, are durable. */
  acknowledged = 0;
  store: Store | undefined;
  /** Why the store could not be opened or used any more. */
  failure: unknown;
}

class Run {
  readonly bench: DiskBench;
  readonly chance: Chance;
  /** As of the last look at the store. */
  content: Content = new Map();
  epoch = 0;
  #number = 0;

  constructor(seed: number) {
    this.chance = seededChance(`simulated store ${seed}`);
    const syncMsMin = this.chance.pick([0, 0.1, 1]);
    this.bench = new DiskBench(seed, {
      weather: {
        syncMsMin,
        syncMsMax: syncMsMin + this.chance.pick([0, 1, 20]),
        liesAboutSync: false,
      },
      operationMsMax: this.chance.pick([0, 0.5]),
    });
  }

  group(): Group {
    const { chance } = this;
    const writes: StoreWrite[] = [];
    for (let count = chance.below(4); count >= 0; count--) {
      const key = new Uint8Array([chance.below(KEYS)]);
      if (chance.chance(0.2)) {
        writes.push({ key, value: null });
        continue;
      }
      const number = ++this.#number;
      const value = new Uint8Array(
        chance.pick(
          chance.chance(LARGE_PROBABILITY) ? LARGE_LENGTHS : LENGTHS,
        ),
      );
      for (let i = 3; i < value.length; i++) value[i] = number * 31 + i & 255;
      value.set([number, number >> 8, number >> 16]);
      writes.push({ key, value });
    }
    return {
      partition: chance.below(PARTITIONS),
      writes,
      inBulk: chance.chance(0.3),
    };
  }

  /** Opens the store and writes until it is stopped from outside. */
  async live(life: Life, environment: StorageEnvironment): Promise<void> {
    try {
      const store = await open(environment);
      life.store = store;
      for (;;) {
        const group = this.group();
        life.groups.push(group);
        const number = life.groups.length;
        const done = Promise.withResolvers<void>();
        store.partition(group.partition).write(group.writes, (error) => {
          if (error !== undefined) return done.reject(error);
          assertEquals(number, life.acknowledged + 1, "in the order of calls");
          life.acknowledged = number;
          done.resolve();
        }, { inBulk: group.inBulk });
        if (this.chance.chance(0.5)) await done.promise;
        else {
          done.promise.catch((error) => life.failure ??= error);
          if (this.chance.chance(0.3)) {
            await new Promise<void>((resolve) =>
              environment.setTimer(this.chance.below(60), resolve)
            );
          }
        }
        // What has failed writes no more.
        if (life.failure !== undefined) throw life.failure;
      }
    } catch (error) {
      life.failure ??= error;
    }
  }

  /** Opens the store on a disk that is well, and compares it with what `life` knows of it. */
  async lookBack(life: Life): Promise<Store> {
    const { bench } = this;
    const store = await bench.run(open(bench.live()));
    assert(!store.state.tailLost, "cries wolf");
    assert(store.state.epoch > this.epoch, "an epoch comes twice");
    this.epoch = store.state.epoch;
    const found = await bench.run(contentOf(store));
    const expected = new Map(this.content);
    let fits = life.acknowledged === 0 && same(expected, found);
    for (const [index, group] of life.groups.entries()) {
      apply(expected, group);
      if (index + 1 >= life.acknowledged) fits ||= same(expected, found);
    }
    assert(
      fits,
      `${life.acknowledged} of ${life.groups.length} groups were acknowledged, and it holds ${
        JSON.stringify([...found])
      } after ${JSON.stringify([...this.content])}`,
    );
    this.content = found;
    return store;
  }

  /** Lets one process live for a random number of events, and crashes it. */
  async liveAndCrash(): Promise<Life> {
    const { bench, chance } = this;
    const life = new Life();
    void this.live(life, bench.live());
    await bench.happen(chance.below(150));
    const { disk } = bench;
    if (chance.chance(0.3)) {
      const trouble = chance.pick(["full", "errors", "slow"]);
      if (trouble === "full") disk.full = true;
      else if (trouble === "slow") disk.syncDelayMs = 200;
      else disk.writeErrorProbability = chance.pick([0.05, 0.5]);
      await bench.happen(chance.below(40));
    }
    bench.crash(chance.pick(["process", "power"]));
    disk.full = false;
    disk.writeErrorProbability = 0;
    disk.syncDelayMs = 0;
    if (life.failure !== undefined && !(life.failure instanceof WhorlError)) {
      throw life.failure;
    }
    return life;
  }
}

/** Runs `body` for each seed; a failure names the seed. */
async function forSeeds(
  name: string,
  body: (seed: number) => Promise<void>,
): Promise<void> {
  const wanted = Deno.env.get("WHORL_SEEDS");
  for (let seed = 1; seed <= Number(wanted ?? SEEDS); seed++) {
    try {
      await body(seed);
    } catch (cause) {
      throw new Error(`${name}, seed ${seed}: ${cause}`, { cause });
    }
  }
}

Deno.test("DenoKvStore keeps what it acknowledged, and whole groups, whenever its process or machine dies", async () => {
  const counts = {
    acknowledged: 0,
    crashes: 0,
    lost: 0,
    revived: 0,
    half: 0,
    chunks: 0,
  };
  await forSeeds("crash", async (seed) => {
    const run = new Run(seed);
    for (let lives = 1 + run.chance.below(3); lives > 0; lives--) {
      const life = await run.liveAndCrash();
      const store = await run.lookBack(life);
      counts.acknowledged += life.acknowledged;
      // The next life begins after a crash of this one, or in order.
      if (run.chance.chance(0.5)) await run.bench.run(store.close());
      else run.bench.crash(run.chance.pick(["process", "power"]));
    }
    const last = await run.bench.run(open(run.bench.live()));
    await run.bench.run(last.close());
    const chunks = await run.bench.run(chunksIn(run.bench.live()));
    assertEquals(chunks.stored, chunks.used, "what a crash left is removed");
    counts.chunks += chunks.stored;
    const disk = run.bench.disk.counts;
    counts.crashes += disk.processCrashes;
    counts.lost += disk.lostChanges + disk.lostNames;
    counts.revived += disk.revivedCommits;
    counts.half += disk.doneAtCrash;
  });
  // A run without any of these would prove nothing.
  for (const [what, count] of Object.entries(counts)) {
    assert(count > 0, `${what}: ${count}`);
  }
});

Deno.test("DenoKvStore notices each commit that a lying disk lost, and nothing where none is lost", async () => {
  let noticed = 0;
  await forSeeds("lies", async (seed) => {
    const run = new Run(seed);
    const { bench, chance } = run;
    bench.disk.liesAboutSync = true;
    const life = new Life();
    void run.live(life, bench.live());
    await bench.happen(30 + chance.below(100));
    // A younger loss than the watermark's last sync can pass unnoticed.
    const groups = life.groups.length;
    life.failure ??= new WhorlError("closed", "Cannot go on as it is over");
    await bench.time.run(bench.time.now() + 5_000);
    assert(life.groups.length <= groups + 1);
    bench.crash("power");
    const lost = bench.disk.counts.lostCommits;
    let store: Store;
    try {
      store = await bench.run(open(bench.live()));
    } catch (error) {
      // With its head gone as well, the store refuses to open.
      assert(lost > 0 && isWhorlError(error, "store_corrupt"), `${error}`);
      noticed++;
      return;
    }
    assertEquals(store.state.tailLost, lost > 0, `lost ${lost}`);
    if (lost > 0) noticed++;
    await bench.run(store.tailRepaired());
    await bench.run(store.close());
    const again = await bench.run(open(bench.live()));
    assert(!again.state.tailLost);
    await bench.run(again.close());
  });
  assert(noticed > 0);
});

Deno.test("DenoKvStore serves no value in which the disk has flipped a bit", async () => {
  let refused = 0;
  await forSeeds("rot", async (seed) => {
    const run = new Run(seed);
    const { bench, chance } = run;
    const life = new Life();
    void run.live(life, bench.live());
    await bench.happen(30 + chance.below(120));
    bench.crash("process");
    const sound = await run.lookBack(life);
    if (chance.chance(0.5)) await bench.run(sound.close());
    else bench.crash("process");
    for (let bits = chance.below(3); bits >= 0; bits--) bench.disk.rot();
    const store = await bench.run(open(bench.live()));
    for (let partition = 0; partition < PARTITIONS; partition++) {
      for (let i = 0; i < KEYS; i++) {
        const key = new Uint8Array([i]);
        const name = nameOf(partition, key);
        try {
          const value = await bench.run(
            Promise.resolve(store.partition(partition).get(key)),
          );
          const found = value === undefined ? undefined : told(value);
          // A store that knows it is hurt may be behind, which others repair.
          if (store.state.tailLost) {
            assert(!found?.includes("damaged"), `${name}: ${found}`);
          } else assertEquals(found, run.content.get(name), name);
        } catch (error) {
          assert(isWhorlError(error, "value_corrupt"), `${error}`);
          refused++;
        }
      }
    }
    await bench.run(store.close());
  });
  assert(refused > 0);
});
