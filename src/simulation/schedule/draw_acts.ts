/**
 * Draws what happens to a Raft group besides what happens to any node: leaders
 * are struck just because they lead, members come and go, lead on request, and
 * store their state, and one may lose power at the very moment of its vote.
 *
 * @module
 */
import type { Chance } from "../../base/chance.ts";
import type { ActType, LeaderFault, PlannedAct } from "./schedule.ts";

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

/** Draws acts that make sense one after the other on a group that begins with `members`, of `nodes` nodes. */
export function drawActs(
  chance: Chance,
  nodes: number,
  members: readonly number[],
  loadMs: number,
): PlannedAct[] {
  // As for faults: each seed draws its own mix.
  const kept = chance.pick(ACT_TYPES);
  const enabled = ACT_TYPES.filter((type) =>
    type === kept || chance.chance(0.5)
  );
  const times = Array.from(
    { length: chance.below(ACTS_MAX + 1) },
    () => chance.below(Math.max(1, Math.floor(loadMs * 0.9))),
  ).sort((a, b) => a - b);
  const votersMin = enabled.includes("log_rot")
    ? VOTERS_MIN_WITH_ROT
    : VOTERS_MIN;
  /** One machine's log at most: what two lose may be all that there was. */
  const rotten = chance.below(nodes);
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
        return members.length < VOTERS_MIN_WITH_ROT ? [] : [{
          atMs,
          type,
          node: rotten,
          forMs: chance.pick([20, 300, 1_500]) * (0.5 + chance.next()),
        }];
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
