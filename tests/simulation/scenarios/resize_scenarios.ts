/**
 * A ring that gets another number of partitions, after riak_test's
 * verify_dynamic_ring.
 *
 * @module
 */
import { mistakenMembers } from "../../../src/ring/ring_origin.ts";
import type { ScriptContext } from "../../../src/simulation/mod.ts";
import {
  killOne,
  nameOf,
  refusalOf,
  type Scenario,
  statusOn,
} from "./scenario.ts";

/** All of them. */
export const RESIZE_SCENARIOS: readonly Scenario[] = [
  {
    name: "verify_dynamic_ring",
    what:
      "the ring grows and shrinks under load, and one resize is given up; after riak_test verify_dynamic_ring",
    operations: 200,
    keys: 40,
    loadMs: 40_000,
    async script(story) {
      for (const size of [32, 8, 16]) {
        const asked = story.chance.below(3);
        await resize(story, asked, size);
        if (story.chance.below(3) === 0) await abort(story, asked);
        await resized(story);
        await story.settled();
      }
    },
  },
  {
    name: "resize_and_kills",
    what: "nodes are killed while the ring is resized, before and after it is",
    operations: 200,
    keys: 40,
    loadMs: 40_000,
    async script(story) {
      for (const size of [16, 8]) {
        await resize(story, 0, size);
        for (let times = 0; times < 3; times++) {
          await story.sleep(story.chance.below(3_000));
          killOne(story, [0, 1, 2]);
        }
        await resized(story);
        await story.settled();
      }
    },
  },
  {
    name: "resize_and_strict_reads",
    what:
      "strict reads see what strict writes were acknowledged for, at every moment of a resize",
    operations: 600,
    keys: 6,
    strict: 0.8,
    loadMs: 12_000,
    async script(story) {
      for (const size of [16, 8]) {
        await resize(story, 0, size);
        if (story.chance.below(2) === 0) {
          await story.sleep(story.chance.below(2_000));
          killOne(story, [0, 1, 2]);
        }
        await resized(story);
      }
      await story.settled();
    },
  },
  {
    name: "resize_and_two_claimants",
    what:
      "the claimant of a resize falls while the cluster is split, each part declares the others down and goes on with its own, one may give it up, and no write is lost",
    nodes: 5,
    operations: 200,
    keys: 40,
    strict: 0,
    loadMs: 40_000,
    lossMax: 0.1,
    exempt: ["one_claimant_a_term"],
    script: (story) => twoClaimants(story, 2),
  },
  {
    name: "resize_and_late_guest",
    what:
      "a claimant dies after it has let a node in of which nobody else hears before the ring is resized, and that node keeps what it had",
    nodes: 3,
    spares: 1,
    operations: 100,
    keys: 20,
    loadMs: 20_000,
    async script(story) {
      await resize(story, 0, 16);
      await resized(story);
      await story.settled();
      const guest = 3;
      // Its last vnodes are numbered like those of the ring that comes next where
      // numbers do not say sizes, as those of earlier versions (see planted bugs).
      await standAlone(story, guest, [32, 16]);
      const keys = Array.from({ length: 40 }, (_, i) => `late ${i}`);
      for (const key of keys) {
        await story.ask(guest, (node) => node.kv.put("guest", key, { key }));
      }
      const claimant = [0, 1, 2].find((node) =>
        nameOf(node) ===
          story.machine(0).node?.parts.cluster?.ring.ownership.claimant
      ) as number;
      const others = [0, 1, 2].filter((node) => node !== claimant);
      const [asked] = others as [number, number];
      const host = story.machine(claimant).node?.address as string;
      for (const from of [claimant, guest]) {
        story.strike({
          type: "partition",
          from: [from],
          to: others,
          oneWay: false,
          break: true,
          forMs: from === guest ? CUT_OFF_MS : 20_000,
        });
      }
      const isIn = () =>
        statusOn(story, guest, guest) === "joining" &&
        statusOn(story, guest, claimant) === "valid";
      await story.until("It goes by the ring of the claimant", async () => {
        if (!isIn()) {
          await refusalOf(story.ask(guest, (node) => node.join(host)));
        }
        return isIn();
      });
      story.machine(claimant).kill("process");
      await story.until("The claimant is down", async () => {
        await refusalOf(
          story.ask(asked, (node) => node.down(nameOf(claimant))),
        );
        return others.every((node) =>
          statusOn(story, node, claimant) === "down"
        );
      });
      story.expect(
        statusOn(story, asked, guest) === undefined,
        "Nobody may have heard of the guest",
      );
      await resize(story, asked, 8);
      // Some hear of the guest from the claimant, which is back, others from itself.
      const isBack = story.chance.below(2) === 0;
      if (isBack) {
        story.machine(claimant).start();
        await resized(story);
      }
      const standsAlone = () => statusOn(story, guest, asked) === undefined;
      await story.until(
        "All have heard of the guest",
        () =>
          standsAlone() ||
          others.every((node) => statusOn(story, node, guest) !== undefined),
        2 * CUT_OFF_MS,
      );
      await story.until(
        "What it holds is taken for parts of no other ring",
        () =>
          others.every((node) => {
            const ring = story.machine(node).node?.parts.cluster?.ring;
            return ring !== undefined &&
              !mistakenMembers(ring).includes(nameOf(guest));
          }),
      );
      if (!isBack) {
        story.machine(claimant).start();
        await resized(story);
      }
      const there = story.machine(asked).node?.address as string;
      await story.until("It is a member", async () => {
        if (standsAlone()) {
          // It comes once more, with all it has.
          await standAlone(story, guest, [8]);
          await refusalOf(
            story.ask(guest, (node) => node.join(there, { staged: false })),
          );
        } else {
          await refusalOf(story.ask(asked, async (node) => {
            const { planId } = await node.plan();
            await node.commit(planId);
          }));
        }
        return statusOn(story, asked, guest) === "valid";
      }, 2 * CUT_OFF_MS);
      await story.settled();
      for (const key of keys) {
        let values: readonly unknown[] = [];
        await story.until(`${key} is read`, async () => {
          const refusal = await refusalOf(story.ask(asked, async (node) => {
            ({ values } = await node.kv.get("guest", key, { r: 3 }));
          }));
          return refusal === undefined;
        });
        story.expect(
          JSON.stringify(values) === JSON.stringify([{ key }]),
          `${key} must be there`,
        );
      }
    },
  },
];

