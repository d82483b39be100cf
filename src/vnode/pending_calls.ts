/**
 * The calls of one vnode: those it has promised to answer, and those it has
 * abandoned although their handlers may still be running. Each gets exactly one
 * answer, whatever its handler does afterwards.
 *
 * @module
 */
import { FrameType } from "../wire/frame_type.ts";
import { PendingCall, type PendingCallHost } from "./pending_call.ts";
import type { CommandDeclaration } from "./vnode.ts";
import type { VnodeAnswers } from "./vnode_answers.ts";
import type { VnodeCounts } from "./vnode_host.ts";

/** How long past its deadline a promised answer is awaited, in milliseconds, so that one that is just late still counts. */
const OVERDUE_GRACE_MS = 500;

/** What the calls need from their vnode. */
export interface PendingCallsHost {
  readonly answers: VnodeAnswers;
  readonly counts: VnodeCounts;
  /** Monotonic milliseconds. */
  now(): number;
  /** A call has been promised an answer: call {@linkcode PendingCalls.giveUpOverdue} from time to time. */
  requestsInHand(): void;
  /** A handler has finished, or a caller has been answered. */
  callsChanged(): void;
}

/** The calls of one vnode; see the module comment. */
export class PendingCalls implements PendingCallHost {
  readonly #host: PendingCallsHost;
  readonly #promised = new Set<PendingCall>();
  /** A count only; the calls are not kept. */
  #abandoned = 0;
  /** The command whose handler is on the stack right now. */
  handling: PendingCall | undefined = undefined;
  #closed = false;

  constructor(host: PendingCallsHost) {
    this.#host = host;
  }

  /** Calls that were promised an answer. */
  get size(): number {
    return this.#promised.size;
  }

  /** Abandoned calls whose handlers are still running. */
  get abandoned(): number {
    return this.#abandoned;
  }

  /** Whether no handler is running, not even for callers who have been answered. */
  get quiet(): boolean {
    if (this.#abandoned > 0) return false;
    for (const call of this.#promised) {
      if (!call.answered) return false;
    }
    return true;
  }

  /**
   * Begins a command, which is handled now.
   *
   * @param awaitsTarget Whether it is answered when the target of a handoff has it too.
   */
  begin(
    declaration: CommandDeclaration,
    correlation: number,
    deadline: number,
    wantsAccepted: boolean,
    awaitsTarget: boolean,
  ): PendingCall {
    return new PendingCall(
      this,
      declaration,
      correlation,
      deadline,
      wantsAccepted,
      awaitsTarget,
    );
  }

  /** `call` is answered later. */
  promise(call: PendingCall): void {
    this.#promised.add(call);
    this.#host.requestsInHand();
  }

  /** Abandons the calls whose callers have stopped waiting, answering `timeout` with the message `overdue`. */
  giveUpOverdue(nowMs: number, overdue: string): void {
    for (const call of this.#promised) {
      if (call.deadline > nowMs - OVERDUE_GRACE_MS) continue;
      this.#promised.delete(call);
      call.abandon();
      this.#abandoned++;
      this.#host.counts.expired++;
      this.#host.answers.fail(call.correlation, "timeout", overdue);
    }
  }

  /** The handler of `call` has failed, and the vnode crashes. */
  failed(call: PendingCall, message: string): void {
    this.#promised.delete(call);
    if (call.settled) return;
    call.answered = true;
    this.#host.answers.fail(call.correlation, "vnode_error", message);
  }

  /** Answers all callers with `vnode_crashed`; later answers are dropped. */
  close(message: string): void {
    this.#closed = true;
    for (const call of this.#promised) {
      this.#host.answers.fail(call.correlation, "vnode_crashed", message);
    }
    this.#promised.clear();
    const { handling } = this;
    if (handling === undefined || handling.answered) return;
    handling.answered = true;
    this.#host.answers.fail(handling.correlation, "vnode_crashed", message);
  }

  /** @internal */
  finishedLate(): void {
    this.#abandoned--;
    this.#host.callsChanged();
  }

  /** @internal */
  appliedHere(): void {
    this.#host.callsChanged();
  }

  /** @internal */
  timeLeftUntil(deadline: number): number {
    return Math.max(0, deadline - this.#host.now());
  }

  /** @internal */
  answer(call: PendingCall, type: number, value: unknown): void {
    if (type !== FrameType.vnodeAccepted) {
      this.#promised.delete(call);
      this.#host.counts.handled++;
      this.#host.callsChanged();
    }
    if (this.#closed) return;
    this.#host.answers.answer(
      call.correlation,
      type,
      (into) => call.declaration.reply.encode(value, into),
    );
  }

  /** @internal */
  rejectCall(call: PendingCall, error: unknown): void {
    this.#promised.delete(call);
    this.#host.counts.failed++;
    this.#host.callsChanged();
    if (!this.#closed) {
      this.#host.answers.failWith(call.correlation, error, "vnode_error");
    }
  }
}
