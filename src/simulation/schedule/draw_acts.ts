/**
 * Draws the acts on a Raft group, besides the faults of any node: leaders are
 * hit because they lead, members are added and removed, take over leadership
 * and take snapshots on request, and one may lose power at the very moment of
 * its vote.
 *
 * @module
 */
import type { Chance } from "../../base/chance.ts";
import type { ActType, LeaderFault, LogPart, PlannedAct } from "./schedule.ts";

/** Every type of act. */
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

/** Every part of a log that may rot. */
export const LOG_PARTS: readonly LogPart[] = [
  "wal",
  "segment",
  "manifest",
  "snapshot",
];

/** Every fault that can hit a leader. */
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

/**
 * The same, with the faults that leave a leader unaware of its successor more
 * often.
 */
const LEADER_FAULTS_DRAWN: readonly LeaderFault[] = [
  ...LEADER_FAULTS,
  "cut",
  "cut",
  "cut",
  "mute",
  "pause",
];
/** Most acts drawn. */
const ACTS_MAX = 8;
/** Fewest voters that a group is left with. */
const VOTERS_MIN = 2;
/**
 * The same where one of them may lose its log: the others must be a majority.
 */
const VOTERS_MIN_WITH_ROT = 3;

/** Limits of the acts drawn for a group. */
export interface ActBounds {
  readonly nodes: number;
  readonly loadMs: number;
  /**
   * The one node whose logs may rot, if any may: what two nodes lose may be all
   * copies. The same for all groups, since a node's groups share a log.
   */
  readonly rotten: number | undefined;
}

/**
 * Draws acts that make sense one after the other on a group that starts with
 * `members`.
 */
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
    // Faults of leaders matter most.
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

/**
 * Files of their own may rot under a running process; recent writes only while
 * none is running.
 */
function drawRot(
  chance: Chance,
): { readonly part: LogPart; readonly forMs: number } {
  const part = chance.pick<LogPart>([...LOG_PARTS, "segment"]);
  const forMs = chance.pick([20, 300, 1_500]) * (0.5 + chance.next());
  const runs = part !== "wal" && chance.chance(0.5);
  return { part, forMs: runs ? 0 : forMs };
}