/**
 * The claimant of a resize falls and the cluster is split. Each part declares all
 * others down, so that somebody in it follows the claimant; then they meet again.
 *
 * @internal
 * @param count Nodes in one of the parts.
 */
export async function twoClaimants(
  story: ScriptContext,
  count: number,
): Promise<void> {
  const { chance } = story;
  await resize(story, 0, 16);
  if (chance.chance(0.5)) {
    await resized(story, RESIZE_MS_MAX, ALL);
    await story.settled();
    await resize(story, 0, chance.pick([8, 32]));
  }
  if (chance.chance(0.5)) await story.sleep(chance.below(1_500));
  else await untilHeld(story);
  const claimant = ALL.find((node) =>
    nameOf(node) ===
      story.machine(0).node?.parts.cluster?.ring.ownership.claimant
  ) as number;
  const others = ALL.filter((node) => node !== claimant);
  const parts = [others.slice(0, count), others.slice(count)];
  story.strike({
    type: "partition",
    from: parts[0] as number[],
    to: parts[1] as number[],
    oneWay: false,
    break: true,
    forMs: SPLIT_MS,
  });
  story.machine(claimant).kill("process");
  const healsAtMs = story.now() + SPLIT_MS;
  await Promise.all(parts.map(async (part) => {
    const away = ALL.filter((node) => !part.includes(node));
    const [asked] = part as [number];
    await story.until("The others are down", async () => {
      for (const node of away) {
        await refusalOf(story.ask(asked, (on) => on.down(nameOf(node))));
      }
      return story.now() > healsAtMs - SPLIT_MS / 2 ||
        part.every((on) =>
          away.every((node) => statusOn(story, on, node) === "down")
        );
    });
    if (chance.chance(0.4)) await abort(story, asked);
    // Whoever has said more wins when they meet.
    for (let times = chance.below(4); times > 0; times--) {
      await refusalOf(story.ask(asked, (on) => on.clear()));
      await refusalOf(story.ask(asked, (on) => on.leave(nameOf(asked))));
    }
    await refusalOf(story.ask(asked, (on) => on.clear()));
  }));
  await story.sleep(Math.max(0, healsAtMs - story.now()));
  story.machine(claimant).start();
  await resized(story, RESIZE_MS_MAX, ALL);
  await story.settled();
}

