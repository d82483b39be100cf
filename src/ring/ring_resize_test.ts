import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { chashKey, partitionAfter } from "./chash.ts";
import { claimQuality } from "./claim_quality.ts";
import { keepersOf, resizedOwners } from "./ring_resize.ts";

const size = fc.constantFrom(8, 16, 32, 64, 128);

Deno.test("keepersOf() names the nodes that have the keys of a partition now", () => {
  fc.assert(fc.property(size, size, fc.string(), (before, after, key) => {
    const owners = Array.from({ length: before }, (_, i) => `n${i}`);
    const place = chashKey("b", key);
    const keeper = keepersOf(owners, after)[partitionAfter(place, after)];
    const owner = owners[partitionAfter(place, before)];
    // With fewer partitions, each has the keys of several.
    if (after >= before) assertEquals(keeper, owner);
  }));
});

Deno.test("resizedOwners() is balanced and keeps replicas on distinct nodes", () => {
  const nodes = ["a", "b", "c", "d", "e"];
  let owners = new Array<string>(64).fill("a");
  for (const after of [64, 128, 16, 8, 32]) {
    const resized = resizedOwners(owners, after, nodes, 4);
    const quality = claimQuality(resized, resized, nodes);
    assertEquals(resized.length, after);
    assertEquals(quality.spread <= 1, true);
    // With five nodes on eight partitions, some repeat is unavoidable.
    if (after > 8) assertEquals(quality.windowsOf4WithRepeat, 0);
    owners = resized;
  }
});

Deno.test("resizedOwners() moves few keys if that costs no replica", () => {
  const owners = Array.from({ length: 16 }, (_, i) => "ab"[i % 2] as string);
  const resized = resizedOwners(owners, 32, ["a", "b"], 4);
  const keepers = keepersOf(owners, 32);
  const moved = resized.filter((owner, i) => owner !== keepers[i]).length;
  assertEquals(moved, 0);
});
