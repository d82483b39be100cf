import { assertEquals } from "@std/assert";
import type { Ring } from "../../ring/ring.ts";
import { freshRing, setOwnership, setStatus } from "../../ring/ring_change.ts";
import { checkDeletion } from "./deletion_watch.ts";
import { RingWatch } from "./ring_watch.ts";

const ring = freshRing({
  clusterName: "c",
  size: 8,
  node: { name: "a", nodeId: "1", address: "a:1" },
  wallMs: 0,
  seed: "0123456789abcdef",
});
const owners = (owner: string): string[] => Array(8).fill(owner);

/** The checks that fail when nodes use these rings, one after the other. */
function checksOf(...seen: readonly (readonly [string, Ring])[]): string[] {
  const watch = new RingWatch();
  seen.forEach(([node, ring], i) => watch.see(node, ring, i));
  return watch.violations.map(({ check }) => check);
}

Deno.test("RingWatch passes successive rings", () => {
  const next = setOwnership(ring, "a", { committedPlan: "p" });
  assertEquals(checksOf(["a", ring], ["a", next], ["b", ring]), []);
});

Deno.test("RingWatch reports a version with two contents", () => {
  const one = setOwnership(ring, "a", { committedPlan: "p" });
  const other = setOwnership(ring, "a", { committedPlan: "q" });
  assertEquals(checksOf(["a", one], ["b", other]), ["ownership_version"]);
});

Deno.test("RingWatch reports a term with two claimants", () => {
  const other = {
    ...ring,
    ownership: { ...ring.ownership, claimant: "b" },
  };
  assertEquals(checksOf(["a", ring], ["b", other]), ["one_claimant_a_term"]);
});

Deno.test("RingWatch reports a ring that goes back, except across a restart", () => {
  const next = setOwnership(ring, "a", { committedPlan: "p" });
  assertEquals(checksOf(["a", next], ["a", ring]), ["ring_goes_back"]);
  const watch = new RingWatch();
  watch.see("a", next, 1);
  watch.begins("a", ring, 2);
  watch.see("a", ring, 3);
  assertEquals(watch.violations, []);
});

Deno.test("RingWatch reports a partition whose owner is not a member", () => {
  const agreed = (ring: Ring): Ring => ({
    ...ring,
    seen: new Map([["a", ring.clock]]),
  });
  const removed = setOwnership(
    setStatus(ring, "a", "b", "invalid"),
    "a",
    { owners: [...owners("a").slice(1), "b"] },
  );
  assertEquals(checksOf(["a", agreed(removed)]), ["partition_without_owner"]);
  const strange = setOwnership(ring, "a", { owners: owners("c") });
  assertEquals(checksOf(["a", agreed(strange)]), ["partition_without_owner"]);
});

Deno.test("checkDeletion() allows deleting what another node has, as it is or contained in a newer object", () => {
  const object = (...bytes: number[]) => new Uint8Array(bytes);
  const deleted = new Map([["k", object(1)], ["l", object(2)]]);
  const covers = (a: Uint8Array, b: Uint8Array) => a.includes(b[0] as number);
  const check = (...others: Map<string, Uint8Array>[]) =>
    checkDeletion("n1", deleted, others, covers).map(({ message }) => message);
  assertEquals(
    check(
      new Map([["k", object(1)]]),
      new Map([["l", object(7, 2)]]),
    ),
    [],
  );
  assertEquals(check(new Map([["k", object(1)]])), [
    "n1 deletes 1 object that no other node has in that partition: l",
  ]);
  assertEquals(check(), [
    "n1 deletes 2 objects that no other node has in that partition: k, l",
  ]);
});
