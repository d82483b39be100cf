import { assertEquals } from "@std/assert";
import type { MemberStatusDot, Ring } from "../ring/ring.ts";
import {
  addJoining,
  freshRing,
  isInvited,
  rejoin,
  setOwnership,
  setStatus,
} from "../ring/ring_change.ts";
import { RING_NAMES_MAX } from "../ring/ring_reader.ts";
import { admit, isInvitedBy } from "./admission.ts";

const SEED = "0000000000000001";

function facts(name: string, nodeId = `id-${name}`) {
  return { name, address: `${name}:1`, nodeId };
}

const alone = freshRing({
  clusterName: "default",
  size: 8,
  seed: SEED,
  node: facts("host"),
  wallMs: 0,
});

function ask(ring: Ring, options: {
  self?: string;
  isLeaving?: boolean;
  stored?: Ring | null;
  from?: string;
  guest?: ReturnType<typeof facts>;
  seed?: string;
} = {}) {
  const { self = "host", isLeaving = false, seed = SEED } = options;
  const guest = options.guest ?? facts("guest");
  const { from = guest.name, stored = ring } = options;
  const host = { self, ring, stored, isLeaving };
  return admit(host, { from, guest, seed }, 0);
}

function code(...args: Parameters<typeof ask>): string {
  const admission = ask(...args);
  return admission.type === "refused" ? admission.error.code : admission.type;
}

Deno.test("admit() makes the claimant add the joining node to its ring as invited", () => {
  const admission = ask(alone);
  if (admission.type !== "invited") throw new Error(admission.type);
  assertEquals(isInvited(admission.ring, "guest"), true);
  const { meta } = admission.ring.members.get("guest") ?? { meta: new Map() };
  assertEquals(meta.get("address")?.value, "guest:1");
  assertEquals(meta.get("node_id")?.value, "id-guest");
});

Deno.test("admit() refuses a new name when the ring has no room for more names, and accepts one it has had before", () => {
  let ring = alone;
  for (let i = 1; i < RING_NAMES_MAX; i++) {
    ring = setStatus(ring, "host", `gone${i}`, "invalid");
  }
  assertEquals(code(ring), "overload");
  assertEquals(code(ring, { guest: facts("gone7") }), "invited");
});

Deno.test("admit() makes a new invitation each time", () => {
  const dots = (ring: Ring): readonly MemberStatusDot[] =>
    ring.members.get("guest")?.dots ?? [];
  const first = ask(alone);
  if (first.type !== "invited") throw new Error(first.type);
  const second = ask(first.ring);
  if (second.type !== "invited") throw new Error(second.type);
  assertEquals(dots(second.ring).length, 1);
  assertEquals(
    dots(second.ring)[0]?.counter,
    (dots(first.ring)[0]?.counter ?? 0) + 1,
  );
});

Deno.test("admit() refuses every join on a node that is leaving or has left", () => {
  assertEquals(code(alone, { isLeaving: true }), "node_still_starting");
  assertEquals(
    code(alone, { seed: "0000000000000002" }),
    "node_still_starting",
  );
});

Deno.test("admit() forwards a join request to the claimant, once", () => {
  const ring = addJoining(alone, facts("member"), 0);
  assertEquals(ask(ring, { self: "member" }), { type: "relay", to: "host" });
  assertEquals(
    code(ring, { self: "member", from: "another" }),
    "node_still_starting",
  );
  assertEquals(code(ring, { from: "member" }), "invited");
});

Deno.test("admit() does not invite a node into a ring which that node has left", () => {
  const ring = addJoining(alone, facts("member"), 0);
  assertEquals(
    code(ring, { self: "member", guest: facts("host") }),
    "not_single_node",
  );
});

Deno.test("admit() refuses to join a claimant that is not a full member", () => {
  const ring = setStatus(alone, "host", "host", "joining");
  assertEquals(code(ring), "node_still_starting");
});

Deno.test("admit() refuses a node that is already a member, and a name that is taken", () => {
  const joining = addJoining(alone, facts("guest"), 0);
  assertEquals(code(joining), "invited");
  assertEquals(
    code(joining, { guest: facts("guest", "another") }),
    "name_taken",
  );
  for (const status of ["valid", "leaving", "exiting"] as const) {
    assertEquals(
      code(setStatus(joining, "host", "guest", status)),
      "not_single_node",
    );
  }
  assertEquals(code(rejoin(joining, "guest")), "not_single_node");
  const removed = setStatus(joining, "host", "guest", "invalid");
  assertEquals(code(removed, { guest: facts("guest", "another") }), "invited");
});

// Story random_plans 30186: a fellow declared a node down that had left already,
// and its next joins were refused for good.
Deno.test("admit() invites a node that is down there and owns nothing, and refuses one that owns something", () => {
  const joining = addJoining(alone, facts("guest"), 0);
  const down = setStatus(joining, "host", "guest", "down");
  const admission = ask(down);
  if (admission.type !== "invited") throw new Error(admission.type);
  assertEquals(isInvited(admission.ring, "guest"), true);
  assertEquals(code(down, { guest: facts("guest", "another") }), "name_taken");
  const owners = down.ownership.owners.with(3, "guest");
  assertEquals(
    code(setOwnership(down, "host", { owners })),
    "not_single_node",
  );
});

Deno.test("admit() refuses every join until the host has stored a ring of its cluster", () => {
  assertEquals(code(alone, { stored: null }), "node_still_starting");
});

Deno.test("isInvitedBy() holds only for the same invitation, while it is stored and not withdrawn", () => {
  const admission = ask(alone);
  if (admission.type !== "invited") throw new Error(admission.type);
  const { ring } = admission;
  assertEquals(isInvitedBy(ring, ring, "guest"), true);
  assertEquals(isInvitedBy(null, ring, "guest"), false);
  assertEquals(isInvitedBy(alone, ring, "guest"), false);
  const later = ask(ring);
  if (later.type !== "invited") throw new Error(later.type);
  assertEquals(isInvitedBy(ring, later.ring, "guest"), false);
  assertEquals(isInvitedBy(later.ring, ring, "guest"), true);
  const back = setStatus(ring, "host", "guest", "invalid");
  assertEquals(isInvitedBy(back, ring, "guest"), false);
});
