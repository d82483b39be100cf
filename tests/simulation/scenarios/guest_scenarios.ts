/**
 * Nodes that a claimant has let in of which nobody else has heard: the claimant
 * was cut off with them, and is gone for good.
 *
 * @module
 */
import type { KvOptions } from "../../../src/kv/kv_client.ts";
import type { JoinOptions } from "../../../src/cluster/cluster_world.ts";
import type { WhorlNode } from "../../../src/node/node.ts";
import type { ScriptContext } from "../../../src/simulation/mod.ts";
import { resize, resized, standAlone } from "./resize_scenarios.ts";
import {
  nameOf,
  QUIET,
  refusalOf,
  type Scenario,
  statusOn,
} from "./scenario.ts";

/** All members of these stories. */
const MEMBERS = [0, 1, 2];
/** The node that comes to them. */
const GUEST = 3;
/** By how much the guest hears and stores what the others say later than it could, in milliseconds: what is open for a moment is open for so long. */
const SLOW_MS = 300;
/** For how long the guest reads while it hears of what there is, in milliseconds. */
const READ_MS = 6_000;
/** For how long a guest is cut off at a time, and how often that is prolonged, in milliseconds. */
const CUT_MS = 400;
const CUT_AGAIN_MS = 200;
/** How often the guest reads, in milliseconds. */
const READ_EVERY_MS = 20;
/** Keys of a kind that the guest reads. */
const KEYS = 8;

/** A bucket that any node serves, one that is consistent when the guest is let in, and one that becomes so afterwards. */
const BUCKETS = { plain: "plain", known: "known", unheard: "unheard" } as const;

/** All of them. */
export const GUEST_SCENARIOS: readonly Scenario[] = [
  {
    name: "guest_unheard_of",
    what:
      "a claimant is gone for good that had let a node in of which nobody has heard, and that node reads nothing old when it hears that the ring was resized",
    spares: 1,
    operations: 30,
    loadMs: 5_000,
    lossMax: 0.1,
    begin: () =>
      guestStory(
        [BUCKETS.plain, BUCKETS.known],
        async (story, asked, others) => {
          await resize(story, asked, story.chance.pick([16, 32]));
          await resized(story, undefined, others);
        },
      ),
  },
  {
    name: "guest_and_new_consistent_bucket",
    what: "the same when it hears that a bucket has become consistent",
    spares: 1,
    operations: 30,
    loadMs: 5_000,
    lossMax: 0.1,
    begin: () =>
      guestStory([BUCKETS.known, BUCKETS.unheard], async (story, asked) => {
        await marked(story, asked, BUCKETS.unheard);
      }),
  },
  {
    name: "member_of_another_part",
    what:
      "a claimant that is cut off and removed has made a node a member, the others resize their ring to one that has the numbers of that node's own vnodes, and it keeps what it had",
    spares: 1,
    operations: 30,
    loadMs: 5_000,
    lossMax: 0.1,
    begin: () => ({ ...QUIET, script: memberOfAnotherPart }),
  },
];

async function memberOfAnotherPart(story: ScriptContext): Promise<void> {
  const { chance } = story;
  if (chance.chance(0.3)) await marked(story, 0, BUCKETS.known);
  // Its last vnodes are numbered like those of a ring to come, which has as many, or
  // has other ones where numbers do not say sizes, as those of earlier versions.
  const isOfOne = chance.chance(0.5);
  if (!isOfOne) {
    await resize(story, 0, 16);
    await resized(story);
    await story.settled();
  }
  await standAlone(story, GUEST, isOfOne ? [16, 8] : [32, 16]);
  const keys = Array.from({ length: 40 }, (_, i) => `own ${i}`);
  for (const key of keys) {
    await story.ask(GUEST, (node) => node.kv.put("guest", key, { key }));
  }
  const claimant = claimantOn(story, 0);
  const others = MEMBERS.filter((node) => node !== claimant);
  const [asked] = others as [number, number];
  const cuts = [GUEST, claimant].map((node) => new Cut(story, node, others));
  await letIn(story, claimant, { staged: false });
  await story.until(
    "It is a member, as it and the claimant say",
    () =>
      statusOn(story, GUEST, GUEST) === "valid" &&
      statusOn(story, claimant, GUEST) === "valid",
  );
  await removedByForce(story, asked, claimant);
  if (isOfOne) {
    await resize(story, asked, 16);
    await resized(story, undefined, others);
  }
  await resize(story, asked, 8);
  // They hear of it at some moment, when there is no way back, or afterwards.
  const moment = chance.below(3);
  if (moment === 0) await story.sleep(chance.below(1_500));
  else if (moment === 1) await readingOrOver(story, asked);
  else await resized(story, undefined, others);
  for (const cut of cuts) cut.end();
  await story.until(
    "The claimant of before is no member",
    () => story.machine(claimant).process === undefined,
  );
  await resized(story, undefined, others);
  await story.until(
    "All know the member",
    () =>
      statusOn(story, asked, GUEST) === "valid" &&
      statusOn(story, GUEST, claimant) === "invalid",
  );
  await story.settled();
  for (const key of keys) {
    let values: readonly unknown[] = [];
    await story.until(`${key} is read`, async () => {
      const refusal = await refusalOf(story.ask(asked, async ({ kv }) => {
        ({ values } = await kv.get("guest", key, { r: 3 }));
      }));
      return refusal === undefined;
    });
    story.expect(
      JSON.stringify(values) === JSON.stringify([{ key }]),
      `${key} must be there: it is ${JSON.stringify(values)}`,
    );
  }
}

