/**
 * How long a member waits before it stands for election.
 *
 * A leader that is only silent may be slow, so it is given long, and elections
 * are rare. A leader whose connection has ended is lost, and then each
 * millisecond counts: members wait just so long that two of them seldom stand
 * at the same time. Where they do, or where disks are slower than that, each
 * further attempt draws from twice the time, up to that for silence.
 *
 * Waiting that short is safe because nobody is disturbed by it: before its term
 * grows, a member asks whether a majority would vote for it (thesis 9.6).
 *
 * @module
 */
import type { Chance } from "../base/chance.ts";

/** Silence of a leader after which its followers stand, at least; also how often a leader counts who still answers. */
export const ELECTION_TIMEOUT_MS_MIN = 1000;
/** The same at most: twice as much, so that the first one is seldom disturbed by the second (paper, 9.3). */
export const ELECTION_TIMEOUT_MS_MAX = 2000;
/** Wait when it is known that there is no leader, at least: the others have to hear of that too. */
export const LEADERLESS_TIMEOUT_MS_MIN = 10;
/** The same at most: some round trips and syncs of a disk apart, which is what a vote takes, and far below what a person notices. */
export const LEADERLESS_TIMEOUT_MS_MAX = 150;
/** Time a round of votes has, at least: two syncs of a slow disk and two ways. Rounds that are lost end earlier. */
export const ROUND_TIMEOUT_MS_MIN = 150;
/** The same at most. */
export const ROUND_TIMEOUT_MS_MAX = 300;

/** Silence of the leader to wait for. */
export function silenceTimeoutMs(chance: Chance): number {
  return drawn(chance, ELECTION_TIMEOUT_MS_MIN, ELECTION_TIMEOUT_MS_MAX);
}

/** Time without a leader to wait for, after so many attempts that came to nothing. */
export function leaderlessTimeoutMs(chance: Chance, attempts: number): number {
  return drawn(
    chance,
    LEADERLESS_TIMEOUT_MS_MIN,
    backedOff(LEADERLESS_TIMEOUT_MS_MAX, attempts),
  );
}

/** Time for a round of votes, after so many attempts that came to nothing. */
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
