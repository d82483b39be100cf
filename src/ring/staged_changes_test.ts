import { assertEquals } from "@std/assert";
import type { ErrorCode } from "../base/errors.ts";
import type { Ring, StagedChange } from "./ring.ts";
import {
  addJoining,
  invite,
  rejoin,
  setOwnership,
  setStatus,
} from "./ring_change.ts";
import {
  joiningMembers,
  refuseChange,
  stagedChanges,
  stagedJoins,
  withChange,
} from "./staged_changes.ts";
import { aloneOf, facts } from "./testing/small_rings.ts";

/** The claimant `a`, valid `b` and `c`, and joining `j` and `k`. */
function cluster(): Ring {
  let ring = aloneOf("a", 8);
  for (const name of ["b", "c", "j", "k"]) {
    ring = addJoining(ring, facts(name), 0);
  }
  ring = setStatus(ring, "a", "b", "valid");
  return setStatus(ring, "a", "c", "valid");
}

const leave = (node: string): StagedChange => ({
  action: "leave",
  node,
  replacement: null,
});
const remove = (node: string): StagedChange => ({
  action: "remove",
  node,
  replacement: null,
});
const replace = (node: string, replacement: string): StagedChange => ({
  action: "replace",
  node,
  replacement,
});
const forceReplace = (node: string, replacement: string): StagedChange => ({
  action: "force_replace",
  node,
  replacement,
});

/** Why `change` is refused beside `staged`. */
function refusal(
  ring: Ring,
  change: StagedChange,
  ...staged: StagedChange[]
): ErrorCode | null {
  return refuseChange(ring, staged, change)?.code ?? null;
}

Deno.test("refuseChange() accepts every type of change of a member", () => {
  const ring = cluster();
  for (
    const change of [
      leave("a"),
      leave("b"),
      remove("b"),
      replace("a", "j"),
      forceReplace("b", "j"),
    ]
  ) assertEquals(refusal(ring, change), null);
});

Deno.test("refuseChange() refuses changes of nodes that are not full members with not_member", () => {
  const ring = setStatus(cluster(), "a", "c", "invalid");
  for (const node of ["c", "x", "j"]) {
    assertEquals(refusal(ring, leave(node)), "not_member");
    assertEquals(refusal(ring, remove(node)), "not_member");
    assertEquals(refusal(ring, replace(node, "k")), "not_member");
    assertEquals(refusal(ring, forceReplace(node, "k")), "not_member");
  }
});

Deno.test("refuseChange() refuses with only_member changes that would leave nobody to own the ring", () => {
  let ring = cluster();
  for (const node of ["j", "k"]) ring = setStatus(ring, "a", node, "invalid");
  assertEquals(refusal(ring, leave("a"), leave("b")), null);
  assertEquals(
    refusal(ring, leave("a"), leave("b"), leave("c")),
    "only_member",
  );
  assertEquals(
    refusal(ring, leave("a"), leave("b"), remove("c")),
    "only_member",
  );
  assertEquals(refusal(setStatus(ring, "a", "b", "down"), leave("a")), null);
  ring = setStatus(setStatus(ring, "a", "b", "down"), "a", "c", "leaving");
  assertEquals(refusal(ring, leave("a")), "only_member");
  // One that joins in the same plan is enough.
  assertEquals(refusal(addJoining(ring, facts("n"), 0), leave("a")), null);
});

Deno.test("refuseChange() refuses to let a leaving or exiting member leave or be replaced", () => {
  for (const status of ["leaving", "exiting"] as const) {
    const ring = setStatus(cluster(), "a", "b", status);
    assertEquals(refusal(ring, leave("b")), "already_leaving");
    assertEquals(refusal(ring, replace("b", "j")), "already_leaving");
    assertEquals(refusal(ring, remove("b")), null);
    assertEquals(refusal(ring, forceReplace("b", "j")), null);
  }
});

Deno.test("refuseChange() requires force if a member is down", () => {
  const ring = setStatus(cluster(), "a", "b", "down");
  assertEquals(refusal(ring, leave("b")), "not_reachable");
  assertEquals(refusal(ring, replace("b", "j")), "not_reachable");
  assertEquals(refusal(ring, remove("b")), null);
  assertEquals(refusal(ring, forceReplace("b", "j")), null);
});

Deno.test("refuseChange() keeps the claimant from being removed by force", () => {
  assertEquals(refusal(cluster(), remove("a")), "is_claimant");
  assertEquals(refusal(cluster(), forceReplace("a", "j")), "is_claimant");
});

Deno.test("refuseChange() accepts a joining node as replacement, once", () => {
  const ring = cluster();
  for (const by of ["c", "x", "b"]) {
    assertEquals(refusal(ring, replace("b", by)), "invalid_replacement");
    assertEquals(refusal(ring, forceReplace("b", by)), "invalid_replacement");
  }
  // Nobody has heard from an invited one yet.
  const invited = invite(ring, "a", facts("i"), 0);
  assertEquals(refusal(invited, replace("b", "i")), "invalid_replacement");
  const taken = replace("c", "j");
  assertEquals(refusal(ring, replace("b", "j"), taken), "already_replacement");
  assertEquals(
    refusal(ring, forceReplace("b", "j"), taken),
    "already_replacement",
  );
  assertEquals(refusal(ring, replace("b", "k"), taken), null);
  // Staging it again for the same member replaces it.
  assertEquals(refusal(ring, forceReplace("c", "j"), taken), null);
});

Deno.test("withChange() keeps one change for each member, sorted", () => {
  const staged = withChange(withChange([], leave("b")), leave("a"));
  assertEquals(staged, [leave("a"), leave("b")]);
  assertEquals(withChange(staged, remove("b")), [leave("a"), remove("b")]);
});

Deno.test("stagedChanges() drops changes that no longer make sense", () => {
  const staged = [leave("b"), replace("c", "j")];
  let ring = setOwnership(cluster(), "a", { staged });
  assertEquals(stagedChanges(ring), staged);
  ring = setStatus(ring, "a", "j", "invalid");
  assertEquals(stagedChanges(ring), [leave("b")]);
  ring = setStatus(ring, "a", "b", "invalid");
  assertEquals(stagedChanges(ring), []);
});

Deno.test("stagedChanges() drops the forced removal of a node that has become the claimant", () => {
  const ring = setOwnership(cluster(), "a", { staged: [remove("b")] });
  const taken = { ...ring, ownership: { ...ring.ownership, claimant: "b" } };
  assertEquals(stagedChanges(taken), []);
});

Deno.test("stagedJoins() leaves out nodes that were only invited or need no commit", () => {
  let ring = invite(cluster(), "a", facts("i"), 0);
  ring = addJoining(ring, facts("n"), 0, { autoJoin: true });
  assertEquals(stagedJoins(ring), ["j", "k"]);
  assertEquals(joiningMembers(ring), ["i", "j", "k"]);
  // A member that was declared dead by mistake is not one of them, whatever it
  // says.
  ring = rejoin(setStatus(ring, "b", "a", "down"), "a");
  assertEquals(joiningMembers(ring), ["i", "j", "k"]);
});