/** Waits until reads go by the resized ring, or it is over. */
async function readingOrOver(
  story: ScriptContext,
  asked: number,
): Promise<void> {
  await story.until("Reads go by the resized ring", () => {
    const ring = story.machine(asked).node?.parts.cluster?.ring;
    const resize = ring?.ownership.generations.resize;
    return resize === null || resize?.phase === "reading";
  });
}

/**
 * A guest is let in, the claimant is gone, the others do something without it, and
 * it can be heard again.
 *
 * @param buckets What is written and then read by the guest.
 */
function guestStory(
  buckets: readonly string[],
  change: (
    story: ScriptContext,
    asked: number,
    others: readonly number[],
  ) => Promise<void>,
): ReturnType<NonNullable<Scenario["begin"]>> {
  return {
    async script(story) {
      await marked(story, 0, BUCKETS.known);
      const claimant = claimantOn(story, 0);
      const others = MEMBERS.filter((node) => node !== claimant);
      const [asked] = others as [number, number];
      for (const bucket of buckets) {
        await written(story, asked, bucket, "before");
      }
      const cuts = [GUEST, claimant].map((node) =>
        new Cut(story, node, others)
      );
      await letIn(story, claimant);
      story.machine(claimant).kill("process");
      await removedByForce(story, asked, claimant);
      story.expect(
        statusOn(story, asked, GUEST) === undefined,
        "Nobody may have heard of the guest",
      );
      await change(story, asked, others);
      for (const bucket of buckets) {
        await written(story, asked, bucket, "after");
      }
      slow(story, others);
      for (const cut of cuts) cut.end();
      await readsNothingOld(story, buckets);
      await joined(story, asked);
      story.machine(claimant).start();
      await story.until(
        "The claimant of before is no member",
        () => story.machine(claimant).process === undefined,
      );
      await story.settled();
    },
    ...QUIET,
  };
}

/** What the guest hears of the others comes late, and it goes by that when it is stored. */
function slow({ strike }: ScriptContext, others: readonly number[]): void {
  const forMs = READ_MS;
  for (const from of others) {
    strike({ type: "slow_link", from, to: GUEST, delayMs: SLOW_MS, forMs });
  }
  strike({ type: "slow_disk", node: GUEST, delayMs: SLOW_MS, forMs });
}

/** The number of the claimant, as `asked` knows it. */
function claimantOn(story: ScriptContext, asked: number): number {
  const ring = story.machine(asked).node?.parts.cluster?.ring;
  return MEMBERS.find((node) =>
    nameOf(node) === ring?.ownership.claimant
  ) as number;
}

/** A node that is cut off from others until that is ended. */
class Cut {
  #ended = false;

  constructor(story: ScriptContext, node: number, from: readonly number[]) {
    void this.#keep(story, node, from);
  }

  end(): void {
    this.#ended = true;
  }

  async #keep(
    story: ScriptContext,
    node: number,
    to: readonly number[],
  ): Promise<void> {
    while (!this.#ended) {
      story.strike({
        type: "partition",
        from: [node],
        to,
        oneWay: false,
        break: true,
        forMs: CUT_MS,
      });
      await story.sleep(CUT_AGAIN_MS);
    }
  }
}