/** Waits until writes are held for a resize, or it is over. */
async function untilHeld(story: ScriptContext): Promise<void> {
  for (;;) {
    const ring = story.machine(0).node?.parts.cluster?.ring;
    const resize = ring?.ownership.generations.resize;
    if (resize?.phase !== "copying") return;
    await story.sleep(1);
  }
}

/** All members where there are five. */
const ALL = [0, 1, 2, 3, 4];
/** How long a cluster is split, in milliseconds. */
const SPLIT_MS = 20_000;
/** How long a guest hears nothing of the members it does not know. */
const CUT_OFF_MS = 60_000;

/** @internal Has a node that is in no cluster run, and its ring be resized to each of `sizes`. */
export async function standAlone(
  story: ScriptContext,
  index: number,
  sizes: readonly number[],
): Promise<void> {
  story.machine(index).putIntoService();
  await story.until("It runs", () => story.machine(index).running);
  for (const size of sizes) {
    await resize(story, index, size);
    await resized(story, RESIZE_MS_MAX, [index]);
  }
}

/** @internal Stages, plans and commits until that is done: a node may be away. */
export async function resize(
  story: ScriptContext,
  asked: number,
  size: number,
): Promise<void> {
  await story.until(`A resize to ${size}`, async () => {
    const staged = await refusalOf(
      story.ask(asked, (node) => node.resizeRing(size)),
    );
    if (staged === "same_size") return true;
    await refusalOf(
      story.ask(asked, async (node) => {
        const { planId } = await node.plan();
        await node.commit(planId);
      }),
    );
    const status = await story.ask(
      asked,
      (node) => Promise.resolve(node.ringStatus()),
    );
    return status.ringSize === size || status.resize !== null;
  });
}

/** How long a resize may take: all agree on it four times, each of which takes seconds where every fifth segment is lost. */
const RESIZE_MS_MAX = 120_000;

/** @internal Waits until nobody knows of a resize under way. */
export async function resized(
  story: ScriptContext,
  waitMs: number = RESIZE_MS_MAX,
  nodes: readonly number[] = [0, 1, 2],
): Promise<void> {
  await story.until(
    "The resize is over",
    () =>
      Promise.resolve(nodes.every((index) => {
        const ring = story.machine(index).node?.parts.cluster?.ring;
        return ring?.ownership.generations.resize === null;
      })),
    waitMs,
  );
}

/** @internal Gives the resize up, if it is not too late. */
export async function abort(
  story: ScriptContext,
  asked: number,
): Promise<void> {
  await story.sleep(story.chance.below(300));
  const refusal = await refusalOf(
    story.ask(asked, async (node) => {
      await node.abortResize();
      const { planId } = await node.plan();
      await node.commit(planId);
    }),
  );
  // It may be over, or somebody was not heard in time.
  const known = [
    "not_resizing",
    "plan_changed",
    "nothing_planned",
    "not_reachable",
    "ring_not_ready",
    "timeout",
  ];
  story.expect(
    refusal === undefined || known.includes(refusal),
    `An abort was refused: ${refusal}`,
  );
}
