/**
 * What a leader knows of one other member's log, and how it sends entries there
 * (etcd's Progress).
 *
 *     probe ──── it has what stands before `next` ────► replicate
 *       ▲  ▲                                             │     │
 *       │  └── refused, or its node is lost ─────────────┘     │
 *       │                                                      │
 *       └── sent, or failed ── snapshot ◄── entries are gone ──┘ (also from probe)
 *
 * Probing, one message is out at a time: `next` is a guess. Replicating, `next`
 * runs ahead of what is acknowledged by up to `PIPELINE_ENTRIES_MAX` entries.
 * During a snapshot nothing is sent.
 *
 * Invariant: `match < next`.
 *
 * @module
 */
import type { Member } from "./raft_entry.ts";

/** Entries on their way to one member; more wait until some are acknowledged. */
export const PIPELINE_ENTRIES_MAX = 4096;
/** Entries that go along with a probe: it may well be refused. */
export const PROBE_ENTRIES_MAX = 16;

/** See the module's text; changes in place. */
export interface Progress {
  readonly node: string;
  /** Answers of another life of the member do not count. */
  readonly uid: number;
  member: Member;
  mode: "probe" | "replicate" | "snapshot";
  /** Its log is the leader's up to here, durably. */
  match: number;
  /** The next entry it is to be sent. */
  next: number;
  /** Probing: one is out, and is neither answered nor given up. */
  paused: boolean;
  /** It has answered since the last `quorum_check`, or has not been asked for as long as that. */
  heard: boolean;
  /** The commit index it was told last. */
  commitSent: number;
  /** The last round of confirmation that it has answered. */
  confirmed: number;
}

/** What a new leader, or one with a new member, knows of it: nothing. */
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

/** Whether entries up to `lastIndex` are to be sent, and may be now. */
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

/** It has what stands before `next` when that was sent, and all up to `index` durably. */
export function acknowledged(peer: Progress, index: number): void {
  if (index > peer.match) peer.match = index;
  if (peer.next <= peer.match) peer.next = peer.match + 1;
  if (peer.mode === "probe") {
    peer.mode = "replicate";
    peer.paused = false;
  }
}

/**
 * It lacks what stands before an entry that it was sent; the two logs can only
 * agree before `next`. False if that is old news.
 */
export function refused(peer: Progress, next: number): boolean {
  if (peer.mode === "snapshot") return false;
  // What it has acknowledged it still has: this was said before that.
  if (next <= peer.match || next >= peer.next) return false;
  peer.next = next;
  peer.mode = "probe";
  peer.paused = false;
  return true;
}

/** What was sent may not have come: begin again behind what is acknowledged. */
export function restartProbe(peer: Progress, paused: boolean): void {
  if (peer.mode === "replicate") peer.next = peer.match + 1;
  peer.mode = "probe";
  peer.paused = paused;
}
