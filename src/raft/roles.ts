/**
 * How a member becomes a follower, of a leader it knows or of none, and what
 * ends with that: its own leadership, the reads that wait for a leader that is
 * none any more, a round of votes.
 *
 * @module
 */
import { leaderlessTimeoutMs, silenceTimeoutMs } from "./election_timeouts.ts";
import type { RaftEffect, RaftRole } from "./raft_events.ts";
import { mayStand, type RaftState, saveVote } from "./raft_state.ts";

const CLEAR_TIMER: RaftEffect = Object.freeze({ type: "clear_election_timer" });

/**
 * The leader of `term`, which is not below this member's own, has spoken.
 * The usual case costs nothing but its timer's restart.
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
    // Others do have a leader: nothing is to be forced.
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

/** The leader is lost: somebody must stand, perhaps this member. */
export function loseLeader(state: RaftState, effects: RaftEffect[]): void {
  becomeFollower(state, state.term, undefined, effects);
}

/** Becomes what `role` says, in the term it has, and ends what belonged to another role, term or leader. */
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
  // What is committed stands in every leader's log; of the rest this one has not spoken yet.
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

/** Nothing is waited for. */
export function clearTimer(effects: RaftEffect[]): void {
  effects.push(CLEAR_TIMER);
}

/** Tells the members in effect. */
export function tellMembership(
  state: RaftState,
  effects: RaftEffect[],
): void {
  effects.push({ type: "membership_changed", membership: state.membership });
}

/** `leader` leads, or nobody does and there is nothing to wait for: a transfer has come to that. */
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
 * Whoever reads must begin again. What a leader was asked by others it forgets:
 * they are followers of somebody else now, or give up themselves.
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
