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
  freshRing,
  installResize,
  setOrigin,
} from "./ring_change.ts";
import {
  mistakenMembers,
  originOf,
  originsIn,
  originText,
} from "./ring_origin.ts";

function aloneOf(name: string, size: number): Ring {
  return freshRing({
    clusterName: "default",
    size,
    seed: "0000000000000001",
    node: { name, address: `${name}:1`, nodeId: `id-${name}` },
    wallMs: 5,
  });
}

function resized(ring: Ring, size: number): Ring {
  const { claimant } = ring.ownership;
  const owners = new Array<string>(size).fill(claimant);
  return installResize(beginResize(ring, claimant, owners), claimant);
}

function joined(ring: Ring, origin: string | null): Ring {
  const node = { name: "b", address: "b:1", nodeId: "id-b", origin };
  return addJoining(ring, node, 6);
}

Deno.test("originText() is about rings of which one was resized", () => {
  const never = aloneOf("a", 16);
  assertEquals(originText(aloneOf("b", 16), never), null);
  assertEquals(originText(aloneOf("b", 32), resized(never, 32)), "0/32");
  assertEquals(originText(resized(aloneOf("b", 8), 16), never), "1/16");
  // The numbers are the same now, and will not be when the cluster is resized again.
  assertEquals(
    originText(resized(aloneOf("b", 8), 32), resized(never, 32)),
    "1/32",
  );
});

Deno.test("originOf() reads what a member says, and nothing that cannot be", () => {
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
  // It joins again, and from elsewhere.
  const again = joined(joined(ring, "3/32"), null);
  assertEquals(originOf(again, "b"), null);
  assertEquals(originsIn(joined(ring, "3/32")), [{ generation: 3, size: 32 }]);
});

Deno.test("vnodes that a member came with are former ones, in as many partitions as its ring had", () => {
  const ring = joined(resized(aloneOf("a", 16), 32), "0/32");
  const origin = originOf(ring, "b");
  assertEquals(vnodeSizes(ring).get(0), 16);
  assertEquals(vnodeSizes(ring, origin).get(0), 32);
  assertEquals(vnodeSizes(ring, origin).get(firstVnodeOf(1)), 32);
  assertEquals(formerVnodes(ring, origin), [0]);
  assertEquals(ageOfVnode(ring, 20, origin), "former");

  const unknown = { generation: 7, size: 32 };
  const theirs = firstVnodeOf(7) + 20;
  assertEquals(ageOfVnode(ring, theirs), "unknown");
  assertEquals(ageOfVnode(ring, theirs, unknown), "former");

  const present = { generation: 1, size: 32 };
  assertEquals(ageOfVnode(ring, firstVnodeOf(1), present), "present");
});

Deno.test("vnodes that a member came with are as many as its own ring had, also where the ring has others by their numbers", () => {
  const ring = joined(resized(aloneOf("a", 16), 32), "1/64");
  const origin = originOf(ring, "b");
  const first = firstVnodeOf(1);
  assertEquals(mistakenMembers(ring), ["b"]);
  assertEquals(vnodeSizes(ring, origin).get(first), 64);
  assertEquals(vnodeSizes(ring).get(first), 32);
  assertEquals(vnodeSizes(ring, { generation: 1, size: 8 }).get(first), 32);
  const told = setOrigin(ring, "b", null, 1);
  assertEquals([mistakenMembers(told), originOf(told, "b")], [[], null]);
  assertEquals(setOrigin(told, "b", null, 1), told);
});

Deno.test("beginResize() passes over generations that members have come with", () => {
  const ring = joined(joined(aloneOf("a", 16), "1/16"), "1/16");
  const under = beginResize(ring, "a", new Array<string>(8).fill("a"));
  const { generations } = under.ownership;
  assertEquals(generations.resize?.generation, 2);
  assertEquals(generations.sizes, [16, 0, 8]);
  const origin = originOf(under, "b");
  assertEquals(ageOfVnode(under, firstVnodeOf(1)), "aborted");
  // For whoever came with it, it is not.
  assertEquals(ageOfVnode(under, firstVnodeOf(1) + 3, origin), "former");
  assertEquals(ageOfVnode(under, firstVnodeOf(2), origin), "future");
});
