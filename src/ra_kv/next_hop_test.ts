import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  type Hop,
  type HopView,
  mayTryAgain,
  nextHop,
  wasNotDone,
} from "./next_hop.ts";

function hop(view: Partial<HopView>): Hop {
  return nextHop({
    wants: "leader",
    forwarded: false,
    self: "a",
    here: undefined,
    hint: undefined,
    avoid: undefined,
    ...view,
  });
}

const to = (node: string): Hop => ({ type: "to", node });
const follower = { leads: false, leader: "b", isLonely: false };
const hint = { leader: "c", members: ["b", "c"] };

Deno.test("nextHop() stays where the leader is, or a member if that is enough", () => {
  assertEquals(hop({ here: { ...follower, leads: true, leader: "a" } }), {
    type: "here",
  });
  assertEquals(hop({ here: follower, wants: "member" }), { type: "here" });
  assertEquals(hop({ here: follower, wants: "member", forwarded: true }), {
    type: "here",
  });
});

Deno.test("nextHop() goes to the leader that the member here knows", () => {
  assertEquals(hop({ here: follower, hint }), to("b"));
});

Deno.test("nextHop() waits while the member here knows no leader, or a wrong one", () => {
  const here = { ...follower, leader: undefined };
  assertEquals(hop({ here, hint }), { type: "wait" });
  assertEquals(hop({ here: follower, avoid: "b" }), { type: "wait" });
  assertEquals(hop({ here: { ...follower, leader: "a" } }), { type: "wait" });
});

Deno.test("nextHop() asks others for a leader once the member here has had none for a while", () => {
  const here = { leads: false, leader: undefined, isLonely: true };
  assertEquals(hop({ here }), { type: "find" });
  assertEquals(hop({ here, hint }), to("c"));
  assertEquals(hop({ here, hint, avoid: "c" }), { type: "find" });
  // Other members are asked, but get no operation: they may not know a leader
  // either.
  assertEquals(hop({ here, hint: { leader: undefined, members: ["b"] } }), {
    type: "find",
  });
  assertEquals(hop({ here, hint: { leader: "a", members: ["b"] } }), {
    type: "find",
  });
  assertEquals(hop({ here, hint, wants: "member" }), { type: "here" });
});

Deno.test("nextHop() follows what others said if there is no member here", () => {
  assertEquals(hop({ hint }), to("c"));
  assertEquals(hop({ hint, wants: "member" }), to("b"));
  assertEquals(hop({ hint, avoid: "c" }), to("b"));
  assertEquals(hop({ hint: { leader: undefined, members: ["b"] } }), to("b"));
});

Deno.test("nextHop() asks who has a member when it knows of none, or of none any longer", () => {
  assertEquals(hop({}), { type: "find" });
  assertEquals(hop({ hint: { leader: "b", members: ["b"] }, avoid: "b" }), {
    type: "find",
  });
  assertEquals(hop({ hint: { leader: "a", members: ["a"] } }), {
    type: "find",
  });
});

Deno.test("nextHop() sends no operation on that another node sent here", () => {
  const name = fc.constantFrom("a", "b", "c");
  const maybe = fc.option(name, { nil: undefined });
  fc.assert(fc.property(
    fc.constantFrom<"leader" | "member">("leader", "member"),
    fc.option(
      fc.record({
        leads: fc.boolean(),
        leader: maybe,
        isLonely: fc.boolean(),
      }),
      { nil: undefined },
    ),
    fc.option(fc.record({ leader: maybe, members: fc.array(name) }), {
      nil: undefined,
    }),
    maybe,
    (wants, here, hint, avoid) => {
      const { type } = hop({ wants, here, hint, avoid, forwarded: true });
      const stays = here !== undefined && (here.leads || wants === "member");
      assertEquals(type, stays ? "here" : "refuse");
    },
  ));
});

Deno.test("nextHop() never goes to its own node, nor to the one to avoid", () => {
  const name = fc.constantFrom("a", "b", "c");
  const maybe = fc.option(name, { nil: undefined });
  fc.assert(fc.property(
    fc.constantFrom<"leader" | "member">("leader", "member"),
    fc.option(
      fc.record({
        leads: fc.boolean(),
        leader: maybe,
        isLonely: fc.boolean(),
      }),
      { nil: undefined },
    ),
    fc.option(fc.record({ leader: maybe, members: fc.array(name) }), {
      nil: undefined,
    }),
    maybe,
    (wants, here, hint, avoid) => {
      const next = hop({ wants, here, hint, avoid });
      if (next.type !== "to") return;
      assertEquals([next.node === "a", next.node === avoid], [false, false]);
    },
  ));
});

Deno.test("mayTryAgain() repeats what was not done, and reads in any case", () => {
  const cases: [string, boolean, boolean, boolean][] = [
    // code, of a write, of a read, from another node
    ["not_leader", true, true, true],
    ["transferring", true, true, true],
    ["unknown_cluster", true, true, true],
    ["unknown_cluster", false, false, false],
    ["leader_lost", false, true, true],
    ["closed", false, true, false],
    ["timeout", false, false, true],
    ["overload", false, false, true],
    ["index_mismatch", false, false, true],
  ];
  for (const [code, write, read, elsewhere] of cases) {
    const refusal = { code, isRead: false, elsewhere, forwarded: false };
    assertEquals(mayTryAgain(refusal), write, code);
    assertEquals(wasNotDone(refusal), write, code);
    assertEquals(mayTryAgain({ ...refusal, isRead: true }), read, code);
    assertEquals(
      mayTryAgain({ ...refusal, isRead: true, forwarded: true }),
      false,
    );
  }
});
