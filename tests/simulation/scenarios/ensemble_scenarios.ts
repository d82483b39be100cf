/**
 * Consistent buckets while nodes fall, are cut off, come and leave. After
 * riak_test's ensemble_interleave, ensemble_ring_changes and
 * ensemble_remove_node2.
 *
 * @module
 */
import { ROOT_GROUP } from "../../../src/ensemble/ensemble_names.ts";
import {
  FIRST_TABLE,
  isGoneTable,
  tableKeys,
} from "../../../src/ensemble/group_table.ts";
import {
  firstVnode,
  type RingResizePhase,
} from "../../../src/ring/ring_generations.ts";
import { ensembleOwners } from "../../../src/ring/consistent_buckets.ts";
import type { ScriptContext } from "../../../src/simulation/mod.ts";
import { consistentStory, cutOff } from "./consistent_story.ts";
import { abort, resize, resized, twoClaimants } from "./resize_scenarios.ts";
import { killOne, nameOf, refusalOf, type Scenario } from "./scenario.ts";

/** Virtual time in which ensembles must have followed the ring once all is well, in milliseconds. */
const FOLLOW_MS_MAX = 300_000;
/** All machines of a story. */
const MACHINES = [0, 1, 2, 3, 4];

/** All of them. */
export const ENSEMBLE_SCENARIOS: readonly Scenario[] = [
  {
    name: "ensemble_faults",
    what:
      "nodes are killed, lose power and are cut off while clients read and write a consistent bucket",
    operations: 160,
    loadMs: 20_000,
    begin: () =>
      consistentStory(async (story) => {
        for (let times = 0; times < 4; times++) {
          await story.sleep(story.chance.below(3_000));
          if (story.chance.chance(0.5)) killOne(story, [0, 1, 2]);
          else cutOff(story, story.chance.below(3));
        }
        await story.sleep(3_000);
      }),
  },
  {
    name: "ensemble_ring_changes",
    what:
      "nodes come and leave, and are killed meanwhile, and the ensembles of a consistent bucket follow the ring",
    operations: 160,
    spares: 2,
    loadMs: 30_000,
    begin: () =>
      consistentStory(async (story) => {
        await story.carryOut({ type: "join", node: 3, commit: true });
        if (story.chance.chance(0.7)) killOne(story, [0, 1, 2, 3]);
        await story.carryOut({ type: "join", node: 4, commit: true });
        await story.settled();
        const leaving = story.chance.pick([1, 2]);
        await story.carryOut({ type: "leave", node: leaving, commit: true });
        if (story.chance.chance(0.7)) killOne(story, [0, 3, 4]);
        // It goes when it has no member any more, which on a bad network takes long.
        await story.until(
          "The node that leaves is gone",
          () => !story.machine(leaving).running,
          FOLLOW_MS_MAX,
        );
        await story.settled();
        await following(story, MACHINES);
      }),
  },
  {
    name: "ensemble_resize",
    what:
      "the ring grows and shrinks, and the keys of a consistent bucket follow, while nodes are killed and cut off; one resize is given up",
    operations: 240,
    loadMs: 40_000,
    // Where every fifth segment is lost three resizes take longer than a story may.
    lossMax: 0.1,
    // So small that groups are given snapshots while they take over.
    raftLogs: {
      walBytesMax: 4_096,
      segmentEntriesMax: 16,
      snapshotEntriesMin: 16,
    },
    begin: () =>
      consistentStory(async (story) => {
        const { chance } = story;
        for (const size of chance.pick([[16, 8], [32, 8], [16, 32, 8]])) {
          await resize(story, chance.below(3), size);
          if (chance.chance(0.25)) await abort(story, chance.below(3));
          for (let times = chance.below(4); times > 0; times--) {
            await story.sleep(chance.below(3_000));
            if (chance.chance(0.5)) killOne(story, [0, 1, 2]);
            else cutOff(story, chance.below(3));
          }
          await resized(story, FOLLOW_MS_MAX);
        }
        await story.settled();
        await following(story, [0, 1, 2]);
        await withoutFormerTables(story);
      }),
  },
  {
    name: "ensemble_resize_and_claimant",
    what:
      "the claimant falls, is cut off or is declared down in each phase of a resize, which somebody may give up, and a consistent bucket stays so",
    operations: 200,
    loadMs: 30_000,
    lossMax: 0.1,
    begin: () =>
      consistentStory(async (story) => {
        const { chance } = story;
        const phases = ["copying", "binding", "reading", undefined] as const;
        for (const size of chance.pick([[16, 8], [32, 16]])) {
          await resize(story, chance.below(3), size);
          const phase = chance.pick(phases);
          await story.until(
            `${phase ?? "The end"}, or what comes after it`,
            () => hasCome(story, phase),
            FOLLOW_MS_MAX,
          );
          const claimant = claimantOf(story);
          if (claimant !== undefined) {
            story.strike(chance.pick([
              { type: "kill", node: claimant, forMs: 300 },
              { type: "kill", node: claimant, forMs: 3_000 },
              { type: "pause", node: claimant, forMs: 3_000 },
              {
                type: "declared_down",
                node: claimant,
                cut: chance.chance(0.5),
                forMs: 4_000,
              },
            ]));
          }
          if (chance.chance(0.3)) await abort(story, chance.below(3));
          await resized(story, FOLLOW_MS_MAX);
        }
        await story.settled();
        await following(story, [0, 1, 2]);
      }),
  },
  {
    name: "ensemble_two_claimants",
    what:
      "the claimant of a resize falls while the cluster is split, each part declares the others down and goes on with its own, and a consistent bucket stays so",
    nodes: 5,
    operations: 200,
    loadMs: 40_000,
    lossMax: 0.1,
    exempt: ["one_claimant_a_term"],
    begin: () =>
      consistentStory((story) =>
        twoClaimants(story, story.chance.pick([1, 2]))
      ),
  },
];

