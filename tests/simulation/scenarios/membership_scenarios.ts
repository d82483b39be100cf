/**
 * Clusters that grow, shrink and change, and the membership tests of riak_test
 * (basho/riak_test, `tests/*.erl`).
 *
 * @module
 */
import type { ScriptContext } from "../../../src/simulation/mod.ts";
import { drawChanges } from "../../../src/simulation/schedule/draw_membership.ts";
import {
  killOne,
  nameOf,
  ownersOn,
  QUIET,
  refusalOf,
  type Scenario,
  statusOn,
} from "./scenario.ts";

/** Kills somebody while `act` goes on, more often than not. */
async function amidKills(
  story: ScriptContext,
  nodes: readonly number[],
  act: Promise<void>,
): Promise<void> {
  await story.sleep(story.chance.below(800));
  if (story.chance.chance(0.7)) killOne(story, nodes);
  await act;
}

function expectOwners(
  story: ScriptContext,
  asked: number,
  nodes: readonly number[],
): void {
  const owners = [...new Set(ownersOn(story, asked))].sort();
  const names = nodes.map(nameOf).sort();
  story.expect(
    JSON.stringify(owners) === JSON.stringify(names),
    `Owners are ${owners.join(", ")} and must be ${names.join(", ")}`,
  );
}

const REMOVED = 2;
/** Writes at a time, and the extra delay of the member's disk: some are in progress whenever the member hears of the removal. */
const WRITERS = 8;
const DISK_DELAY_MS = 40;

async function removedAmidWrites(story: ScriptContext): Promise<void> {
  const parts = () => story.machine(REMOVED).node?.parts;
  let knownAtMs = Infinity;
  let ended = false;
  const acknowledged = { before: 0, after: 0 };
  const refused = new Set<string>();
  const write = async (writer: number): Promise<void> => {
    for (let i = 0; !ended; i++) {
      const refusal = await refusalOf(
        story.ask(
          REMOVED,
          ({ kv }) => kv.put("removed", `k${writer} ${i}`, i, { w: 1, dw: 1 }),
        ),
      );
      // An answer at the very moment may have been given before.
      const isAfter = story.now() > knownAtMs;
      if (refusal === undefined) acknowledged[isAfter ? "after" : "before"]++;
      else if (isAfter) refused.add(refusal);
      await story.sleep(1);
    }
  };
  story.strike({
    type: "slow_disk",
    node: REMOVED,
    delayMs: DISK_DELAY_MS,
    forMs: 60_000,
  });
  const writers = Array.from({ length: WRITERS }, (_, i) => write(i));
  const knows = (async () => {
    while (!ended && parts()?.hasLeft !== true) await story.sleep(1);
    knownAtMs = story.now();
  })();
  await story.until("It is removed", async () => {
    await refusalOf(story.ask(0, (node) => node.forceRemove(nameOf(REMOVED))));
    await refusalOf(story.ask(0, async (node) => {
      const { planId } = await node.plan();
      await node.commit(planId);
    }));
    return statusOn(story, 0, REMOVED) === "invalid";
  });
  await story.until(
    "It has stopped",
    () => story.machine(REMOVED).process === undefined,
  );
  ended = true;
  await Promise.all([knows, ...writers]);
  story.expect(acknowledged.before > 0, "It must have served before");
  story.expect(
    acknowledged.after === 0,
    `It must acknowledge nothing any more: it has acknowledged ${acknowledged.after}`,
  );
  story.expect(refused.has("closed"), `It must say so: ${[...refused]}`);
  await story.settled();
}

