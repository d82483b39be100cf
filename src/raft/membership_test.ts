import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  changeMembers,
  isMember,
  isVoter,
  membershipBody,
  membershipOf,
  promoteMember,
  votersOf,
} from "./membership.ts";
import { majorityOf } from "./quorum_index.ts";
import type { Membership } from "./raft_entry.ts";
import type { MembershipChange } from "./raft_events.ts";
import { memberOf, votersOn } from "./testing/one_member.ts";

Deno.test("changeMembers() keeps members in order of their nodes", () => {
  const after = changeMembers(
    votersOn("ac"),
    { type: "add", node: "b", uid: 2, kind: "voter" },
    5,
  );
  assertEquals(after, votersOn("abc", 5));
});

Deno.test("changeMembers() sets the target of a promotable member, and of no other", () => {
  const change = { type: "add", node: "b", uid: 2 } as const;
  const kinds = ["voter", "promotable", "non_voter"] as const;
  for (const kind of kinds) {
    assertEquals(changeMembers(votersOn("a"), { ...change, kind }, 5), {
      index: 5,
      members: [
        memberOf("a"),
        memberOf("b", kind, kind === "promotable" ? 5 : 0),
      ],
    });
  }
});

Deno.test("changeMembers() never leaves a group without voters", () => {
  const { members } = votersOn("b");
  const before = {
    index: 0,
    members: [memberOf("a", "non_voter"), ...members],
  };
  assertEquals(
    changeMembers(before, { type: "remove", node: "b" }, 1),
    "cluster_change_not_permitted",
  );
  assertEquals(
    changeMembers(before, { type: "add", node: "b", uid: 9, kind: "voter" }, 1),
    "cluster_change_not_permitted",
  );
});

Deno.test("promoteMember() makes a member a voter", () => {
  const before = {
    index: 3,
    members: [memberOf("a"), memberOf("b", "promotable", 3)],
  };
  assertEquals(promoteMember(before, "b", 4), votersOn("ab", 4));
});

Deno.test("isVoter() and isMember() refer to one incarnation of a member", () => {
  const members = {
    index: 0,
    members: [memberOf("a"), memberOf("b", "non_voter")],
  };
  assert(isVoter(members, "a", 1) && !isVoter(members, "a", 2));
  assert(!isVoter(members, "b", 2) && isMember(members, "b", 2));
  assert(!isMember(members, "c", 3));
});

Deno.test("membershipOf() undoes membershipBody(), and has the index of the entry", () => {
  const membership = {
    index: 7,
    members: [
      memberOf("a"),
      memberOf("b", "promotable", 300),
      memberOf("c", "non_voter"),
    ],
  };
  const body = membershipBody(membership);
  assertEquals(membershipOf({ index: 7, term: 1, body }), membership);
  assertEquals(membershipOf({ index: 8, term: 1, body }).index, 8);
});

/** All sets of `voters` that are a majority. */
function majorities(voters: readonly string[]): Set<string>[] {
  const sets: Set<string>[] = [];
  for (let bits = 0; bits < 1 << voters.length; bits++) {
    const set = new Set(voters.filter((_, i) => bits & 1 << i));
    if (set.size >= majorityOf(voters.length)) sets.push(set);
  }
  return sets;
}

Deno.test("changeMembers() leaves a common voter to every majority before and after it (thesis 4.1)", () => {
  const kind = fc.constantFrom("voter", "promotable", "non_voter");
  const member = fc.record({ node: fc.constantFrom(..."abcdef"), kind });
  const change = fc.record({
    add: fc.boolean(),
    node: fc.constantFrom(..."abcdef"),
    uid: fc.constantFrom(1, 9),
    kind,
  });
  fc.assert(fc.property(
    fc.uniqueArray(member, { selector: ({ node }) => node, minLength: 1 }),
    change,
    (list, { add, node, uid, kind }) => {
      const before: Membership = {
        index: 0,
        members: list.map(({ node, kind }) => ({
          node,
          uid: 1,
          kind: kind as "voter",
          target: 0,
        })),
      };
      const wish = add
        ? { type: "add", node, uid, kind }
        : { type: "remove", node };
      const after = changeMembers(before, wish as MembershipChange, 1);
      if (typeof after === "string") return;
      const names = (membership: Membership) =>
        votersOf(membership).map(({ node, uid }) => `${node}/${uid}`);
      for (const one of majorities(names(before))) {
        for (const other of majorities(names(after))) {
          assert([...one].some((voter) => other.has(voter)));
        }
      }
    },
  ));
});
