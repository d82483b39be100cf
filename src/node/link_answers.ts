/**
 * The answers sent over one link. Normally they pass straight through. Once
 * many bytes wait in the link, answers are held back here, in order, and follow
 * as it drains, so that large answers to many requests neither break the link
 * nor delay its pings. An answer whose requester has given up is dropped, and
 * one that cannot be held is replaced by `overload`, which is small. The limits
 * are in `link_budget.ts`.
 *
 * Once the node has left its cluster, failures are sent in place of successes,
 * also of those held back (`departure.ts`).
 *
 *     waiting in the link ≤ window ──► sent
 *     more ──► small: sent · fits: held · else: `overload` is sent
 *     held ── link drains ──► sent, or dropped after its deadline
 *
 * @module
 */
import { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import type { TurnClock } from "../environment/turn_clock.ts";
import type { Link } from "../transport/link.ts";
import { writeFailure } from "../wire/failure.ts";
import { FrameType } from "../wire/frame_type.ts";
import { acknowledges, type Departure } from "./departure.ts";
import {
  ANSWERS_HELD_BYTES_MAX,
  ANSWERS_WINDOW_BYTES,
  LINK_ANSWERS_HELD_BYTES_MAX,
  LINK_BACKLOG_BYTES_MAX,
} from "./link_budget.ts";

/** An answer up to this size is hardly larger than the error that would replace it. */
const SMALL_ANSWER_BYTES = 1024;
/** Overhead of holding an answer, in bytes. */
const HELD_OVERHEAD_BYTES = 128;

/** The answers that a node holds back for all its links together. */
export class HeldByNode {
  bytes = 0;
}

interface HeldAnswer {
  readonly type: number;
  readonly correlation: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly deadlineAt: number;
  next: HeldAnswer | undefined;
}

/** Answers over one link; see the module comment. */
export class LinkAnswers {
  readonly #link: Link;
  readonly #clock: TurnClock;
  readonly #heldByNode: HeldByNode;
  readonly #departure: Departure;
  /** The window, or a negative number while answers are held back, which go first. */
  #window = ANSWERS_WINDOW_BYTES;
  #first: HeldAnswer | undefined;
  #last: HeldAnswer | undefined;
  #heldBytes = 0;
  /** No held answer has an earlier deadline. */
  #earliestDeadline = Infinity;
  readonly #onRoom = (): void => this.#drain();

  constructor(
    link: Link,
    clock: TurnClock,
    heldByNode: HeldByNode,
    departure: Departure,
  ) {
    this.#link = link;
    this.#clock = clock;
    this.#heldByNode = heldByNode;
    this.#departure = departure;
  }

  /** Bytes held back now. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** The deadline of a requester that waits for `timeLeftMs` from now. */
  deadlineIn(timeLeftMs: number): number {
    return this.#clock.now() + timeLeftMs;
  }

  /**
   * Sends the answer in `bytes[start, end)` now or, at the latest, at its
   * deadline, on the clock of {@linkcode LinkAnswers.deadlineIn}.
   */
  send(
    type: number,
    correlation: number,
    bytes: Uint8Array<ArrayBuffer>,
    start: number,
    end: number,
    deadlineAt: number,
  ): void {
    if (this.#link.closed !== undefined) return;
    if (this.#link.bufferedBytes <= this.#window) {
      this.#write(type, correlation, bytes, start, end);
    } else this.#hold(type, correlation, bytes, start, end, deadlineAt);
  }

  #write(
    type: number,
    correlation: number,
    bytes: Uint8Array<ArrayBuffer>,
    start: number,
    end: number,
  ): void {
    const departed = acknowledges(type) ? this.#departure() : undefined;
    if (departed !== undefined) {
      this.#fail(type, correlation, departed);
      return;
    }
    this.#link.begin(type, correlation).rawRange(bytes, start, end);
    try {
      this.#link.end();
    } catch (error) {
      // The frame was taken back; the requester must be told all the same.
      if (!isWhorlError(error, "frame_too_large")) throw error;
      this.#fail(type, correlation, error);
    }
  }

  #hold(
    type: number,
    correlation: number,
    bytes: Uint8Array<ArrayBuffer>,
    start: number,
    end: number,
    deadlineAt: number,
  ): void {
    const count = end - start;
    if (
      count <= SMALL_ANSWER_BYTES &&
      this.#link.bufferedBytes <= LINK_BACKLOG_BYTES_MAX
    ) {
      this.#write(type, correlation, bytes, start, end);
      return;
    }
    if (!this.#fits(count)) this.#dropOverdue();
    if (!this.#fits(count)) {
      this.#fail(
        type,
        correlation,
        new WhorlError(
          "overload",
          `Cannot send an answer of ${count} bytes: ${this.#heldBytes} wait for ${this.#link.peer.name} to take them, ${this.#heldByNode.bytes} for all`,
        ),
      );
      return;
    }
    const answer: HeldAnswer = {
      type,
      correlation,
      bytes: bytes.slice(start, end),
      deadlineAt,
      next: undefined,
    };
    if (this.#last === undefined) this.#first = answer;
    else this.#last.next = answer;
    this.#last = answer;
    this.#count(answer, 1);
    if (deadlineAt < this.#earliestDeadline) {
      this.#earliestDeadline = deadlineAt;
    }
    if (this.#window < 0) return;
    this.#window = -1;
    this.#link.whenBelow(ANSWERS_WINDOW_BYTES, this.#onRoom);
  }

  #fits(count: number): boolean {
    const more = count + HELD_OVERHEAD_BYTES;
    return this.#heldBytes + more <= LINK_ANSWERS_HELD_BYTES_MAX &&
      this.#heldByNode.bytes + more <= ANSWERS_HELD_BYTES_MAX;
  }

  #count(answer: HeldAnswer, sign: 1 | -1): void {
    const count = sign * (answer.bytes.length + HELD_OVERHEAD_BYTES);
    this.#heldBytes += count;
    this.#heldByNode.bytes += count;
  }

  #dropOverdue(): void {
    const now = this.#clock.now();
    if (now < this.#earliestDeadline) return;
    const held = this.#first;
    this.#first = this.#last = undefined;
    this.#earliestDeadline = Infinity;
    for (let answer = held; answer !== undefined;) {
      const { next } = answer;
      answer.next = undefined;
      if (answer.deadlineAt <= now) this.#count(answer, -1);
      else {
        if (this.#last === undefined) this.#first = answer;
        else this.#last.next = answer;
        this.#last = answer;
        this.#earliestDeadline = Math.min(
          this.#earliestDeadline,
          answer.deadlineAt,
        );
      }
      answer = next;
    }
  }

  #drain(): void {
    const link = this.#link;
    const now = this.#clock.now();
    while (this.#first !== undefined) {
      const gone = link.closed !== undefined;
      if (!gone && link.bufferedBytes > ANSWERS_WINDOW_BYTES) {
        link.whenBelow(ANSWERS_WINDOW_BYTES, this.#onRoom);
        return;
      }
      const answer = this.#first;
      this.#first = answer.next;
      if (this.#first === undefined) this.#last = undefined;
      this.#count(answer, -1);
      if (gone || answer.deadlineAt <= now) continue;
      const { type, correlation, bytes } = answer;
      this.#write(type, correlation, bytes, 0, bytes.length);
    }
    this.#earliestDeadline = Infinity;
    this.#window = ANSWERS_WINDOW_BYTES;
  }

  #fail(type: number, correlation: number, error: WhorlError): void {
    const body = new ByteWriter(256);
    writeFailure(body, error);
    const isOperation = type === FrameType.operationReply ||
      type === FrameType.operationError;
    this.#link.begin(
      isOperation ? FrameType.operationError : FrameType.vnodeError,
      correlation,
    ).rawRange(body.bytes, 0, body.length);
    this.#link.end();
  }
}
