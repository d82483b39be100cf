/**
 * Admission of requests to a vnode: a request is refused, queued in the
 * mailbox, or handled at once. Queued requests are handled in order of arrival,
 * in the vnode's turns (`vnode_turns.ts`), or turned away once they have waited
 * for too long.
 *
 * @module
 */
import { Mailbox, type WaitingRequest } from "./mailbox.ts";
import type { MailboxBounds, MailboxRefusal } from "./mailbox_bounds.ts";
import { declinedError, type VnodeAnswers } from "./vnode_answers.ts";
import type { VnodeCounts } from "./vnode_host.ts";
import type { TurnTaker, VnodeTurns } from "./vnode_turns.ts";

/** What the intake needs from its vnode and the master. */
export interface VnodeIntakeHost {
  readonly partition: number;
  readonly answers: VnodeAnswers;
  readonly counts: VnodeCounts;
  readonly turns: VnodeTurns;
  /** Whether a handler is busy, so that the next command has to wait. */
  isBusy(): boolean;
  /** Commands that were given to handlers and are not answered yet. */
  handling(): number;
  /** Monotonic milliseconds. */
  now(): number;
  /** When the message with the current request arrived. */
  receivedMs(): number;
  /** Handles one request, whose body is `bytes[start, end)`. */
  handle(
    correlation: number,
    command: number,
    flags: number,
    deadline: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void;
  /**
   * Requests wait: call {@linkcode VnodeIntake.lookThrough} from time to time.
   */
  requestsInHand(): void;
  /** The vnode has begun to refuse commands as its mailbox is full, or it has room again. */
  overloaded(is: boolean): void;
}

/** The load of a vnode. */
export interface VnodeBacklog {
  /** Requests that wait. */
  readonly waiting: number;
  /** Bytes of the requests that wait. */
  readonly waitingBytes: number;
  /** Whether the vnode has refused commands because its mailbox was full, and has not had room since. */
  readonly overloaded: boolean;
  /** Whether requests wait for longer than they should (`wait_meter.ts`). */
  readonly behind: boolean;
}

/** The intake of one vnode. */
export class VnodeIntake implements TurnTaker, VnodeBacklog {
  readonly #host: VnodeIntakeHost;
  readonly #mailbox: Mailbox;
  /**
   * Whether commands are held back, because the vnode is paused for a handoff.
   */
  #held = false;
  #closed = false;

  constructor(host: VnodeIntakeHost, bounds: MailboxBounds) {
    this.#host = host;
    this.#mailbox = new Mailbox(bounds, host.turns.load);
  }

  get waiting(): number {
    return this.#mailbox.length;
  }

  get waitingBytes(): number {
    return this.#mailbox.byteCount;
  }

  get overloaded(): boolean {
    return this.#mailbox.overloaded;
  }

  get behind(): boolean {
    return this.#mailbox.behind;
  }

  get #stands(): boolean {
    return this.#host.isBusy() || this.#held;
  }

