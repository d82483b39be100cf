/**
 * How long a member waits before it starts an election.
 *
 * A leader that is only silent may be slow, so it gets a long timeout, and
 * elections are rare. A leader whose connection has ended is lost, and then
 * each millisecond counts: members wait just long enough that two of them
 * seldom run at the same time. Where they do, or where disks are slow, each
 * further attempt draws from twice the range, up to the timeout for silence.
 *
 * Such short timeouts do not disrupt a group: before it raises its term, a
 * member asks whether a majority would vote for it (thesis 9.6).
 *
 * @module
 */
import type { Chance } from "../base/chance.ts";

/**
 * Shortest silence of a leader after which a follower starts an election; also
 * how often a leader counts the members that still answer.
 */
export const ELECTION_TIMEOUT_MS_MIN = 1000;
/** The longest: twice as long, so that the first candidate seldom meets a second one (paper, 9.3). */
export const ELECTION_TIMEOUT_MS_MAX = 2000;
/** Shortest wait when it is known that there is no leader: the others have to learn that too. */
export const LEADERLESS_TIMEOUT_MS_MIN = 10;
/**
 * The longest: a vote takes some round trips and disk syncs, and candidates are
 * to be that far apart. Still too short for people to notice.
 */
export const LEADERLESS_TIMEOUT_MS_MAX = 150;
/** Shortest timeout of a round of votes: two syncs of a slow disk and a round trip. Lost rounds end earlier. */
export const ROUND_TIMEOUT_MS_MIN = 150;
/** The longest. */
export const ROUND_TIMEOUT_MS_MAX = 300;

/** Silence of the leader after which to start an election. */
export function silenceTimeoutMs(chance: Chance): number {
  return drawn(chance, ELECTION_TIMEOUT_MS_MIN, ELECTION_TIMEOUT_MS_MAX);
}

/** How long to wait without a leader, after this many failed attempts. */
export function leaderlessTimeoutMs(chance: Chance, attempts: number): number {
  return drawn(
    chance,
    LEADERLESS_TIMEOUT_MS_MIN,
    backedOff(LEADERLESS_TIMEOUT_MS_MAX, attempts),
  );
}

/** Timeout of a round of votes, after this many failed attempts. */
export function roundTimeoutMs(chance: Chance, attempts: number): number {
  return drawn(
    chance,
    Math.min(
      backedOff(ROUND_TIMEOUT_MS_MIN, attempts),
      ELECTION_TIMEOUT_MS_MIN,
    ),
    backedOff(ROUND_TIMEOUT_MS_MAX, attempts),
  );
}

function backedOff(ms: number, attempts: number): number {
  return Math.min(ms * 2 ** Math.min(attempts, 8), ELECTION_TIMEOUT_MS_MAX);
}

function drawn(chance: Chance, minMs: number, maxMs: number): number {
  return minMs + chance.below(maxMs - minMs + 1);
}
