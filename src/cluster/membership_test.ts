import { assertEquals } from "@std/assert";
import {
  addJoining,
  beginResize,
  freshRing,
  installResize,
  invite,
  markSeen,
  resumeResize,
  setOwnership,
  setStatus,
} from "../ring/ring_change.ts";
import type { Ring } from "../ring/ring.ts";
import {
  belongsTo,
  mayExit,
  refuseDown,
  refuseIdentity,
  refuseJoin,
} from "./membership.ts";

function facts(name: string, nodeId = `id-${name}`) {
  return { name, address: `${name}:1`, nodeId };
}

function fresh(name: string, size = 8, clusterName = "default"): Ring {
  return freshRing({
    clusterName,
    size,
    seed: `000000000000000${name.length}`,
    node: facts(name),
    wallMs: 0,
  });
}

Deno.test("refuseJoin() returns the error code of each reason against a join", () => {
  const self = facts("me");
  const local = fresh("me");
  const remote = fresh("other");
  const code = (
    node: string,
    ring: Ring | null,
    from = local,
    as = self,
  ) => refuseJoin(from, as, { node, ring })?.code ?? null;

  assertEquals(code("other", remote), null);
  assertEquals(code("me", remote), "self_join");
  assertEquals(code("other", null), "node_still_starting");
  assertEquals(code("other", fresh("other", 16)), "different_ring_sizes");
  assertEquals(code("other", fresh("other", 8, "prod")), "wrong_cluster");
  // Its vnodes would be taken for those of the ring to come, of which they are not.
  const resizing = beginResize(remote, "other", new Array(16).fill("other"));
  const grown = installResize(
    resumeResize(fresh("me", 16), "me", 1, new Array(8).fill("me")),
    "me",
  );
  assertEquals(code("other", resizing, grown), "pending_changes");
  assertEquals(code("other", resizing), null);
  const unfinished = beginResize(local, "me", new Array(16).fill("me"));
  assertEquals(code("other", remote, unfinished), "pending_changes");
  const joined = addJoining(local, facts("guest"), 0);
  assertEquals(code("other", remote, joined), "not_single_node");
  // A guest that was removed again does not count.
  const alone = setStatus(joined, "me", "guest", "invalid");
  assertEquals(code("other", remote, alone), null);
  // Two nodes that join each other at the same time: the second is told.
  assertEquals(
    code("other", addJoining(local, facts("other"), 0)),
    "not_single_node",
  );
  const known = addJoining(remote, self, 0);
  assertEquals(code("other", known), null);
  assertEquals(
    code("other", known, local, facts("me", "another")),
    "name_taken",
  );
});

Deno.test("refuseIdentity() frees the name of a removed member", () => {
  const ring = addJoining(fresh("a"), facts("b"), 0);
  assertEquals(refuseIdentity(ring, "b", "another")?.code, "name_taken");
  assertEquals(refuseIdentity(ring, "b", "id-b"), null);
  const removed = setStatus(ring, "a", "b", "invalid");
  assertEquals(refuseIdentity(removed, "b", "another"), null);
});

Deno.test("refuseDown() follows riak_core:down/1", () => {
  const alone = fresh("a");
  const ring = setStatus(addJoining(alone, facts("b"), 0), "a", "b", "valid");
  assertEquals(refuseDown(ring, "a", "c", false)?.code, "not_member");
  assertEquals(refuseDown(ring, "a", "b", true)?.code, "is_up");
  assertEquals(refuseDown(alone, "a", "a", false)?.code, "only_member");
  assertEquals(refuseDown(ring, "a", "b", false), null);
  // A guest may not be declared down before it has come, nor do it to its host.
  const invited = invite(alone, "a", facts("c"), 0);
  assertEquals(refuseDown(invited, "a", "c", false)?.code, "not_member");
  const joining = addJoining(alone, facts("c"), 0);
  assertEquals(refuseDown(joining, "a", "c", false), null);
  assertEquals(refuseDown(joining, "c", "a", false)?.code, "not_member");
});

Deno.test("mayExit() holds once a leaving member owns no current or future partition and all members have seen that ring", () => {
  const seen = (ring: Ring) =>
    markSeen(markSeen(ring, "a", ring.clock), "b", ring.clock);
  const ring = setStatus(
    addJoining(fresh("a"), facts("b"), 0),
    "a",
    "b",
    "valid",
  );
  const owners = [...ring.ownership.owners];
  const leaving = setStatus(ring, "b", "b", "leaving");
  assertEquals(mayExit(seen(leaving), "b"), true);
  assertEquals(mayExit(leaving, "b"), false);
  assertEquals(mayExit(seen(ring), "b"), false);
  const owns = setOwnership(leaving, "a", {
    owners: ["b", ...owners.slice(1)],
  });
  assertEquals(mayExit(seen(owns), "b"), false);
  const next = [{
    partition: 0,
    owner: "a",
    nextOwner: "b",
    term: 1,
    version: 2,
  }];
  assertEquals(mayExit(seen(setOwnership(leaving, "a", { next })), "b"), false);
});

Deno.test("belongsTo() is false only for a cluster that the node cannot enter without a new invitation", () => {
  const mine = fresh("me");
  const other = fresh("other");
  const { seed } = other.clusterId;
  assertEquals(belongsTo(seed, mine, mine, false), false);
  assertEquals(belongsTo(seed, mine, null, false), false);
  assertEquals(belongsTo(seed, other, mine, false), true);
  // After a crash it goes by this one again.
  assertEquals(belongsTo(seed, mine, other, false), true);
  // It may be about to.
  assertEquals(belongsTo(seed, mine, mine, true), true);
});
