/**
 * What single steps of storage cost. Throughput of whole stores beside the bare
 * ceiling of Deno KV: `bench/storage_figures.ts`.
 *
 * @module
 */
import { bytesToText } from "../src/base/byte_text.ts";
import { hashKey, isSound, makeRecord } from "../src/storage/deno_kv_codec.ts";
import { KeyFilter } from "../src/storage/key_filter.ts";
import { openMemoryStore } from "../src/storage/memory_store.ts";
import { ReadCache } from "../src/storage/read_cache.ts";

const count = 1 << 12;
const encoder = new TextEncoder();
const keys = Array.from(
  { length: count },
  (_, i) => encoder.encode(`bucket/user:${i * 7919}/profile`),
);
const texts = keys.map((key) => bytesToText(key));
const value = crypto.getRandomValues(new Uint8Array(100));
const records = keys.map((key) => makeRecord(1, value, key));
const hashes = keys.map((key) => hashKey(key));
let turn = 0;
const next = () => turn = (turn + 1) & (count - 1);

Deno.bench("key as text", { group: "steps" }, () => {
  bytesToText(keys[next()] as Uint8Array);
});

Deno.bench("verify a record of 100 bytes", { group: "steps" }, () => {
  const i = next();
  isSound(records[i], hashKey(keys[i] as Uint8Array));
});

const filter = new KeyFilter(1 << 20);
for (const hash of hashes) filter.add(hash);
Deno.bench("key filter, key that is there", { group: "steps" }, () => {
  filter.mayHave(hashes[next()] as number);
});

const cache = new ReadCache(1 << 24);
for (const text of texts) cache.put(text, value);
Deno.bench("read cache, hit", { group: "steps" }, () => {
  cache.get(texts[next()] as string);
});

Deno.bench("read cache, put", { group: "steps" }, () => {
  cache.put(texts[next()] as string, value);
});

const partition = openMemoryStore("00112233aabbccdd").partition(0);
const writes = keys.map((key) => [{ key, value }]);
const ignore = () => {};
for (const one of writes) partition.write(one, ignore);

Deno.bench("memory store, write", { group: "memory" }, () => {
  partition.write(writes[next()] as typeof writes[number], ignore);
});

Deno.bench("memory store, get", { group: "memory" }, () => {
  partition.get(keys[next()] as Uint8Array);
});
