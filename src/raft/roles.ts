/**
 * How a member becomes a follower, with or without a known leader, and what
 * that ends: its own leadership, reads that wait for a former leader, a round
 * of votes.
 *
 * @module
 */
import { leaderlessTimeoutMs, silenceTimeoutMs } from "./election_timeouts.ts";
import type { RaftEffect, RaftRole } from "./raft_events.ts";
import { mayStand, type RaftState, saveVote } from "./raft_state.ts";

const CLEAR_TIMER: RaftEffect = Object.freeze({ type: "clear_election_timer" });

/**
 * A message of the leader of `term`, which is not below this member's own.
 * Usually it only restarts the timer.
 */
export function heardLeader(
  state: RaftState,
  leader: string,
  term: number,
  effects: RaftEffect[],
): void {
  if (
    state.leader !== leader || state.term !== term ||
    state.leadership !== undefined
  ) becomeFollower(state, term, leader, effects);
  else effects.push(state.silence);
}

/** Follows `leader`, or waits for one, in `term`. */
export function becomeFollower(
  state: RaftState,
  term: number,
  leader: string | undefined,
  effects: RaftEffect[],
): void {
  if (term > state.term) saveVote(state, term, undefined, effects);
  if (leader !== undefined) {
    state.attempts = 0;
    // The others do have a leader, so forcing members is unnecessary.
    if (state.forced !== undefined) {
      state.forced = undefined;
      tellMembership(state, effects);
    }
  }
  changeRole(
    state,
    state.receipt === undefined ? "follower" : "receiving_snapshot",
    leader,
    effects,
  );
  if (leader !== undefined) {
    state.silence = {
      type: "set_election_timer",
      afterMs: silenceTimeoutMs(state.chance),
    };
    effects.push(state.silence);
  } else if (mayStand(state)) {
    effects.push({
      type: "set_election_timer",
      afterMs: leaderlessTimeoutMs(state.chance, state.attempts),
    });
  } else {
    clearTimer(effects);
  }
}

/** The leader is lost: some member must start an election, perhaps this one. */
export function loseLeader(state: RaftState, effects: RaftEffect[]): void {
  becomeFollower(state, state.term, undefined, effects);
}

/** Takes on `role` in the present term, and ends what belonged to another role, term or leader. */
export function changeRole(
  state: RaftState,
  role: RaftRole,
  leader: string | undefined,
  effects: RaftEffect[],
): void {
  refuseReads(state, effects);
  state.leadership = undefined;
  state.votes.clear();
  state.standsByRequest = false;
  const { told } = state;
  state.role = role;
  state.leader = leader;
  // Committed entries are in every leader's log; this leader has not confirmed
  // the rest yet.
  state.verifiedIndex = state.commitIndex;
  state.repliedIndex = 0;
  if (
    told.role !== role || told.term !== state.term || told.leader !== leader
  ) {
    state.told = { type: "role_changed", role, term: state.term, leader };
    effects.push(state.told);
  }
  if (leader !== undefined) endTransfer(state, leader, effects);
}

/** Clears the election timer. */
export function clearTimer(effects: RaftEffect[]): void {
  effects.push(CLEAR_TIMER);
}

/** Reports the members in effect. */
export function tellMembership(
  state: RaftState,
  effects: RaftEffect[],
): void {
  effects.push({ type: "membership_changed", membership: state.membership });
}

/** Ends a transfer: `leader` leads, or there is no leader and nothing to wait for. */
export function endTransfer(
  state: RaftState,
  leader: string | undefined,
  effects: RaftEffect[],
): void {
  const { transfer } = state;
  state.transfer = undefined;
  if (transfer?.request === undefined) return;
  effects.push({
    type: "transfer_ended",
    request: transfer.request,
    ok: transfer.to === leader,
  });
}

/**
 * Refuses pending reads, which must be started again. Those forwarded by others
 * are dropped: their members follow another leader now, or time out.
 */
function refuseReads(state: RaftState, effects: RaftEffect[]): void {
  for (const { round } of state.forwardedReads) refuseRead(round, effects);
  state.forwardedReads.length = 0;
  if (state.leadership === undefined) return;
  for (const { from, round } of state.leadership.reads.drop()) {
    if (from === undefined) refuseRead(round, effects);
  }
}

function refuseRead(round: number, effects: RaftEffect[]): void {
  effects.push({ type: "read_refused", round, reason: "not_leader" });
}
