/**
 * The kinds of store on which the conformance tests run: in memory, on Deno KV,
 * and the code for Deno KV on a simulated disk.
 *
 * @module
 */
import type {
  PartitionStore,
  ScanRange,
  Store,
} from "../../src/environment/storage.ts";
import { openDenoKvStore } from "../../src/storage/deno_kv_store.ts";
import { DiskBench } from "../../src/simulation/testing/disk_bench.ts";
import { openMemoryStore } from "../../src/storage/memory_store.ts";
import { systemStorage } from "../../src/storage/testing/system_storage.ts";

const text = new TextEncoder();
/** The bytes of `values`. */
export const bytes = (...values: number[]): Uint8Array<ArrayBuffer> =>
  new Uint8Array(values);
/** A key of text. */
export const key = (value: string): Uint8Array<ArrayBuffer> =>
  text.encode(value);

/** The keys in a range, by scanning. */
export async function keysOf(
  partition: PartitionStore,
  range = {},
): Promise<number[][]> {
  const found: number[][] = [];
  for await (const entry of partition.scan(range)) found.push([...entry.key]);
  return found;
}

/** Key and value of each row, read by `rows`, which makes no views; takes more than one step if there are many. */
export async function rowsOf(
  partition: PartitionStore,
  range: ScanRange = {},
): Promise<{ rows: [string, Uint8Array][]; steps: number }> {
  const rows: [string, Uint8Array][] = [];
  const way = partition.rows(range, (row) => {
    const key = row.keyBytes.subarray(row.keyStart, row.keyEnd);
    const value = row.valueBytes.slice(row.valueStart, row.valueEnd);
    rows.push([String.fromCharCode(...key), value]);
  });
  let steps = 1;
  while (await way.next()) steps++;
  return { rows, steps };
}

/** A value of `length` bytes that differs with `seed`. */
export function patterned(length: number, seed: number): Uint8Array {
  const value = new Uint8Array(length);
  for (let i = 0; i < length; i++) value[i] = i * 31 + seed + (i >>> 8);
  return value;
}

/** A kind of store. */
export interface Kind {
  readonly name: string;
  /** Runs `body` with a new store; `reopen` closes the store and opens the same file again, where there is one. */
  use(
    body: (store: Store, reopen: () => Promise<Store>) => Promise<void>,
  ): Promise<void>;
}

/** All kinds of store. */
export const kinds: Kind[] = [{
  name: "memory",
  async use(body) {
    const store = openMemoryStore("00112233aabbccdd");
    await body(store, () => Promise.resolve(store));
    await store.close();
  },
}, {
  name: "Deno KV",
  async use(body) {
    const folder = await Deno.makeTempDir({ prefix: "whorl-store-" });
    const config = { type: "deno_kv", path: `${folder}/store` } as const;
    let store = await openDenoKvStore(config, systemStorage);
    try {
      await body(store, async () => {
        await store.close();
        store = await openDenoKvStore(config, systemStorage);
        return store;
      });
    } finally {
      await store.close();
      await Deno.remove(folder, { recursive: true });
    }
  },
}, {
  name: "simulated Deno KV",
  use(body) {
    const bench = new DiskBench("conformance", {
      weather: { syncMsMin: 0.1, syncMsMax: 5, liesAboutSync: false },
      operationMsMax: 0.5,
    });
    const config = { type: "deno_kv", path: "/store" } as const;
    return bench.run((async () => {
      let store = await openDenoKvStore(config, bench.live());
      try {
        await body(store, async () => {
          await store.close();
          store = await openDenoKvStore(config, bench.live());
          return store;
        });
      } finally {
        await store.close();
      }
    })());
  },
}];

/** A test of every kind of store, each run with a new one. */
export function testEach(
  sentence: string,
  body: (store: Store, reopen: () => Promise<Store>) => Promise<void>,
): void {
  for (const kind of kinds) {
    Deno.test(`${kind.name} store ${sentence}`, () => kind.use(body));
  }
}