  /** Accepts one request; the bytes belong to the vnode from now on. */
  take(
    correlation: number,
    command: number,
    flags: number,
    deadline: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    const host = this.#host;
    // Read only when needed, since reading the clock is not free.
    const nowMs = this.#mailbox.behind ? host.now() : -Infinity;
    const wasOverloaded = this.#mailbox.overloaded;
    const refusal = this.#mailbox.refusal(
      host.handling(),
      end - start,
      flags,
      deadline,
      nowMs,
    );
    if (this.#mailbox.behind) this.#turnAwayFirst(nowMs);
    if (refusal !== undefined) {
      this.#refuse(correlation, refusal);
      if (this.#mailbox.overloaded === wasOverloaded) return;
      host.overloaded(true);
      // The sweep notices when there is room again.
      host.requestsInHand();
      return;
    }
    const stands = this.#stands;
    if (stands || this.#mailbox.length > 0 || !host.turns.hasTime()) {
      host.requestsInHand();
      this.#mailbox.add({
        correlation,
        command,
        flags,
        deadline,
        arrivedMs: host.receivedMs(),
        servedBefore: this.#mailbox.served,
        bytes,
        start,
        end,
      });
      if (!stands) host.turns.wait(this);
      return;
    }
    host.turns.load.handledAtOnce();
    host.handle(correlation, command, flags, deadline, bytes, start, end);
  }

  #refuse(correlation: number, refusal: MailboxRefusal): void {
    const { partition, answers, counts } = this.#host;
    const handling = this.#host.handling();
    const { waiting, waitingBytes } = this;
    if (refusal === "soft") {
      counts.declined++;
      answers.failWith(
        correlation,
        declinedError(partition, waiting + handling),
        "overload",
      );
      return;
    }
    counts.refused++;
    const cannot = `Cannot take a command for partition ${partition}`;
    if (refusal === "wait") {
      const { expectedMs, againAfterMs } = this.#mailbox;
      answers.fail(
        correlation,
        "overload",
        `${cannot}: it would wait for ${
          Math.round(expectedMs)
        } ms behind ${waiting}`,
        againAfterMs === undefined ? undefined : { againAfterMs },
      );
      return;
    }
    answers.fail(
      correlation,
      "overload",
      `${cannot}: ${waiting} of together ${waitingBytes} bytes are waiting, ${handling} are being handled`,
    );
  }

  /** Holds commands back until {@linkcode VnodeIntake.open}. */
  hold(): void {
    this.#held = true;
    this.#mailbox.close();
  }

  /** Handles commands from now on, queued ones first. */
  open(): void {
    this.#held = false;
    this.#mailbox.open(this.#host.now());
    this.drain();
  }

  /** @internal The vnode's turn has come. */
  takeTurn(commandsMax: number): void {
    if (!this.#closed) this.drain(commandsMax);
  }

  /** Handles up to `commandsMax` queued requests, while no handler is busy and the turn lasts. */
  drain(commandsMax = Infinity): void {
    const host = this.#host;
    const { turns } = host;
    let left = commandsMax;
    while (!this.#stands) {
      if (this.#mailbox.length > 0 && !(left > 0 && turns.hasTime())) {
        turns.wait(this);
        break;
      }
      const next = this.#mailbox.take();
      if (next === undefined) break;
      const fate = this.#mailbox.fateOfTaken(
        next,
        host.now(),
        turns.commandMs,
      );
      if (fate !== "due") {
        this.#turnAway(next, fate, this.#late);
        continue;
      }
      left--;
      host.handle(
        next.correlation,
        next.command,
        next.flags,
        next.deadline,
        next.bytes,
        next.start,
        next.end,
      );
    }
    this.lookForRoom();
  }

  /** Turns away the oldest requests on arrival of a new one, as soon as they are due for that, and not only at their turn. */
  #turnAwayFirst(nowMs: number): void {
    for (const [request, fate] of this.#mailbox.removeOverdueFirst(nowMs)) {
      this.#turnAway(request, fate, this.#late);
    }
  }

  /** The error message for a command that could no longer be handled in time. */
  get #late(): string {
    return `The command waited for partition ${this.#host.partition} until it could not be done in time any more`;
  }

  /** Answers a command that has waited too long to be handled. */
  #turnAway(
    { correlation }: WaitingRequest,
    fate: "expired" | "stale",
    expired: string,
  ): void {
    const { partition, answers, counts } = this.#host;
    const { againAfterMs } = this.#mailbox;
    if (fate === "expired") {
      counts.expired++;
      answers.fail(correlation, "timeout", expired);
      return;
    }
    counts.shed++;
    answers.fail(
      correlation,
      "overload",
      `The command waited too long for partition ${partition}, which is behind with its commands`,
      againAfterMs === undefined ? undefined : { againAfterMs },
    );
  }

  /** Notes whether the vnode has caught up, and whether its mailbox has room again. */
  lookForRoom(): void {
    const host = this.#host;
    if (
      this.#mailbox.behind && this.#mailbox.length === 0 && !this.#stands &&
      host.turns.idle
    ) this.#mailbox.emptied(host.now());
    if (this.#mailbox.relieved(host.handling())) host.overloaded(false);
  }

  /** Answers requests that have waited too long, with `expired` as the message for those past their deadline, and releases messages of which only a small part still waits. */
  lookThrough(nowMs: number, expired: string): void {
    if (this.#mailbox.length === 0) return;
    for (const [request, fate] of this.#mailbox.removeOverdue(nowMs)) {
      this.#turnAway(request, fate, expired);
    }
    this.#mailbox.keepBytes();
  }

  /** Removes the queued requests that match `leaves`, in order. */
  remove(leaves: (request: WaitingRequest) => boolean): WaitingRequest[] {
    return this.#mailbox.remove(leaves);
  }

  /** Handles nothing any more, and removes the queued requests. */
  close(): WaitingRequest[] {
    this.#closed = true;
    return this.#mailbox.remove(() => true);
  }
}
