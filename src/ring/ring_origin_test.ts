import { assertEquals } from "@std/assert";
import {
  ageOfVnode,
  firstVnodeOf,
  formerVnodes,
  vnodeSizes,
} from "./ring_generations.ts";
import type { Ring } from "./ring.ts";
import {
  addJoining,
  beginResize,
  installResize,
  setOrigins,
} from "./ring_change.ts";
import {
  LOST_ORIGINS_MAX,
  mistakenMembers,
  originOf,
  originsIn,
  originsOf,
  originText,
} from "./ring_origin.ts";
import { aloneOf } from "./testing/small_rings.ts";

function resized(ring: Ring, size: number): Ring {
  const { claimant } = ring.ownership;
  const owners = new Array<string>(size).fill(claimant);
  return installResize(beginResize(ring, claimant, owners), claimant);
}

function joined(ring: Ring, origin: string | null): Ring {
  const node = { name: "b", address: "b:1", nodeId: "id-b", origin };
  return addJoining(ring, node, 6);
}

Deno.test("originText() is non-null only if one of the rings was resized", () => {
  const never = aloneOf("a", 16);
  assertEquals(originText(aloneOf("b", 16), never), null);
  assertEquals(originText(aloneOf("b", 32), resized(never, 32)), "0/32");
  assertEquals(originText(resized(aloneOf("b", 8), 16), never), "1/16");
  // The numbers are the same now, and will not be when the cluster is resized
  // again.
  assertEquals(
    originText(resized(aloneOf("b", 8), 32), resized(never, 32)),
    "2/32",
  );
});

Deno.test("originOf() parses what a member publishes, and ignores invalid text", () => {
  const ring = aloneOf("a", 16);
  assertEquals(originOf(joined(ring, "3/32"), "b"), {
    generation: 3,
    size: 32,
  });
  assertEquals(originOf(ring, "a"), null);
  assertEquals(originOf(ring, "b"), null);
  for (
    const said of [null, "", "3", "3/33", "3/0", "3/2048", "-1/8", "3/32 "]
  ) {
    assertEquals(originOf(joined(ring, said), "b"), null, String(said));
  }
  // It joins again, from elsewhere.
  const again = joined(joined(ring, "3/32"), null);
  assertEquals(originOf(again, "b"), null);
  assertEquals(originsIn(joined(ring, "3/32")), [{ generation: 3, size: 32 }]);
});

Deno.test("vnodes that a member brought along are former ones, as many as its ring had partitions", () => {
  const ring = joined(resized(aloneOf("a", 16), 32), "0/32");
  const origins = originsOf(ring, "b");
  assertEquals(vnodeSizes(ring).get(0), 16);
  assertEquals(vnodeSizes(ring, origins).get(0), 32);
  assertEquals(vnodeSizes(ring, origins).get(firstVnodeOf(2)), 32);
  assertEquals(formerVnodes(ring, origins), [0]);
  assertEquals(ageOfVnode(ring, 20, origins), "former");

  const unknown = { generation: 7, size: 32 };
  const theirs = firstVnodeOf(7) + 20;
  assertEquals(ageOfVnode(ring, theirs), "unknown");
  assertEquals(ageOfVnode(ring, theirs, [unknown]), "former");

  const present = { generation: 2, size: 32 };
  assertEquals(ageOfVnode(ring, firstVnodeOf(2), [present]), "present");
});

Deno.test("vnodes that a member brought along are as many as its own ring had, even if the ring has others with their numbers", () => {
  const ring = joined(resized(aloneOf("a", 16), 32), "2/64");
  const origins = originsOf(ring, "b");
  const first = firstVnodeOf(2);
  assertEquals(mistakenMembers(ring), ["b"]);
  assertEquals(vnodeSizes(ring, origins).get(first), 64);
  assertEquals(vnodeSizes(ring).get(first), 32);
  assertEquals(vnodeSizes(ring, [{ generation: 2, size: 8 }]).get(first), 32);
  const told = setOrigins(ring, "b", [], 1);
  assertEquals([mistakenMembers(told), originOf(told, "b")], [[], null]);
  assertEquals(setOrigins(told, "b", [], 1), told);
});

Deno.test("setOrigins() keeps further origins of a member until it joins again", () => {
  const all = [
    { generation: 1, size: 64 },
    { generation: 2, size: 16 },
    { generation: 8, size: 8 },
  ];
  const came = joined(aloneOf("a", 16), "1/64");
  const ring = setOrigins(came, "b", all, 1);
  assertEquals(originOf(ring, "b"), { generation: 1, size: 64 });
  assertEquals(originsOf(ring, "b"), all);
  assertEquals(originsIn(ring), all);
  assertEquals(setOrigins(ring, "b", all, 2), ring);
  // What has been handed on is no longer named; the others still are.
  const left = setOrigins(ring, "b", all.slice(1), 2);
  assertEquals(originsOf(left, "b"), all.slice(1));
  assertEquals(originOf(left, "b"), { generation: 2, size: 16 });
  const again = joined(ring, "4/32");
  assertEquals(originsOf(again, "b"), [{ generation: 4, size: 32 }]);
  // None of their numbers is used for a resize.
  const begun = beginResize(ring, "a", new Array<string>(8).fill("a"));
  assertEquals(begun.ownership.generations.resize?.generation, 16);
});

Deno.test("setOrigins() keeps the first origins, one for each number", () => {
  const all = Array.from(
    { length: LOST_ORIGINS_MAX + 2 },
    (_, generation) => ({ generation, size: 1_024 }),
  );
  const ring = setOrigins(joined(aloneOf("a", 16), null), "b", all, 1);
  assertEquals(originsOf(ring, "b"), all.slice(0, LOST_ORIGINS_MAX + 1));
});

Deno.test("vnodeSizes() has as many vnodes of a generation as the largest ring a member has used", () => {
  const ring = aloneOf("a", 16);
  const sizes = [32, 8].map((size) => ({ generation: 1, size }));
  for (const origins of [sizes, sizes.toReversed()]) {
    assertEquals(vnodeSizes(ring, origins).get(firstVnodeOf(1)), 32);
  }
});

Deno.test("beginResize() skips generations that members have brought along", () => {
  const ring = joined(joined(aloneOf("a", 16), "8/16"), "8/16");
  const under = beginResize(ring, "a", new Array<string>(8).fill("a"));
  const { generations } = under.ownership;
  assertEquals(generations.resize?.generation, 16);
  assertEquals(generations.sizes, [16, ...new Array(15).fill(0), 8]);
  const origins = originsOf(under, "b");
  assertEquals(ageOfVnode(under, firstVnodeOf(8)), "aborted");
  // To the node that came with it, it is not.
  assertEquals(ageOfVnode(under, firstVnodeOf(8) + 3, origins), "former");
  assertEquals(ageOfVnode(under, firstVnodeOf(16), origins), "future");
});
