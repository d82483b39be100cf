import { assertEquals } from "@std/assert";
import type { Member } from "../raft/raft_entry.ts";
import { type EnsembleMembers, planMembers } from "./member_plan.ts";

function voter(node: string): Member {
  return { node, uid: 1, kind: "voter", target: 0 };
}

function coming(node: string): Member {
  return { node, uid: 2, kind: "promotable", target: 9 };
}

/** Uids that their nodes do not know. */
const GONE = 7;

/** An ensemble led by "a", all nodes up. */
function ensemble(
  members: readonly Member[],
  wanted: string,
  down = "",
): EnsembleMembers {
  return {
    members,
    leader: "a",
    wanted: [...wanted],
    isUp: (node) => !down.includes(node),
    isGone: ({ uid }) => uid === GONE,
  };
}

const ABC = [voter("a"), voter("b"), voter("c")];

Deno.test("planMembers() does nothing if the members are the wanted ones", () => {
  assertEquals(planMembers(ensemble(ABC, "cab")), { type: "none" });
  assertEquals(planMembers(ensemble(ABC, "cab", "bc")), { type: "none" });
});

Deno.test("planMembers() adds before it removes, and waits until the new one votes", () => {
  assertEquals(
    planMembers(ensemble(ABC, "abd")),
    { type: "add", node: "d" },
  );
  assertEquals(
    planMembers(ensemble([...ABC, coming("d")], "abd")),
    { type: "wait" },
  );
  assertEquals(
    planMembers(ensemble([...ABC, voter("d")], "abd")),
    { type: "remove", node: "c" },
  );
});

Deno.test("planMembers() transfers leadership before it removes the leader", () => {
  const members = [...ABC, voter("d")];
  assertEquals(
    planMembers(ensemble(members, "dbc")),
    { type: "transfer", to: "d" },
  );
  assertEquals(
    planMembers(ensemble(members, "dbc", "d")),
    { type: "transfer", to: "b" },
  );
  // Others to be removed go first.
  assertEquals(
    planMembers(ensemble([...members, voter("e")], "bcd")),
    { type: "remove", node: "e" },
  );
});

Deno.test("planMembers() does not add an unreachable node, nor remove another in its place", () => {
  assertEquals(planMembers(ensemble(ABC, "abd", "d")), { type: "wait" });
  assertEquals(
    planMembers(ensemble(ABC, "abde", "d")),
    { type: "add", node: "e" },
  );
});

Deno.test("planMembers() removes dead members first, and none that the rest needs to agree", () => {
  const members = [...ABC, voter("d"), voter("e")];
  assertEquals(
    planMembers(ensemble(members, "abc", "e")),
    { type: "remove", node: "e" },
  );
  // Of a, b and c only a would be reachable.
  assertEquals(
    planMembers(ensemble([...ABC, voter("d")], "abc", "bc")),
    { type: "wait" },
  );
});

Deno.test("planMembers() removes an unwanted non-voter at once", () => {
  assertEquals(
    planMembers(ensemble([voter("a"), coming("d")], "ab", "d")),
    { type: "remove", node: "d" },
  );
});

Deno.test("planMembers() takes a cluster from one node to three", () => {
  assertEquals(
    planMembers(ensemble([voter("a")], "abc")),
    { type: "add", node: "b" },
  );
  assertEquals(
    planMembers(ensemble([voter("a"), voter("b")], "abc")),
    { type: "add", node: "c" },
  );
});

Deno.test("planMembers() shrinks a cluster to the remaining nodes", () => {
  assertEquals(
    planMembers(ensemble(ABC, "ab", "c")),
    { type: "remove", node: "c" },
  );
  assertEquals(planMembers(ensemble(ABC, "")), { type: "wait" });
});

Deno.test("planMembers() adds a member again that its node has lost, if the others can agree on it", () => {
  const gone = { ...voter("c"), uid: GONE };
  const members = [voter("a"), voter("b"), gone];
  assertEquals(
    planMembers(ensemble(members, "abc")),
    { type: "add", node: "c" },
  );
  assertEquals(planMembers(ensemble(members, "abc", "b")), { type: "wait" });
  assertEquals(planMembers(ensemble(members, "abc", "c")), { type: "none" });
  assertEquals(
    planMembers(ensemble([...members, voter("d")], "abd")),
    { type: "remove", node: "c" },
  );
});
