/**
 * What placing a key costs, beside its floor: one block of SHA-1 over bytes
 * that lie ready, which nothing that hashes a key can go below.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { ByteWriter } from "../src/base/byte_writer.ts";
import { chashKey, partitionOf } from "../src/ring/chash.ts";
import { createSha1State, sha1 } from "../src/ring/sha1.ts";
import {
  encodeErlangTerm,
  erlangTuple,
  writeBucketKey,
} from "../src/wire/etf.ts";

const BUCKET = "users";
const KEYS = Array.from(
  { length: 1024 },
  (_, i) => `user:${100_000 + i * 977}`,
);
const BUCKET_BYTES = new TextEncoder().encode(BUCKET);
const KEYS_BYTES = KEYS.map((key) => new TextEncoder().encode(key));

const into = new ByteWriter(256);
const state = createSha1State();
writeBucketKey(into, BUCKET, KEYS[0]!);
const ready = into.copy();
let turn = 0;

const group = "ring hash of {bucket, key}";

Deno.bench("floor: SHA-1 of one ready block", { group, baseline: true }, () => {
  sha1(state, ready);
});

Deno.bench("writeBucketKey()", { group }, () => {
  into.clear();
  writeBucketKey(into, BUCKET, KEYS[turn++ & 1023]!);
});

Deno.bench("partitionOf(), text", { group }, () => {
  partitionOf(BUCKET, KEYS[turn++ & 1023]!, 64);
});

Deno.bench("partitionOf(), bytes", { group }, () => {
  partitionOf(BUCKET_BYTES, KEYS_BYTES[turn++ & 1023]!, 64);
});

Deno.bench("partitionOf(), bucket only", { group }, () => {
  partitionOf(BUCKET, KEYS[turn++ & 1023]!, 64, "bucket_only");
});

Deno.bench("chashKey(), 20 bytes to keep", { group }, () => {
  chashKey(BUCKET, KEYS[turn++ & 1023]!);
});

Deno.bench("for comparison: node:crypto over encodeTerm()", { group }, () => {
  createHash("sha1").update(
    encodeErlangTerm(erlangTuple(BUCKET, KEYS[turn++ & 1023]!)),
  )
    .digest();
});
