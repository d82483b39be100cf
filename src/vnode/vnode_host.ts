/**
 * What a vnode needs from the master around it, and what it counts.
 *
 * @module
 */
import type { FrameSink } from "../wire/frame_sink.ts";
import type { BackgroundPace } from "./background_pace.ts";
import type { VnodeTurns } from "./vnode_turns.ts";

/** Counts of one vnode since it started. */
export interface VnodeCounts {
  handled: number;
  failed: number;
  /** Not taken in: the mailbox was full, or the partition goes elsewhere. */
  refused: number;
  /** Not taken in as another replica could do it and this vnode had enough to do. */
  declined: number;
  /** Answered `overload` as they had waited too long for a vnode that is behind. */
  shed: number;
  expired: number;
}

/** What a vnode, of the class `Process`, needs from the master around it. */
export interface VnodeHost<Process> {
  /** Where answers go. */
  readonly answers: FrameSink;
  /** Monotonic milliseconds. */
  now(): number;
  /** Calls `callback` later, when others have had their turn. */
  later(afterMs: number, callback: () => void): void;
  /** How fast transfers may go. */
  readonly pace: BackgroundPace;
  readonly coveragePace: BackgroundPace;
  /** Whose turn it is. */
  readonly turns: VnodeTurns;
  /** Requests wait or have been promised an answer: call `giveUpOverdue` from time to time. */
  requestsInHand(): void;
  /** `process` has begun to refuse commands as its mailbox is full, or it has room again. */
  overloaded(process: Process, is: boolean): void;
  /** What `process` held went to `owner`: its commands are refused with that name from now on. */
  released(process: Process, owner: string): void;
  /** What `process` held went elsewhere and is removed: it need not run, unless commands came meanwhile. */
  removed(process: Process, stays: boolean): void;
}