/** All of them. */
export const MEMBERSHIP_SCENARIOS: readonly Scenario[] = [
  {
    name: "grow_and_shrink",
    what:
      "under load, one node becomes five and these become two, with kills in between, and nothing acknowledged is lost",
    nodes: 1,
    spares: 4,
    operations: 150,
    loadMs: 25_000,
    async script(story) {
      const members = [0];
      for (let node = 1; node < 5; node++) {
        await amidKills(
          story,
          [...members, node],
          story.carryOut({ type: "join", node, commit: true }),
        );
        members.push(node);
        if (story.chance.chance(0.5)) await story.settled();
      }
      await story.settled();
      expectOwners(story, 0, members);
      while (members.length > 2) {
        const [node] = members.splice(story.chance.below(members.length), 1);
        await amidKills(
          story,
          members,
          story.carryOut({ type: "leave", node: node as number, commit: true }),
        );
        if (story.chance.chance(0.5)) await story.departed();
      }
      await story.departed();
      await story.settled();
      expectOwners(story, members[0] as number, members);
    },
  },
  {
    name: "random_plans",
    what:
      "25 random plans of joins, leaves, replacements and what is taken back, with kills, one after the other",
    nodes: 3,
    spares: 3,
    operations: 200,
    loadMs: 60_000,
    async script(story) {
      const plans = drawChanges(story.chance, 3, 3, 1, 25);
      for (const plan of plans) {
        if (plan.type === "force_remove" || plan.type === "force_replace") {
          continue;
        }
        const all = [0, 1, 2, 3, 4, 5];
        await amidKills(story, all, story.carryOut(plan));
      }
    },
  },
  {
    name: "verify_build_cluster",
    what:
      "four nodes own everything each, join, survive kills, and leave down to one; after riak_test verify_build_cluster",
    nodes: 1,
    spares: 3,
    operations: 120,
    loadMs: 20_000,
    async script(story) {
      for (const node of [1, 2, 3]) {
        story.machine(node).putIntoService();
        await story.until(
          "It runs",
          () => story.machine(node).running,
        );
        expectOwners(story, node, [node]);
      }
      for (const node of [1, 2, 3]) {
        await story.carryOut({ type: "join", node, commit: true });
      }
      await story.settled();
      expectOwners(story, 3, [0, 1, 2, 3]);
      for (const node of [0, 1]) {
        story.strike({ type: "kill", node, forMs: 1_500 });
        await story.sleep(2_000);
      }
      await story.settled();
      for (const node of [3, 2, 1]) {
        await story.carryOut({ type: "leave", node, commit: true });
        await story.departed();
        await story.settled();
      }
      expectOwners(story, 0, [0]);
    },
  },
  {
    name: "verify_staged_clustering",
    what:
      "what is staged does nothing before its commit; replace, force-replace, leave and force-remove in one plan, and clear; after riak_test verify_staged_clustering",
    nodes: 1,
    spares: 5,
    operations: 100,
    loadMs: 20_000,
    async script(story) {
      for (const node of [1, 2, 3]) {
        await story.carryOut({ type: "join", node, commit: false });
        await story.until(
          "It is joining",
          () => statusOn(story, 0, node) === "joining",
        );
      }
      expectOwners(story, 0, [0]);
      story.expect(
        await refusalOf(story.ask(0, (node) => node.commit())) ===
          "nothing_planned",
        "A commit must be refused before a plan was seen",
      );
      await story.carryOut({ type: "clear" });
      await story.until(
        "Nobody is joining",
        () => [1, 2, 3].every((node) => statusOn(story, 0, node) === "invalid"),
      );
      for (const node of [1, 2]) {
        await story.carryOut({ type: "join", node, commit: false });
      }
      await story.carryOut({ type: "join", node: 3, commit: true });
      await story.settled();
      expectOwners(story, 0, [0, 1, 2, 3]);
      await story.carryOut({ type: "replace", node: 1, by: 4, commit: true });
      await story.departed();
      await story.settled();
      expectOwners(story, 0, [0, 2, 3, 4]);
      await story.carryOut({ type: "force_replace", node: 2, by: 5 });
      await story.settled();
      expectOwners(story, 0, [0, 3, 4, 5]);
      for (const node of [3, 4, 5]) {
        await story.carryOut({ type: "leave", node, commit: node === 5 });
      }
      await story.departed();
      await story.settled();
      expectOwners(story, 0, [0]);
    },
  },
  {
    name: "verify_leave",
    what:
      "a node that leaves hands off, stops, and is no member to the others; a removal does the same by force; after riak_test verify_leave",
    nodes: 4,
    spares: 1,
    async script(story) {
      await story.carryOut({ type: "leave", node: 1, commit: true });
      await story.departed();
      await story.until(
        "It has stopped",
        () => story.machine(1).process === undefined,
      );
      for (const asked of [0, 2, 3]) {
        await story.until(
          "The others know",
          () => statusOn(story, asked, 1) === "invalid",
        );
      }
      await story.settled();
      expectOwners(story, 0, [0, 2, 3]);
      // As a fresh node it may come again.
      await story.carryOut({ type: "join", node: 1, commit: true });
      await story.settled();
      expectOwners(story, 0, [0, 1, 2, 3]);
      await story.carryOut({ type: "force_remove", node: 3 });
      await story.settled();
      expectOwners(story, 0, [0, 1, 2]);
    },
  },
  {
    name: "removed_amid_writes",
    what:
      "a member is removed by force while clients write to it, and acknowledges nothing once it knows",
    nodes: 3,
    lossMax: 0.1,
    begin: () => ({ ...QUIET, script: removedAmidWrites }),
  },
  {
    name: "verify_down",
    what:
      "a plan waits for a member that is gone, until it is declared down; back again, it is a member; after riak_test verify_down",
    nodes: 3,
    spares: 1,
    async script(story) {
      story.machine(1).kill("process");
      story.machine(3).putIntoService();
      await story.until("It runs", () => story.machine(3).running);
      const host = story.machine(0).node?.address as string;
      await story.until("It has joined", async () => {
        // To the others it is joining from when it is invited, and may not come.
        const joins = [0, 3].map((asked) => statusOn(story, asked, 3));
        if (joins.every((status) => status === "joining")) return true;
        await refusalOf(story.ask(3, (node) => node.join(host)));
        return false;
      });
      story.expect(
        await refusalOf(story.ask(0, (node) => node.plan())) ===
          "ring_not_ready",
        "A plan must wait for all members",
      );
      story.expect(statusOn(story, 0, 3) === "joining", "It must be joining");
      await story.until("It is down", async () => {
        await refusalOf(story.ask(0, (node) => node.down(nameOf(1))));
        return statusOn(story, 0, 1) === "down";
      });
      await story.carryOut({ type: "join", node: 3, commit: true });
      story.expect(
        ["valid", "leaving"].includes(statusOn(story, 0, 3) ?? ""),
        "It must be a member",
      );
      story.machine(1).start();
      await story.until(
        "It is a member again",
        () => statusOn(story, 0, 1) === "valid",
      );
      await story.settled();
      expectOwners(story, 1, [0, 1, 2, 3]);
    },
  },
  {
    name: "verify_claimant",
    what:
      "a claimant that stopped stays it until it is declared down; back again, it is a member and the new one stays; after riak_test verify_claimant",
    nodes: 3,
    async script(story) {
      const claimantOn = (index: number): string | undefined =>
        story.machine(index).node?.parts.cluster?.ring.ownership.claimant;
      const first = [0, 1, 2].find((node) => nameOf(node) === claimantOn(0));
      story.expect(first !== undefined, "There is a claimant");
      const claimant = first as number;
      const [other, third] = [0, 1, 2].filter((node) => node !== claimant) as [
        number,
        number,
      ];
      story.machine(claimant).kill("process");
      await story.sleep(5_000);
      story.expect(
        claimantOn(other) === nameOf(claimant),
        "A claimant that stopped must stay it",
      );
      await story.until("It is down", async () => {
        await refusalOf(
          story.ask(other, (node) => node.down(nameOf(claimant))),
        );
        return statusOn(story, other, claimant) === "down";
      });
      await story.until(
        "Somebody follows",
        () =>
          claimantOn(other) !== nameOf(claimant) &&
          claimantOn(other) === claimantOn(third),
      );
      const next = claimantOn(other);
      story.machine(claimant).start();
      await story.until(
        "It is a member again",
        () => statusOn(story, claimant, claimant) === "valid",
      );
      await story.settled();
      for (const node of [0, 1, 2]) {
        story.expect(claimantOn(node) === next, "The new claimant must stay");
      }
    },
  },
  {
    name: "verify_cluster_converge",
    what:
      "four nodes join at once by one plan and come to one ring; after riak_test verify_cluster_converge",
    nodes: 1,
    spares: 3,
    async script(story) {
      for (const node of [1, 2, 3]) {
        await story.carryOut({ type: "join", node, commit: node === 3 });
      }
      await story.settled();
      for (const node of [0, 1, 2, 3]) {
        expectOwners(story, node, [0, 1, 2, 3]);
      }
    },
  },
];