/** The guest is let in by `claimant`, of which nobody else hears. */
async function letIn(
  story: ScriptContext,
  claimant: number,
  options: JoinOptions = {},
): Promise<void> {
  story.machine(GUEST).putIntoService();
  await story.until("It runs", () => story.machine(GUEST).running);
  const host = story.machine(claimant).node?.address as string;
  const isIn = () =>
    statusOn(story, GUEST, claimant) === "valid" &&
    statusOn(story, claimant, GUEST) !== undefined;
  await story.until("It goes by the ring of the claimant", async () => {
    if (!isIn()) {
      await refusalOf(story.ask(GUEST, (node) => node.join(host, options)));
    }
    return isIn();
  });
}

/** The others go on without `claimant`, for good. */
async function removedByForce(
  story: ScriptContext,
  asked: number,
  claimant: number,
): Promise<void> {
  const name = nameOf(claimant);
  await story.until("The claimant is no member", async () => {
    await refusalOf(story.ask(asked, (node) => node.down(name)));
    await refusalOf(story.ask(asked, (node) => node.forceRemove(name)));
    await refusalOf(
      story.ask(asked, async (node) => {
        const { planId } = await node.plan();
        await node.commit(planId);
      }),
    );
    return MEMBERS.every((node) =>
      node === claimant || statusOn(story, node, claimant) === "invalid"
    );
  });
}

async function marked(
  story: ScriptContext,
  asked: number,
  bucket: string,
): Promise<void> {
  await story.until(
    `${bucket} is consistent`,
    async () =>
      await refusalOf(
        story.ask(asked, (node) => node.markConsistent(bucket)),
      ) === undefined,
  );
}

/** Strictly, which means nothing where a bucket is consistent. */
const STRICT: KvOptions = { quorum: "strict", timeoutMs: 5_000 };

/** All keys of `bucket` have this value. */
async function written(
  story: ScriptContext,
  asked: number,
  bucket: string,
  value: string,
): Promise<void> {
  for (let key = 0; key < KEYS; key++) {
    await story.until(`k${key} of ${bucket} is written`, async () => {
      const refusal = await refusalOf(story.ask(asked, async ({ kv }) => {
        const { context } = await kv.get(bucket, `k${key}`, {
          ...STRICT,
          r: 3,
        });
        await kv.put(bucket, `k${key}`, value, {
          ...STRICT,
          context: context ?? undefined,
          // One of them goes for good.
          w: 3,
          pw: 3,
        });
      }));
      return refusal === undefined;
    });
  }
}

/** The guest reads while it hears of the ring; what it reads is not old. */
async function readsNothingOld(
  story: ScriptContext,
  buckets: readonly string[],
): Promise<void> {
  const old: string[] = [];
  const read = async (
    { kv }: WhorlNode,
    bucket: string,
    key: string,
  ): Promise<void> => {
    const { values } = await kv.get(bucket, key, STRICT);
    if (values.length === 1 && values[0] === "after") return;
    old.push(`${JSON.stringify(values)} of ${key} of ${bucket}`);
  };
  const reads: Promise<unknown>[] = [];
  const untilMs = story.now() + READ_MS;
  while (story.now() < untilMs) {
    for (const bucket of buckets) {
      const key = `k${story.chance.below(KEYS)}`;
      reads.push(
        refusalOf(story.ask(GUEST, (node) => read(node, bucket, key))),
      );
    }
    await story.sleep(READ_EVERY_MS);
  }
  await Promise.all(reads);
  story.expect(old.length === 0, `The guest has read ${old.join(", ")}`);
}

/** The guest becomes a member. */
async function joined(story: ScriptContext, asked: number): Promise<void> {
  const there = story.machine(asked).node?.address as string;
  await story.until("The guest is a member", async () => {
    const status = statusOn(story, asked, GUEST);
    if (status === undefined || status === "invalid") {
      await refusalOf(story.ask(GUEST, (node) => node.join(there)));
    }
    await refusalOf(
      story.ask(asked, async (node) => {
        const { planId } = await node.plan();
        await node.commit(planId);
      }),
    );
    return statusOn(story, asked, GUEST) === "valid";
  });
}
