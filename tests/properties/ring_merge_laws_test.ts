/**
 * The checker of the laws of merging, on rings of random histories: it accepts
 * the merge that we have and finds each of some that are no join.
 */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import type { Ring } from "../../src/ring/ring.ts";
import { mergeRings } from "../../src/ring/ring_merge.ts";
import { checkRingMergeLaws } from "../../src/simulation/checkers/ring_merge_laws.ts";
import { ringHistory } from "./random_rings.ts";

const histories = fc.sample(ringHistory, { numRuns: 60, seed: 1 });

Deno.test("checkRingMergeLaws() accepts the merge of rings", () => {
  for (const rings of histories) {
    assertEquals(checkRingMergeLaws(rings, { ringsMax: 6 }), []);
  }
});

const broken: Record<string, (a: Ring, b: Ring) => Ring> = {
  "commutative": (a, b) => ({ ...mergeRings(a, b), ownership: a.ownership }),
  "idempotent": (a, b) => {
    const merged = mergeRings(a, b);
    const { ownership } = merged;
    return {
      ...merged,
      ownership: { ...ownership, version: ownership.version + 1 },
    };
  },
  // The larger clock wins, but what is as large is merged.
  "associative": (a, b) =>
    a.clock.size === b.clock.size
      ? mergeRings(a, b)
      : a.clock.size > b.clock.size
      ? a
      : b,
};

for (const [law, merge] of Object.entries(broken)) {
  Deno.test(`checkRingMergeLaws() finds a merge that is not ${law}`, () => {
    const found = histories.flatMap((rings) =>
      checkRingMergeLaws(rings, { ringsMax: 6, merge })
    );
    assert(
      found.some(({ message }) =>
        message.startsWith(`Merging rings is not ${law}: `)
      ),
      `${found.length} others`,
    );
  });
}

Deno.test("checkRingMergeLaws() takes no more rings than it may, and never those of two clusters together", () => {
  const rings = histories.toSorted((a, b) => b.length - a.length)[0]!;
  assert(rings.length > 3);
  let merges = 0;
  const counted = (a: Ring, b: Ring): Ring => {
    merges++;
    return mergeRings(a, b);
  };
  assertEquals(checkRingMergeLaws(rings, { ringsMax: 3, merge: counted }), []);
  // 9 pairs, 3 with themselves, 3 repeated, and 6 triples with two merges more each.
  assert(merges <= 27, `${merges}`);
  const foreign = rings.map((ring) => ({ ...ring, clusterName: "another" }));
  assertEquals(checkRingMergeLaws([...rings, ...foreign], { ringsMax: 3 }), []);
});
