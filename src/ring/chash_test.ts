/**
 * Tests of consistent hashing against places and owners computed by riak_core
 * (tests/golden/chash.json), and against partition numbers that the tutorials
 * print.
 *
 * @module
 */
import { assertEquals, assertThrows } from "@std/assert";
import { WhorlError } from "../base/errors.ts";
import {
  encodeErlangTerm,
  erlangAtom,
  type ErlangTerm,
  erlangTuple,
} from "../wire/etf.ts";
import {
  chashKey,
  partitionAfter,
  partitionAtIndex,
  partitionIndex,
  partitionOf,
  placeNumber,
  requireRingSize,
  RING_TOP,
  ringIncrement,
} from "./chash.ts";
import golden from "../../tests/golden/chash.json" with { type: "json" };

const bucketOf = (entry: typeof golden.entries[number]): ErlangTerm => {
  const bucket = Uint8Array.fromHex(entry.bucketHex);
  return entry.bucketType === null
    ? bucket
    : erlangTuple(entry.bucketType, bucket);
};

Deno.test("chashKey() places every golden key where riak_core does", () => {
  assertEquals(golden.entries.length, 100);
  for (const entry of golden.entries) {
    const bucket = bucketOf(entry);
    const key = Uint8Array.fromHex(entry.keyHex);
    // The longest terms are recorded by their hash alone.
    if (entry.etfHex !== null) {
      assertEquals(
        encodeErlangTerm(erlangTuple(bucket, key)).toHex(),
        entry.etfHex,
      );
    }
    const place = chashKey(bucket, key);
    assertEquals(place.toHex(), entry.sha1);
    assertEquals(placeNumber(place), BigInt(entry.int));
    if (entry.bucketOnlySha1 !== null) {
      assertEquals(
        chashKey(bucket, key, "bucket_only").toHex(),
        entry.bucketOnlySha1,
      );
    }
    if (entry.bucketType === null && entry.bucket && entry.key) {
      assertEquals(chashKey(entry.bucket, entry.key), place);
    }
  }
});

Deno.test("partitionOf() finds the first owner riak_core finds, for rings of 8 to 1024", () => {
  for (const entry of golden.entries) {
    const bucket = bucketOf(entry);
    const key = Uint8Array.fromHex(entry.keyHex);
    for (const [size, partition] of Object.entries(entry.ownerPartitionIds)) {
      const ringSize = Number(size);
      assertEquals(partitionOf(bucket, key, ringSize), partition);
      assertEquals(
        String(partitionIndex(partition, ringSize)),
        entry.responsibleIndex[size as keyof typeof entry.responsibleIndex],
      );
    }
  }
});

Deno.test("partitionAfter() agrees with riak_core at the borders of partitions", () => {
  assertEquals(RING_TOP, BigInt(golden.ringtop));
  for (const [size, increment] of Object.entries(golden.increments)) {
    assertEquals(ringIncrement(Number(size)), BigInt(increment));
  }
  for (const { hashHex, int, responsibleIndex } of golden.boundaries) {
    const place = Uint8Array.fromHex(hashHex);
    assertEquals(placeNumber(place), BigInt(int));
    for (const [size, index] of Object.entries(responsibleIndex)) {
      const ringSize = Number(size);
      assertEquals(
        partitionAfter(place, ringSize),
        partitionAtIndex(index, ringSize),
        `${hashHex} in ${size}`,
      );
    }
  }
});