/** Whether a resize has come to `phase`, or is over, on some machine. */
function hasCome(
  story: ScriptContext,
  phase: RingResizePhase | undefined,
): boolean {
  return [0, 1, 2].some((at) => {
    const ring = story.machine(at).node?.parts.cluster?.ring;
    const resize = ring?.ownership.generations.resize;
    return resize === null || resize?.phase === phase;
  });
}

/** The number of the claimant, as the first machine knows it that runs. */
function claimantOf(story: ScriptContext): number | undefined {
  const ring =
    [0, 1, 2].flatMap((at) =>
      story.machine(at).node?.parts.cluster?.ring ?? []
    )[0];
  return [0, 1, 2].find((at) => nameOf(at) === ring?.ownership.claimant);
}

/** Waits until the root has the table of the ring as it is, and marks in the place of others. */
async function withoutFormerTables(story: ScriptContext): Promise<void> {
  let found = "nothing yet";
  await story.until(
    () => `Tables that the root has: ${found}`,
    async () => {
      const ring = story.machine(0).node?.parts.cluster?.ring;
      if (ring === undefined) return false;
      const { current, newest } = ring.ownership.generations;
      const tables: string[] = [];
      for (let generation = 0; generation <= newest; generation++) {
        const own = tableKeys(generation).table;
        const key = generation === 0 ? FIRST_TABLE.table : own;
        const refusal = await refusalOf(story.ask(0, async (node) => {
          const { value } = await node.raKv.get(ROOT_GROUP, key);
          if (value !== undefined && !isGoneTable(value)) tables.push(key);
        }));
        if (refusal !== undefined) return false;
      }
      found = tables.join(", ");
      const wanted = current === 0 ? FIRST_TABLE : tableKeys(current);
      return found === wanted.table;
    },
    FOLLOW_MS_MAX,
  );
}

/** Waits until each ensemble has its members on the owners of its preference list, and none is left of another ring. */
async function following(
  story: ScriptContext,
  machines: readonly number[],
): Promise<void> {
  let behind = "nothing seen yet";
  await story.until(
    () => `Ensembles that follow the ring: ${behind}`,
    () => {
      const nodes = machines.flatMap((at) => story.machine(at).node ?? []);
      const ring = nodes[0]?.parts.cluster?.ring;
      const owners = ring?.ownership.owners ?? [];
      const groups = owners.map((_, partition) =>
        `whorl/partition/${firstVnode(ring!) + partition}`
      );
      behind = groups.flatMap((group, partition) => {
        const members = nodes.filter(({ parts }) =>
          parts.raft?.member(group) !== undefined
        ).map(({ name }) => name).sort();
        const wanted = ensembleOwners(owners, partition).sort();
        return `${members}` === `${wanted}` ? [] : [`${group} ${members}`];
      }).concat(
        nodes.flatMap(({ name, parts }) =>
          (parts.raft?.members() ?? []).flatMap(({ group }) =>
            group === "whorl/root" || groups.includes(group)
              ? []
              : [`${group} left on ${name}`]
          )
        ),
      ).join("; ");
      return owners.length > 0 && behind === "";
    },
    FOLLOW_MS_MAX,
  );
}
