/**
 * What a leader knows about another member's log, and how it sends entries
 * there (etcd's Progress).
 *
 *     probe ──── it has the entry before `next` ──────► replicate
 *       ▲  ▲                                             │     │
 *       │  └── refused, or its node is lost ─────────────┘     │
 *       │                                                      │
 *       └── sent, or failed ── snapshot ◄── entries are gone ──┘ (also from probe)
 *
 * In probe mode `next` is a guess, and one message is in flight at a time. In
 * replicate mode `next` runs ahead of the acknowledgements by up to
 * `PIPELINE_ENTRIES_MAX` entries. In snapshot mode no entries are sent.
 *
 * Invariant: `match < next`.
 *
 * @module
 */
import type { Member } from "./raft_entry.ts";

/** Most entries in flight to one member; more wait for acknowledgements. */
export const PIPELINE_ENTRIES_MAX = 4096;
/** Most entries in a probe: it may well be refused. */
export const PROBE_ENTRIES_MAX = 16;

/** See the module comment; changes in place. */
export interface Progress {
  readonly node: string;
  /** Answers of another incarnation of the member do not count. */
  readonly uid: number;
  member: Member;
  mode: "probe" | "replicate" | "snapshot";
  /** Its log is durably equal to the leader's up to here. */
  match: number;
  /** The next entry to send to it. */
  next: number;
  /** In probe mode: a probe is in flight and unanswered. */
  paused: boolean;
  /** It has answered since the last `quorum_check`, or is new since then. */
  heard: boolean;
  /** The last commit index sent to it. */
  commitSent: number;
  /** The last confirmation round that it has answered. */
  confirmed: number;
}

/** The progress of a member of which the leader knows nothing yet. */
export function createProgress(member: Member, lastIndex: number): Progress {
  return {
    node: member.node,
    uid: member.uid,
    member,
    mode: "probe",
    match: 0,
    next: lastIndex + 1,
    paused: false,
    heard: true,
    commitSent: 0,
    confirmed: 0,
  };
}

/** The last entry that may be sent now, or -1 if nothing is to be sent. */
export function lastToSend(peer: Progress, lastIndex: number): number {
  switch (peer.mode) {
    case "probe":
      return peer.paused
        ? -1
        : Math.min(lastIndex, peer.next + PROBE_ENTRIES_MAX - 1);
    case "replicate": {
      const last = Math.min(lastIndex, peer.match + PIPELINE_ENTRIES_MAX);
      return last < peer.next ? -1 : last;
    }
    case "snapshot":
      return -1;
    default:
      return peer.mode satisfies never;
  }
}

/** It accepted an append, and durably has everything up to `index`. */
export function acknowledged(peer: Progress, index: number): void {
  if (index > peer.match) peer.match = index;
  if (peer.next <= peer.match) peer.next = peer.match + 1;
  if (peer.mode === "probe") {
    peer.mode = "replicate";
    peer.paused = false;
  }
}

/**
 * It refused an append; the two logs can only agree before `next`. False if the
 * refusal is outdated.
 */
export function refused(peer: Progress, next: number): boolean {
  if (peer.mode === "snapshot") return false;
  // It still has what it acknowledged, so this refusal is older.
  if (next <= peer.match || next >= peer.next) return false;
  peer.next = next;
  peer.mode = "probe";
  peer.paused = false;
  return true;
}

/** What was sent may be lost: begins again behind what is acknowledged. */
export function restartProbe(peer: Progress, paused: boolean): void {
  if (peer.mode === "replicate") peer.next = peer.match + 1;
  peer.mode = "probe";
  peer.paused = paused;
}
