/**
 * One command while it is being handled, and the way to answer it: once, early if
 * the caller wants that, and where commands follow a handoff, when its target has
 * it as well.
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
  /** The handler of a call that was given up has finished it. */
  finishedLate(): void;
}

/** One command being handled. */
export class PendingCall implements VnodeCall {
  /** Whether its caller has been answered, or will be once the target of a handoff has the command. */
  answered = false;
  /** What it was declared as. */
  readonly declaration: CommandDeclaration;
  /** What its answers bear. */
  readonly correlation: number;
  /** When its caller stops waiting, in monotonic milliseconds. */
  readonly deadline: number;
  readonly #host: PendingCallHost;
  #wantsAccepted: boolean;
  #abandoned = false;
  /** Whether the target of a handoff must have it too before it is answered. */
  #awaitsTarget: boolean;
  /** The answer that waits for that. */
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

  /** Whether its answer has left. */
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

  /** The target of a handoff has it as well, or need not. */
  targetHas(): void {
    this.#awaitsTarget = false;
    const heldBack = this.#heldBack;
    this.#heldBack = undefined;
    if (heldBack === undefined) return;
    // Given up meanwhile, and what was done is done.
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

  /** Its caller has been answered for the handler. */
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
