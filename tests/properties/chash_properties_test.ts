/**
 * Laws of placement, for generated terms, places and ring sizes. The model is
 * the definition in numbers of 160 bits, which the code under test avoids.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { createHash } from "node:crypto";
import fc from "fast-check";
import {
  chashKey,
  partitionAfter,
  partitionAtIndex,
  partitionIndex,
  partitionOf,
  placeNumber,
  RING_TOP,
  ringIncrement,
} from "../../src/ring/chash.ts";
import {
  encodeErlangTerm,
  type ErlangTerm,
  erlangTuple,
} from "../../src/wire/etf.ts";

const ringSizes = fc.constantFrom(8, 16, 32, 64, 128, 256, 512, 1024);
const names: fc.Arbitrary<ErlangTerm> = fc.oneof(
  fc.string({ unit: "binary", maxLength: 80 }).filter((s) => s.isWellFormed()),
  fc.uint8Array({ maxLength: 200 }),
);

/** The bytes of a number of 160 bits. */
function place(number: bigint): Uint8Array {
  return Uint8Array.fromHex(number.toString(16).padStart(40, "0"));
}

/** riak_core's `chash:next_index/2`. */
function nextIndex(number: bigint, ringSize: number): bigint {
  const increment = RING_TOP / BigInt(ringSize);
  return (number / increment + 1n) % BigInt(ringSize) * increment;
}

Deno.test("chashKey() is SHA-1 over the term of the pair, and partitionOf() its next partition", () => {
  fc.assert(fc.property(names, names, ringSizes, (bucket, key, ringSize) => {
    const hash = chashKey(bucket, key);
    const expected = createHash("sha1")
      .update(encodeErlangTerm(erlangTuple(bucket, key))).digest("hex");
    assertEquals(hash.toHex(), expected);
    assertEquals(
      partitionIndex(partitionOf(bucket, key, ringSize), ringSize),
      nextIndex(placeNumber(hash), ringSize),
    );
  }));
});

Deno.test("partitionAfter() agrees with division on both sides of every border", () => {
  fc.assert(
    fc.property(
      ringSizes,
      fc.nat({ max: 1023 }),
      fc.constantFrom(-1n, 0n, 1n),
      (ringSize, partition, offset) => {
        const border = BigInt(partition % ringSize) * ringIncrement(ringSize);
        const number = (border + offset + RING_TOP) % RING_TOP;
        assertEquals(
          partitionIndex(partitionAfter(place(number), ringSize), ringSize),
          nextIndex(number, ringSize),
        );
      },
    ),
  );
});

Deno.test("a larger ring refines a smaller one: the owner's region never changes", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: RING_TOP - 1n }), (number) => {
      const bytes = place(number);
      for (let size = 8; size < 1024; size *= 2) {
        // The partition before the first owner is the one the place falls into.
        const coarse = (partitionAfter(bytes, size) + size - 1) % size;
        const fine = (partitionAfter(bytes, size * 2) + size * 2 - 1) %
          (size * 2);
        assertEquals(fine >> 1, coarse);
      }
    }),
  );
});

Deno.test("partitionAtIndex() undoes partitionIndex(), as a number and as digits", () => {
  fc.assert(fc.property(ringSizes, fc.nat({ max: 1023 }), (ringSize, n) => {
    const partition = n % ringSize;
    const index = partitionIndex(partition, ringSize);
    assertEquals(partitionAtIndex(index, ringSize), partition);
    assertEquals(partitionAtIndex(String(index), ringSize), partition);
  }));
});