Deno.test("partitionOf() finds the partitions shown in the tutorials' transcripts", () => {
  const cases: [ErlangTerm, ErlangTerm, number][] = [
    ["mybucket", "k1", 10],
    ["mariano", "english", 42],
    ["mariano", "spanish", 37],
    ["add", encodeErlangTerm(erlangTuple(2, 5)), 42],
    ["add", encodeErlangTerm(erlangTuple(3, 5)), 4],
    ["add", encodeErlangTerm(erlangTuple(2, 9)), 55],
    // The operation itself is the pair that is hashed.
    [erlangAtom("add"), erlangTuple(2, 4), 17],
    [erlangAtom("add"), erlangTuple(12, 4), 1],
    ["rc_example", encodeErlangTerm(erlangAtom("k1")), 50],
    ["rc_example", encodeErlangTerm(erlangAtom("k100")), 59],
    ["rc_example", encodeErlangTerm(erlangAtom("k101")), 31],
    ["rc_example", encodeErlangTerm(erlangAtom("k444")), 39],
    ["rc_example", encodeErlangTerm(erlangAtom("k4445")), 43],
    ...[48, 2, 38, 14, 35, 45, 49, 6, 31, 12].map((
      partition,
      i,
    ): [ErlangTerm, ErlangTerm, number] => [
      "bucket-1",
      `key-${i + 1}`,
      partition,
    ]),
  ];
  for (const [bucket, key, partition] of cases) {
    assertEquals(partitionOf(bucket, key, 64), partition);
  }
  const ping = Uint8Array.from(
    // deno-fmt-ignore
    [207, 185, 91, 89, 64, 167, 168, 83, 113, 154, 212, 211, 27, 36, 113, 251,
      56, 179, 28, 123],
  );
  assertEquals(partitionAfter(ping, 64), 52);
  assertEquals(
    partitionIndex(52, 64),
    1187470080331358621040493926581979953470445191168n,
  );
});

Deno.test("chashKey() hashes the term a key function returns, even if it hashes keys itself", () => {
  const byPrefix = (bucket: ErlangTerm, key: ErlangTerm): ErlangTerm => {
    partitionOf("other", "entirely", 64);
    return erlangTuple(bucket, String(key).split(":")[0]!);
  };
  assertEquals(
    chashKey("b", "ann:1", byPrefix),
    chashKey("b", "ann"),
  );
  assertEquals(
    partitionOf("b", "ann:2", 256, byPrefix),
    partitionOf("b", "ann", 256),
  );
  assertEquals(
    partitionOf("b", "x", 64, "bucket_only"),
    partitionOf("b", "y", 64, () => "b"),
  );
});

Deno.test("partitionOf() hashes long keys and short ones after them alike", () => {
  const long = "x".repeat(200_000);
  const before = partitionOf("b", "k", 1024);
  assertEquals(
    partitionOf("b", long, 1024),
    partitionOf("b", new TextEncoder().encode(long), 1024),
  );
  assertEquals(partitionOf("b", "k", 1024), before);
});

Deno.test("requireRingSize() refuses all but powers of two from 8 to 1024, naming the value", () => {
  const good = [8, 16, 32, 64, 128, 256, 512, 1024];
  for (const size of good) requireRingSize(size);
  const bad = [0, 1, 2, 4, 7, 9, 63, 65, 1000, 2048, -64, 64.5, NaN, Infinity];
  for (const size of bad) {
    for (
      const attempt of [
        () => requireRingSize(size),
        () => partitionOf("b", "k", size),
        () => partitionAfter(new Uint8Array(20), size),
        () => partitionIndex(0, size),
        () => partitionAtIndex(0n, size),
        () => ringIncrement(size),
      ]
    ) {
      const error = assertThrows(
        attempt,
        WhorlError,
        `must be a power of two from 8 to 1024: current value is ${size}`,
      );
      assertEquals(error.code, "invalid_ring_size");
      assertEquals(error.details.ringSize, size);
    }
  }
});

Deno.test("partitionIndex() and partitionAtIndex() refuse what the ring does not have", () => {
  for (const partition of [-1, 64, 1.5, NaN]) {
    assertThrows(() => partitionIndex(partition, 64), WhorlError);
  }
  const increment = ringIncrement(64);
  for (
    const index of [-1n, 1n, increment + 1n, RING_TOP, "", "x", "-1", "0x0"]
  ) {
    const error = assertThrows(() => partitionAtIndex(index, 64), WhorlError);
    assertEquals(error.code, "invalid_argument");
  }
  assertThrows(() => partitionAfter(new Uint8Array(19), 64), WhorlError);
  assertThrows(() => placeNumber(new Uint8Array(21)), WhorlError);
});
