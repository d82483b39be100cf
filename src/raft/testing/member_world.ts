/**
 * What a simulated member needs.
 *
 * @module
 */
import type { Chance } from "../../base/chance.ts";
import type { RaftMessage } from "../raft_message.ts";
import type { RaftRules } from "./raft_rules.ts";

/** The surroundings of a member. */
export interface MemberWorld {
  readonly chance: Chance;
  readonly rules: RaftRules;
  /** Calls `fire` when the election timer fires. */
  electionTimer(afterMs: number, fire: () => void): void;
  /** Calls `fire` a moment after a commit. */
  commitTimer(fire: () => void): void;
  /** Calls `done` when a disk has synced. */
  sync(done: () => void): void;
  /** Calls `done` when a snapshot transfer has taken too long. */
  transferTimer(done: () => void): void;
  send(from: string, uid: number, to: string, message: RaftMessage): void;
  /** Brings what `from` offered as `transfer` to the member on `to`. */
  fetchSnapshot(from: string, to: string, transfer: number): void;
  /** Calls `done` when entries are read: at once if they are in memory. */
  readEntries(done: () => void): void;
  /** How many entries fit into one message. */
  messageEntries(): number;
  /** A number that no other command has. */
  nextCommand(): number;
  trace(line: () => string): void;
}
