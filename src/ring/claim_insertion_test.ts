import { assert, assertEquals } from "@std/assert";
import { insertNode } from "./claim_insertion.ts";
import { windowsWithRepeat } from "./claim_quality.ts";

/** A ring in which these nodes take turns. */
function turns(size: number, nodes: readonly string[]): string[] {
  return Array.from({ length: size }, (_, i) => nodes[i % nodes.length]!);
}

function countOf(ring: readonly string[], node: string): number {
  return ring.filter((owner) => owner === node).length;
}

Deno.test("insertNode() gives a node its share, far apart, and moves nothing else", () => {
  const members = ["a", "b", "c", "d"];
  const ring = turns(64, members);
  const after = insertNode({ ring, node: "e", members, distanceMin: 4 })!;
  assertEquals(after.join("").slice(0, 20), "ebcdaecdabedabceabcd");
  assertEquals(windowsWithRepeat(after, 4), 0);
  assertEquals(
    after.filter((owner, i) => owner !== ring[i]),
    new Array(12).fill("e"),
  );
  assertEquals(
    [...members, "e"].map((node) => countOf(after, node)),
    [13, 13, 13, 13, 12],
  );
});

Deno.test("insertNode() lets the first members keep the remainder, as nodes are inserted", () => {
  const members = ["a", "b", "c", "d"];
  let ring = turns(64, members);
  for (const node of ["e", "f", "g", "h", "i", "j"]) {
    ring = insertNode({ ring, node, members, distanceMin: 4 })!;
    members.push(node);
    const share = 64 / members.length;
    assertEquals(windowsWithRepeat(ring, 4), 0, node);
    assertEquals(countOf(ring, "a"), Math.ceil(share), node);
    for (const member of members) {
      assert(Math.abs(countOf(ring, member) - share) < 1, member);
    }
  }
});

Deno.test("insertNode() returns undefined if it finds no ring", () => {
  const insert = (
    ring: readonly string[],
    members: readonly string[],
    distanceMin = 4,
  ) => insertNode({ ring, node: "x", members, distanceMin });
  // So far apart that there is no room.
  assertEquals(
    insert(turns(64, ["a", "b", "c", "d"]), ["a", "b"], 60),
    undefined,
  );
  assertEquals(insert(turns(16, ["a", "b"]), ["a", "b"]), undefined);
  // A node with less than a share gives nothing, and the others may not give
  // more.
  const crooked = [...new Array(15).fill("a"), "b"];
  assertEquals(insert(crooked, ["a", "b"], 1), undefined);
  // A node that is no longer a member.
  assertEquals(insert(turns(64, ["a", "b", "c", "d", "e"]), ["a"]), undefined);
  // More nodes than partitions.
  assertEquals(insert(["a", "b"], ["a", "b"]), undefined);
});
