import { assert, assertEquals } from "@std/assert";
import {
  CONSISTENT_BUCKETS_MAX,
  consistentBuckets,
  ensembleOwners,
  hasConsistentBuckets,
  markConsistent,
  markRootFormed,
  refuseMark,
  rootEnsemble,
  rootOwners,
} from "./consistent_buckets.ts";
import type { Ring } from "./ring.ts";
import { putRingMeta, setStatus } from "./ring_change.ts";
import { decodeRing, encodeRing } from "./ring_codec.ts";
import { mergeRings } from "./ring_merge.ts";
import { aloneOf } from "./testing/small_rings.ts";

function ringOf(...others: string[]): Ring {
  let ring = aloneOf("a", 8);
  for (const name of others) ring = setStatus(ring, "a", name, "valid");
  return ring;
}

const mark = (bucket: string) => ({
  bucket,
  numbers: [11, 12, 13, 14],
  wallMs: 1,
});

Deno.test("markConsistent() names the bucket and, with the first one, the root ensemble", () => {
  const ring = markConsistent(ringOf("b", "c", "d"), "a", mark("one"));
  assertEquals(consistentBuckets(ring), ["one"]);
  const root = {
    groupId: 11,
    members: [
      { node: "a", uid: 12 },
      { node: "b", uid: 13 },
      { node: "c", uid: 14 },
    ],
    formed: false,
  };
  assertEquals(rootEnsemble(ring), root);
  const second = markConsistent(ring, "a", {
    ...mark("an other"),
    numbers: [1, 2, 3, 4],
  });
  assertEquals(consistentBuckets(second), ["an other", "one"]);
  assertEquals(rootEnsemble(second), root);
  const formed = markRootFormed(second, "a", 2);
  assertEquals(rootEnsemble(formed), { ...root, formed: true });
  assert(markRootFormed(formed, "a", 3) === formed);
  // It survives a restart, and reaches other members.
  const { ring: read } = decodeRing(encodeRing(formed).bytes);
  assertEquals(rootEnsemble(read)?.formed, true);
  assertEquals(consistentBuckets(read), ["an other", "one"]);
});

Deno.test("a merge of rings loses no bucket that either has", () => {
  const ring = markConsistent(ringOf("b"), "a", mark("one"));
  const left = markConsistent(ring, "a", mark("two"));
  const right = markConsistent(ring, "b", mark("three"));
  for (const merged of [mergeRings(left, right), mergeRings(right, left)]) {
    assertEquals(consistentBuckets(merged), ["one", "three", "two"]);
  }
});

Deno.test("rings without a root ensemble, or with one that cannot be read, have none", () => {
  assertEquals(hasConsistentBuckets(ringOf()), false);
  for (
    const text of ["", "x", "b forming", "b formed !=a", "b forming c=a 0=b"]
  ) {
    const ring = putRingMeta(ringOf(), "a", "consistent.root", text, 1);
    assertEquals(rootEnsemble(ring), undefined, text);
  }
});

Deno.test("refuseMark() says why a bucket cannot be consistent", () => {
  const ring = ringOf("b");
  const code = (on: Ring, bucket: string) =>
    refuseMark(on, bucket)?.code ?? null;
  assertEquals(code(ring, "one"), null);
  assertEquals(code(ring, ""), "invalid_argument");
  assertEquals(code(ring, "x".repeat(129)), "invalid_argument");
  assertEquals(code(ring, "\ud800"), "invalid_argument");
  assertEquals(
    code(setStatus(ring, "a", "b", "down"), "one"),
    "pending_changes",
  );
  assertEquals(
    code(setStatus(ring, "a", "c", "joining"), "one"),
    "pending_changes",
  );
  let full = ring;
  for (let i = 0; i < CONSISTENT_BUCKETS_MAX; i++) {
    full = markConsistent(full, "a", mark(`bucket ${i}`));
  }
  assertEquals(code(full, "one more"), "invalid_argument");
  // All of them fit into a ring, together with everything else.
  assertEquals(
    consistentBuckets(decodeRing(encodeRing(full).bytes).ring).length,
    CONSISTENT_BUCKETS_MAX,
  );
});

Deno.test("rootOwners() keeps nodes that can stay and adds the first others", () => {
  const ring = ringOf("b", "c", "d", "e");
  assertEquals(rootOwners(ring, []), ["a", "b", "c"]);
  assertEquals(rootOwners(ring, ["c", "d", "e"]), ["c", "d", "e"]);
  const left = setStatus(ring, "a", "d", "leaving");
  assertEquals(rootOwners(left, ["c", "d", "e"]), ["a", "c", "e"]);
  assertEquals(rootOwners(ringOf(), ["a", "z"]), ["a"]);
});

Deno.test("ensembleOwners() continues round the ring if the list contains a node twice", () => {
  const owners = ["a", "b", "c", "a", "b", "a", "c", "a"];
  assertEquals(ensembleOwners(owners, 0), ["a", "b", "c"]);
  assertEquals(ensembleOwners(owners, 5), ["a", "c", "b"]);
  assertEquals(ensembleOwners(owners, 7), ["a", "b", "c"]);
  assertEquals(ensembleOwners(["a", "b", "a", "b"], 1), ["b", "a"]);
  assertEquals(ensembleOwners(["a", "a"], 1), ["a"]);
});
