/**
 * Draws what happens to a Raft group besides what happens to any node: leaders
 * are struck just because they lead, members come and go, lead on request, and
 * store their state, and one may lose power at the very moment of its vote.
 *
 * @module
 */
import type { Chance } from "../../base/chance.ts";
import type { ActType, LeaderFault, LogPart, PlannedAct } from "./schedule.ts";

/** Every kind of act. */
export const ACT_TYPES: readonly ActType[] = [
  "add_member",
  "remove_member",
  "transfer",
  "snapshot",
  "compact",
  "leader_fault",
  "voter_fault",
  "log_rot",
];

/** Everything of a log that may rot. */
export const LOG_PARTS: readonly LogPart[] = [
  "wal",
  "segment",
  "manifest",
  "snapshot",
];

/** Everything that may befall a leader. */
export const LEADER_FAULTS: readonly LeaderFault[] = [
  "kill",
  "power_loss",
  "pause",
  "cut",
  "deaf",
  "mute",
  "disk_full",
  "disk_errors",
];

/** The same, those more often that leave a leader which does not know of the next one. */
const LEADER_FAULTS_DRAWN: readonly LeaderFault[] = [
  ...LEADER_FAULTS,
  "cut",
  "cut",
  "cut",
  "mute",
  "pause",
];
/** Acts drawn. */
const ACTS_MAX = 8;
/** Voters that a group is not made smaller than. */
const VOTERS_MIN = 2;
/** The same where one of them may lose its log: the others must be a majority. */
const VOTERS_MIN_WITH_ROT = 3;

/** What acts on a group are drawn within. */
export interface ActBounds {
  readonly nodes: number;
  readonly loadMs: number;
  /** The one node whose logs may rot, if any may: what two lose may be all that there was. The groups of all nodes share a log, so that it is the same for all. */
  readonly rotten: number | undefined;
}

/** Draws acts that make sense one after the other on a group that begins with `members`. */
export function drawActs(
  chance: Chance,
  members: readonly number[],
  { nodes, loadMs, rotten }: ActBounds,
): PlannedAct[] {
  const possible = ACT_TYPES.filter((type) =>
    type !== "log_rot" || rotten !== undefined
  );
  // As for faults: each seed draws its own mix.
  const kept = chance.pick(possible);
  const enabled = possible.filter((type) =>
    type === kept || chance.chance(0.5)
  );
  const times = Array.from(
    { length: chance.below(ACTS_MAX + 1) },
    () => chance.below(Math.max(1, Math.floor(loadMs * 0.9))),
  ).sort((a, b) => a - b);
  const votersMin = rotten === undefined ? VOTERS_MIN : VOTERS_MIN_WITH_ROT;
  const voters = [...members];
  const others: number[] = [];
  return times.flatMap((atMs): PlannedAct[] => {
    // What happens to leaders matters most.
    const type = chance.chance(0.2) ? "leader_fault" : chance.pick(enabled);
    const node = chance.below(nodes);
    switch (type) {
      case "add_member": {
        const out = Array.from({ length: nodes }, (_, index) => index)
          .filter((index) =>
            !voters.includes(index) && !others.includes(index)
          );
        if (out.length === 0) return [];
        const added = chance.pick(out);
        const kind = chance.pick(
          ["voter", "voter", "voter", "non_voter"] as const,
        );
        (kind === "non_voter" ? others : voters).push(added);
        return [{ atMs, type, node: added, kind }];
      }
      case "remove_member": {
        const from = others.length > 0 && chance.chance(0.5) ? others : voters;
        if (from === voters && voters.length <= votersMin) return [];
        const [gone] = from.splice(chance.below(from.length), 1);
        return [{ atMs, type, node: gone as number }];
      }
      case "transfer":
      case "snapshot":
      case "compact":
        return [{ atMs, type, node }];
      case "leader_fault":
        return [{
          atMs,
          type,
          how: chance.pick(LEADER_FAULTS_DRAWN),
          forMs: chance.pick([20, 300, 1_200, 1_800, 2_500, 4_000]) *
            (0.5 + chance.next()),
        }];
      case "log_rot":
        return rotten === undefined
          ? []
          : [{ atMs, type, node: rotten, ...drawRot(chance) }];
      case "voter_fault":
        return [{
          atMs,
          type,
          afterMs: chance.pick([0, 0.1, 1, 5]) * chance.next(),
          forMs: chance.pick([1, 20, 200, 1_500]) * (0.5 + chance.next()),
        }];
    }
  });
}

/** What is in files of their own may rot under a process that runs; what it wrote last, only while there is none. */
function drawRot(
  chance: Chance,
): { readonly part: LogPart; readonly forMs: number } {
  const part = chance.pick<LogPart>([...LOG_PARTS, "segment"]);
  const forMs = chance.pick([20, 300, 1_500]) * (0.5 + chance.next());
  const runs = part !== "wal" && chance.chance(0.5);
  return { part, forMs: runs ? 0 : forMs };
}
