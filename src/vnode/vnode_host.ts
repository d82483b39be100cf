/**
 * What a vnode needs from its master, and the counts it keeps.
 *
 * @module
 */
import type { FrameSink } from "../wire/frame_sink.ts";
import type { HandoffDecision } from "./handoff_codec.ts";
import type { BackgroundPace } from "./background_pace.ts";
import type { VnodeTurns } from "./vnode_turns.ts";

/** Counts of one vnode since it started. */
export interface VnodeCounts {
  handled: number;
  failed: number;
  /** Refused because the mailbox was full or the partition is moving away. */
  refused: number;
  /** Left to another replica, because this vnode had reached its soft bound. */
  declined: number;
  /** Answered `overload` after waiting too long for a vnode that is behind. */
  shed: number;
  expired: number;
}

/** What a vnode, of the class `Process`, needs from its master. */
export interface VnodeHost<Process> {
  /** Where answers go. */
  readonly answers: FrameSink;
  /** Monotonic milliseconds. */
  now(): number;
  /** When the message with the current request arrived. */
  receivedMs(): number;
  /** Calls `callback` later, after other work has had a turn. */
  later(afterMs: number, callback: () => void): void;
  /** The pace of transfers. */
  readonly pace: BackgroundPace;
  readonly coveragePace: BackgroundPace;
  /** The turns of the master's vnodes. */
  readonly turns: VnodeTurns;
  /** Requests are queued or have been promised an answer: call `giveUpOverdue` from time to time. */
  requestsInHand(): void;
  /** `process` has begun to refuse commands because its mailbox is full, or has room again. */
  overloaded(process: Process, is: boolean): void;
  /** The data of `process` went to `owner`, as the ring has decided: its commands are refused with that name from now on. */
  released(process: Process, owner: string, decided: HandoffDecision): void;
  /** All of the data of `process` has arrived from the node it had gone to. */
  dataReturned(process: Process): void;
  /** The data of `process` went elsewhere and was removed: it need not run, unless commands arrived meanwhile (`stays`). */
  removed(process: Process, stays: boolean): void;
}
