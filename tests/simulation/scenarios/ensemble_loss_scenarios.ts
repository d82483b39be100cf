/**
 * Consistent buckets whose logs rot or are gone on one node: what is left there
 * must neither be answered nor win, and the member counts again when it has been
 * given everything by the others. After riak_test's ensemble_byzantine, where a
 * minority loses data and trees or has them corrupted, and ensemble_sync, where
 * those that have lost something are brought up to date while others are away.
 *
 * @module
 */
import type { RaftMember } from "../../../src/raft/raft_member.ts";
import type { ScriptContext } from "../../../src/simulation/mod.ts";
import { consistentStory, cutOff } from "./consistent_story.ts";
import type { Scenario } from "./scenario.ts";

/** Virtual time in which all ensembles must be whole once all is well, in milliseconds. */
const WHOLE_MS_MAX = 180_000;
const MACHINES = [0, 1, 2];
/** Where more is lost connections stand still so often that nobody leads for long. */
const LOSS_MAX = 0.05;
/** Small, so that a short story has segments and snapshots. */
const LOGS = {
  walBytesMax: 4_096,
  segmentEntriesMax: 16,
  snapshotEntriesMin: 24,
};

/** All of them. */
export const ENSEMBLE_LOSS_SCENARIOS: readonly Scenario[] = [
  {
    name: "ensemble_byzantine",
    what:
      "logs of a node rot or are gone, again and again, and are given to it again, while clients read and write a consistent bucket",
    operations: 200,
    loadMs: 20_000,
    raftLogs: LOGS,
    lossMax: LOSS_MAX,
    begin: () =>
      consistentStory(async (story) => {
        // Always the same: what rots may be found much later, and what two have lost may be all that there was.
        const victim = story.chance.pick(MACHINES);
        for (let times = 0; times < 4; times++) {
          await story.sleep(story.chance.below(2_500));
          harm(story, victim);
          await whole(story);
        }
      }),
  },
  {
    name: "ensemble_sync",
    what:
      "a node whose logs are gone comes back while one of the other two is away, and makes no majority with the third",
    operations: 200,
    loadMs: 20_000,
    raftLogs: LOGS,
    lossMax: LOSS_MAX,
    begin: () =>
      consistentStory(async (story) => {
        const [victim = 0, ...others] = story.chance.shuffle([...MACHINES]);
        for (let times = 0; times < 3; times++) {
          await story.sleep(story.chance.below(3_000));
          cutOff(story, story.chance.pick(others));
          await story.sleep(story.chance.pick([0, 100, 800]));
          harm(story, victim);
          await whole(story);
        }
      }),
  },
];

/** What may be gone of the logs of a node. With the write-ahead log goes its watermark: the last batch alone, when nothing says that it was, is missed by nobody. */
const LOSSES: readonly RegExp[] = [
  /\/raft\//,
  /\/raft\/wal/,
  /\/raft\/groups\/\d+\/seg-\d+$/,
  /\/raft\/groups\/\d+\/snapshots\//,
  /\/raft\/groups\/\d+\/manifest$/,
  /\/raft\/groups\/\d*[02468]\//,
];

/** Damages logs of `node`, or takes some away, under its process or while there is none. */
function harm(story: ScriptContext, node: number): void {
  const { chance, strike } = story;
  if (chance.chance(0.3)) {
    for (let bits = 1 + chance.below(4); bits > 0; bits--) {
      story.rot(node, chance.pick(["segment", "manifest", "snapshot"]));
    }
    // Half of the time it is found by who reads there, else by the next process.
    if (chance.chance(0.5)) return;
  }
  strike({ type: "kill", node, forMs: chance.pick([20, 300, 1_500]) });
  if (chance.chance(0.5)) {
    for (let bits = 1 + chance.below(4); bits > 0; bits--) {
      story.rot(node, chance.pick(["wal", "segment", "manifest", "snapshot"]));
    }
    return;
  }
  const lost = chance.pick(LOSSES);
  story.lose(node, (path) => lost.test(path));
}

/** Waits until each ensemble has three members that vote, each of which runs and has all that was agreed. */
async function whole(story: ScriptContext): Promise<void> {
  let lacking = "nothing seen yet";
  await story.until(
    () => `Ensembles that are whole: ${lacking}`,
    () => {
      const nodes = MACHINES.flatMap((at) => story.machine(at).node ?? []);
      const ring = nodes[0]?.parts.cluster?.ring;
      if (ring === undefined) return false;
      const partitions = ring.ownership.owners.keys();
      const groups = [
        "whorl/root",
        ...partitions.map((partition) => `whorl/partition/${partition}`),
      ];
      lacking = groups.flatMap((group) => {
        const members = nodes.flatMap(({ parts }) =>
          parts.raft?.member(group) ?? []
        );
        return isWhole(members) ? [] : [`${group} ${members.map(describe)}`];
      }).join("; ");
      return lacking === "";
    },
    WHOLE_MS_MAX,
  );
}

function isWhole(members: readonly RaftMember[]): boolean {
  const leader = members.filter(({ role }) => role === "leader")
    .sort((a, b) => b.term - a.term)[0];
  if (leader === undefined) return false;
  const { membership, commitIndex } = leader;
  return membership.members.length === MACHINES.length &&
    membership.members.every(({ kind, uid }) =>
      kind === "voter" &&
      members.some((member) =>
        member.uid === uid && member.appliedIndex >= commitIndex &&
        member.log.overview().durableIndex >= commitIndex
      )
    );
}

function describe(
  { node, uid, role, term, appliedIndex, membership }: RaftMember,
): string {
  const members = membership.members.map(({ node, uid, kind }) =>
    `${node} ${uid} ${kind}`
  );
  return `${node} (${uid}) ${role} in term ${term}, applied ${appliedIndex}, of ${members}`;
}
