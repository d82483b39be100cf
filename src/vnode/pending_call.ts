/**
 * One command while it is being handled, and its answers: one final answer, an
 * early one before it if the caller wants that; where commands follow a
 * handoff, only once the target has the command as well.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import { FrameType } from "../wire/frame_type.ts";
import type { CommandDeclaration, VnodeCall } from "./vnode.ts";

/** What a call needs from the vnode that handles it. */
export interface PendingCallHost {
  /** Milliseconds until `deadline`. */
  timeLeftUntil(deadline: number): number;
  /** Answers a call with an early or a final result. */
  answer(call: PendingCall, type: number, value: unknown): void;
  /** Answers a call with a failure: a `WhorlError` as it is, anything else as `vnode_error`. */
  rejectCall(call: PendingCall, error: unknown): void;
  /** The handler of a call has finished, and its answer waits for the target of a handoff. */
  appliedHere(): void;
  /** The handler of an abandoned call has finished. */
  finishedLate(): void;
}

/** One command being handled. */
export class PendingCall implements VnodeCall {
  /** Whether the handler has answered: its caller gets the answer now, or once the target of a handoff has the command. */
  answered = false;
  /** Its declaration. */
  readonly declaration: CommandDeclaration;
  /** The correlation of its answers. */
  readonly correlation: number;
  /** When its caller stops waiting, on the monotonic clock in milliseconds. */
  readonly deadline: number;
  readonly #host: PendingCallHost;
  #wantsAccepted: boolean;
  #abandoned = false;
  /** Whether the caller is answered only once the target of a handoff has the command as well. */
  #awaitsTarget: boolean;
  /** The answer that waits for the target. */
  #heldBack: { readonly value: unknown } | undefined;

  constructor(
    host: PendingCallHost,
    declaration: CommandDeclaration,
    correlation: number,
    deadline: number,
    wantsAccepted: boolean,
    awaitsTarget: boolean,
  ) {
    this.#host = host;
    this.declaration = declaration;
    this.correlation = correlation;
    this.deadline = deadline;
    this.#wantsAccepted = wantsAccepted;
    this.#awaitsTarget = awaitsTarget;
  }

  /** Whether its answer has been sent. */
  get settled(): boolean {
    return this.answered && this.#heldBack === undefined;
  }

  get timeLeftMs(): number {
    return this.#host.timeLeftUntil(this.deadline);
  }

  accepted(value: unknown): void {
    if (this.answered || !this.#wantsAccepted) return;
    this.#wantsAccepted = false;
    this.#host.answer(this, FrameType.vnodeAccepted, value);
  }

  reply(value: unknown): void {
    if (this.answered) return this.#finishedLate();
    this.answered = true;
    if (this.#awaitsTarget) {
      this.#heldBack = { value };
      this.#host.appliedHere();
    } else this.#host.answer(this, FrameType.vnodeReply, value);
  }

  /** The target of a handoff has the command too, or need not have it. */
  targetHas(): void {
    this.#awaitsTarget = false;
    const heldBack = this.#heldBack;
    this.#heldBack = undefined;
    if (heldBack === undefined) return;
    // It was abandoned meanwhile; its effects remain.
    if (this.#abandoned) return this.#finishedLate();
    this.#host.answer(this, FrameType.vnodeReply, heldBack.value);
  }

  fail(failure: string, message: string): void {
    this.reject(
      new WhorlError("vnode_error", message, { details: { failure } }),
    );
  }

  reject(error: unknown): void {
    if (this.answered) return this.#finishedLate();
    this.answered = true;
    this.#host.rejectCall(this, error);
  }

  /** Notes that the caller was answered without the handler. */
  abandon(): void {
    this.answered = true;
    this.#abandoned = true;
  }

  #finishedLate(): void {
    if (!this.#abandoned) return;
    this.#abandoned = false;
    this.#host.finishedLate();
  }
}
