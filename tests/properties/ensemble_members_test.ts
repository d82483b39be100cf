/**
 * Laws of how the members of an ensemble follow the ring (`member_plan.ts`),
 * whoever is up and whatever the ring says meanwhile.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import type { Member } from "../../src/raft/raft_entry.ts";
import { planMembers } from "../../src/ensemble/member_plan.ts";

const NODES = ["a", "b", "c", "d", "e", "f"];
const SETTLED_STEPS_MAX = 24;

const some = (minLength: number, maxLength: number) =>
  fc.uniqueArray(fc.constantFrom(...NODES), { minLength, maxLength });
const moment = fc.record({ wanted: some(1, 3), down: some(0, 4) });

interface Ensemble {
  members: Member[];
  leader: string;
}

function voters({ members }: Ensemble): string[] {
  return members.filter(({ kind }) => kind === "voter")
    .map(({ node }) => node);
}

/** Whether a majority of the voters is up; the leader is. */
function canAgree(ensemble: Ensemble, down: readonly string[]): boolean {
  const nodes = voters(ensemble);
  const up = nodes.filter((node) =>
    node === ensemble.leader || !down.includes(node)
  );
  return up.length * 2 > nodes.length;
}

/** Takes the next step, as Raft would; true if there was one. */
function step(
  ensemble: Ensemble,
  wanted: readonly string[],
  down: readonly string[],
): boolean {
  const isUp = (node: string) => !down.includes(node);
  // Somebody leads who can, if there is anybody.
  if (!canAgree(ensemble, down)) return false;
  const plan = planMembers({
    ...ensemble,
    wanted,
    isUp,
    isGone: () => false,
  });
  const before = voters(ensemble).length;
  switch (plan.type) {
    case "add":
      assert(isUp(plan.node) && wanted.includes(plan.node));
      assert(ensemble.members.every(({ node }) => node !== plan.node));
      ensemble.members.push({
        node: plan.node,
        uid: 1,
        kind: "promotable",
        target: 1,
      });
      return true;
    case "remove": {
      assert(!wanted.includes(plan.node), `${plan.node} is wanted`);
      assert(plan.node !== ensemble.leader);
      ensemble.members = ensemble.members.filter(({ node }) =>
        node !== plan.node
      );
      const after = voters(ensemble).length;
      assert(
        after === before || after >= wanted.length,
        "fewer than there should be",
      );
      assert(canAgree(ensemble, down), "the rest cannot agree");
      return true;
    }
    case "transfer":
      assert(isUp(plan.to) && voters(ensemble).includes(plan.to));
      ensemble.leader = plan.to;
      return true;
    case "wait": {
      const next = ensemble.members.find(({ node, kind }) =>
        kind !== "voter" && isUp(node)
      );
      if (next === undefined) return false;
      ensemble.members = ensemble.members.map((member) =>
        member === next ? { ...member, kind: "voter" } : member
      );
      return true;
    }
    case "none":
      return false;
  }
}

Deno.test("planMembers() never leaves fewer who can agree, and ends with the nodes that are wanted", () => {
  fc.assert(
    fc.property(
      some(1, 3),
      fc.array(moment, { maxLength: 8 }),
      fc.nat({ max: 5 }),
      some(1, 3),
      (first, moments, stepsEach, last) => {
        const ensemble: Ensemble = {
          members: first.map((node) => ({
            node,
            uid: 1,
            kind: "voter",
            target: 0,
          })),
          leader: first[0] as string,
        };
        for (const { wanted, down } of moments) {
          const others = down.filter((node) => node !== ensemble.leader);
          for (let i = 0; i < stepsEach; i++) step(ensemble, wanted, others);
        }
        // From here on everybody is there.
        for (let i = 0; step(ensemble, last, []); i++) {
          assert(i < SETTLED_STEPS_MAX, "it goes on for ever");
        }
        assertEquals(voters(ensemble).sort(), [...last].sort());
        assertEquals(ensemble.members.length, last.length);
      },
    ),
    { numRuns: 2_000 },
  );
});
