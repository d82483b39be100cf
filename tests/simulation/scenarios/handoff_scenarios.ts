/**
 * Data that moves, and what of riak_test is about it.
 *
 * @module
 */
import type { ScriptContext } from "../../../src/simulation/mod.ts";
import { nameOf, ownersOn, type Scenario } from "./scenario.ts";

/** All of them. */
export const HANDOFF_SCENARIOS: readonly Scenario[] = [
  {
    name: "verify_handoff",
    what:
      "nodes join one by one a cluster with data, and disks are slow; after riak_test verify_handoff",
    nodes: 1,
    spares: 3,
    operations: 300,
    keys: 120,
    loadMs: 25_000,
    async script(story) {
      await story.sleep(12_000);
      for (const node of [1, 2, 3]) {
        story.strike({
          type: "slow_disk",
          node: story.chance.below(node),
          delayMs: story.chance.pick([20, 200, 1_000]),
          forMs: 3_000,
        });
        await story.carryOut({ type: "join", node, commit: true });
        await story.settled();
      }
    },
  },
  {
    name: "gh_riak_core_154",
    what:
      "what a fallback holds survives its restart, and goes home when the owner is back; after riak_test gh_riak_core_154",
    nodes: 3,
    operations: 80,
    loadMs: 20_000,
    async script(story) {
      const owner = story.chance.below(3);
      const others = [0, 1, 2].filter((node) => node !== owner);
      await story.sleep(1_000);
      story.machine(owner).kill("process");
      let hints = 0;
      await story.until("Somebody stands in", async () => {
        hints = 0;
        for (const node of others) hints += await hintsOn(story, node, owner);
        return hints > 0;
      });
      for (const node of others) {
        story.machine(node).kill(story.chance.pick(["process", "power"]));
        await story.sleep(500);
        story.machine(node).start();
        await story.until("It is back", () => story.machine(node).running);
        await story.sleep(1_000);
      }
      hints = 0;
      for (const node of others) hints += await hintsOn(story, node, owner);
      story.expect(hints > 0, "A restart must lose no hint");
      story.machine(owner).start();
      await story.settled();
      for (const node of others) {
        story.expect(
          await hintsOn(story, node, owner) === 0,
          "Hints must be home",
        );
      }
    },
  },
  {
    name: "gh_riak_core_155",
    what:
      "requests that come before the masters of a node run do it no harm; after riak_test gh_riak_core_155",
    nodes: 3,
    operations: 150,
    loadMs: 15_000,
    async script(story) {
      for (let times = 0; times < 4; times++) {
        const node = story.chance.below(3);
        const before = story.machine(node).startFailures.length;
        // Its store takes its time to open, and everybody asks it meanwhile.
        story.strike({
          type: "slow_disk",
          node,
          delayMs: story.chance.pick([50, 400]),
          forMs: 3_000,
        });
        story.machine(node).kill("process");
        await story.sleep(50 + story.chance.below(1_000));
        story.machine(node).start();
        await story.until("It is back", () => story.machine(node).running);
        await story.sleep(2_000);
        story.expect(
          story.machine(node).running &&
            story.machine(node).startFailures.length === before,
          "It must not fall",
        );
      }
      await story.settled();
    },
  },
  {
    name: "partition_repair",
    what:
      "a partition that was wiped is rebuilt from its neighbours, every key of it; after riak_test partition_repair",
    nodes: 4,
    operations: 120,
    keys: 60,
    loadMs: 4_000,
    async script(story) {
      await story.sleep(12_000);
      await story.settled();
      const partition = story.chance.below(8);
      const owner = ownersOn(story, 0)[partition] as string;
      const node = [0, 1, 2, 3].find((each) => nameOf(each) === owner);
      const index = node as number;
      const before = await story.stored(index, partition);
      story.expect(before.size > 0, "There must be something to lose");
      await story.wipe(index, partition);
      // At once: where the network is slow, clients write still.
      const left = await story.stored(index, partition);
      story.expect(
        [...before.keys()].every((key) => !left.has(key)),
        "It must be wiped",
      );
      // Nothing in its memory may know.
      story.machine(index).kill("process");
      await story.sleep(200);
      story.machine(index).start();
      await story.until("It is back", () => story.machine(index).running);
      await story.settled();
      // What a client was not told is stored may have lain here alone, and what
      // was written since needs no repair.
      const elsewhere = await keysBeside(story, index, partition);
      const back = await story.stored(index, partition);
      const lost = [...before.keys()]
        .filter((key) => elsewhere.has(key) && !back.has(key));
      story.expect(lost.length > 0, "There must be something to bring back");
      await story.ask(index, async (node) => {
        await node.parts.handoff?.repair(partition, "kv");
      });
      if (story.chance.chance(0.5)) {
        const neighbour = ownersOn(story, 0)[(partition + 1) % 8];
        const at = [0, 1, 2, 3].find((each) => nameOf(each) === neighbour);
        if (at !== index) {
          story.strike({ type: "kill", node: at as number, forMs: 700 });
        }
      }
      const repairs = () =>
        story.machine(index).node?.parts.handoff?.repairs() ?? [];
      await story.until(
        () => `It is repaired, and not ${JSON.stringify(repairs())}`,
        () => repairs()[0]?.state === "done",
      );
      const after = await story.stored(index, partition);
      for (const key of lost) {
        story.expect(after.has(key), `The key ${key} must be back`);
      }
    },
  },
];

/** Keys of the partitions that share some with `partition`, on other nodes than `index`. */
async function keysBeside(
  story: ScriptContext,
  index: number,
  partition: number,
): Promise<Set<string>> {
  const owners = ownersOn(story, 0);
  const keys = new Set<string>();
  for (const distance of [-2, -1, 1, 2]) {
    const beside = (partition + distance + owners.length) % owners.length;
    const at = [0, 1, 2, 3].find((each) => nameOf(each) === owners[beside]);
    if (at === undefined || at === index) continue;
    for (const key of (await story.stored(at, beside)).keys()) keys.add(key);
  }
  return keys;
}

/** Partitions of `owner` that `index` holds something of. */
async function hintsOn(
  story: ScriptContext,
  index: number,
  owner: number,
): Promise<number> {
  const owners = ownersOn(story, index);
  let hints = 0;
  for (const [partition, name] of owners.entries()) {
    if (name !== nameOf(owner)) continue;
    if ((await story.stored(index, partition)).size > 0) hints++;
  }
  return hints;
}
