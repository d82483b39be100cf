/**
 * A ring that gets another number of partitions, after riak_test's
 * verify_dynamic_ring.
 *
 * @module
 */
import type { ScriptContext } from "../../../src/simulation/mod.ts";
import { killOne, refusalOf, type Scenario } from "./scenario.ts";

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
];

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
): Promise<void> {
  await story.until(
    "The resize is over",
    () =>
      Promise.resolve([0, 1, 2].every((index) => {
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
