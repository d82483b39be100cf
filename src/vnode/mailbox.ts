/**
 * The mailbox of a vnode: queued commands in order of arrival, bounded by
 * `mailbox_bounds.ts`. It has no clock; callers pass the time.
 *
 * @module
 */
import {
  againAfterMs,
  fateOf,
  isRelieved,
  type MailboxBounds,
  type MailboxFill,
  type MailboxRefusal,
  refusalOf,
  type WaitFate,
} from "./mailbox_bounds.ts";
import type { ThreadLoad } from "./thread_load.ts";
import { isContinuing, RequestFlag } from "./vnode_wire.ts";
import { WaitMeter } from "./wait_meter.ts";

/** A request that waits: a view into a message that its vnode owns. */
export interface WaitingRequest {
  readonly correlation: number;
  readonly command: number;
  readonly flags: number;
  /** When its caller stops waiting, in monotonic milliseconds. */
  readonly deadline: number;
  /** When it came. */
  readonly arrivedMs: number;
  /** The value of {@linkcode Mailbox.served} when it arrived. */
  readonly servedBefore: number;
  bytes: Uint8Array;
  start: number;
  end: number;
}

/** Commands taken out of the front before the rest moves up. */
const MOVE_UP_AT = 1_024;

/** The mailbox of one vnode. */
export class Mailbox {
  readonly #bounds: MailboxBounds;
  readonly #load: ThreadLoad;
  /** In order of arrival; those before `#from` have been taken. */
  #requests: (WaitingRequest | undefined)[] = [];
  #from = 0;
  #byteCount = 0;
  readonly #meter: WaitMeter;
  /**
   * When the last command that begins something arrived, whether admitted or
   * not.
   */
  #lastCameMs = -Infinity;
  /** When a command was last turned away for having waited too long, or refused because it would have. */
  #turnedAwayMs = -Infinity;
  /** Whether it has refused a command, and has not had room since. */
  #overloaded = false;

  /** @param load The load of its thread. */
  constructor(bounds: MailboxBounds, load: ThreadLoad) {
    this.#bounds = bounds;
    this.#load = load;
    this.#meter = new WaitMeter(bounds);
  }

  /** Requests that wait. */
  get length(): number {
    return this.#requests.length - this.#from;
  }

  /** Their bytes. */
  get byteCount(): number {
    return this.#byteCount;
  }

  /** Whether it has refused a command, and has not had room again. */
  get overloaded(): boolean {
    return this.#overloaded;
  }

  /** Whether the vnode is behind with what waits. */
  get behind(): boolean {
    return this.#meter.behind;
  }

  /** Number of commands taken out to be handled. */
  get served(): number {
    return this.#meter.handled;
  }

  /** Expected wait of one more command, in milliseconds; 0 if unknown. */
  get expectedMs(): number {
    return this.#meter.expectedMs(this.length);
  }

  /** After a refusal for a long expected wait: for how many milliseconds further commands are futile, if that is known. */
  get againAfterMs(): number | undefined {
    return againAfterMs(this.#bounds, this.expectedMs);
  }

  /** The vnode takes commands from now on. */
  open(nowMs: number): void {
    this.#meter.open(nowMs);
  }

  /** The vnode takes no commands for a while, for reasons other than load; they wait until their deadlines. */
  close(): void {
    this.#meter.close();
  }

  /**
   * Why a request is refused, if it is.
   *
   * @param handling How many the vnode has taken up and not answered.
   * @param nowMs Needed only while the vnode is behind.
   */
  refusal(
    handling: number,
    byteCount: number,
    flags: number,
    deadline: number,
    nowMs: number,
  ): MailboxRefusal | undefined {
    const { behind } = this.#meter;
    const continues = isContinuing(flags);
    if (!continues) this.#load.came();
    if (behind && !continues) this.#lastCameMs = nowMs;
    const refusal = refusalOf(this.#bounds, this.#fill(handling), {
      byteCount,
      expectedMs: behind ? this.expectedMs : 0,
      timeLeftMs: deadline - nowMs,
      mayDecline: (flags & RequestFlag.mayDecline) !== 0,
      continues,
    });
    if (refusal === "wait") this.#turnedAwayMs = nowMs;
    if (refusal !== undefined && refusal !== "soft") this.#overloaded = true;
    return refusal;
  }

  /** Queues a request that was not refused. */
  add(request: WaitingRequest): void {
    this.#requests.push(request);
    this.#load.waits(1);
    this.#byteCount += request.end - request.start;
    if (!isContinuing(request.flags)) this.#lastCameMs = request.arrivedMs;
    this.#look(request.arrivedMs);
  }

  /** Removes and returns the next request, due or not. */
  take(): WaitingRequest | undefined {
    if (this.length === 0) {
      this.#meter.emptied();
      return undefined;
    }
    const request = this.#requests[this.#from] as WaitingRequest;
    // Releases its message now, not only when the others move up.
    this.#requests[this.#from++] = undefined;
    this.#load.waits(-1);
    this.#byteCount -= request.end - request.start;
    if (this.#from === this.#requests.length) this.#replace([]);
    else if (this.#from >= MOVE_UP_AT) {
      this.#replace(this.#requests.slice(this.#from));
    }
    return request;
  }

  /**
   * Decides the fate of `request`, which has been taken; if it is due, it is
   * handled now.
   *
   * @param handlingMs How long that takes, in milliseconds.
   */
  fateOfTaken(
    request: WaitingRequest,
    nowMs: number,
    handlingMs: number,
  ): WaitFate {
    const { arrivedMs, servedBefore } = request;
    this.#meter.look(arrivedMs, nowMs, this.#swamped);
    const fate = this.#fateOf(request, nowMs, handlingMs);
    if (fate === "due") {
      this.#meter.serve(arrivedMs, servedBefore, nowMs);
      this.#load.handled(nowMs);
    }
    return fate;
  }

  /** Removes the requests that are no longer due, in order, with the fate of each. */
  removeOverdue(nowMs: number): [WaitingRequest, "expired" | "stale"][] {
    this.#look(nowMs);
    const overdue: [WaitingRequest, "expired" | "stale"][] = [];
    this.remove((request) => {
      const fate = this.#fateOf(request, nowMs, 0);
      if (fate !== "due") overdue.push([request, fate]);
      return fate !== "due";
    });
    return overdue;
  }

  /** As {@linkcode Mailbox.removeOverdue}, but stops at the first request that is still due; costs nothing if that is the oldest. */
  removeOverdueFirst(
    nowMs: number,
  ): [WaitingRequest, "expired" | "stale"][] {
    const overdue: [WaitingRequest, "expired" | "stale"][] = [];
    for (;;) {
      const oldest = this.#requests[this.#from];
      if (oldest === undefined) return overdue;
      const fate = this.#fateOf(oldest, nowMs, 0);
      if (fate === "due") return overdue;
      overdue.push([oldest, fate]);
      this.take();
    }
  }

  #fateOf(
    { arrivedMs, deadline, flags }: WaitingRequest,
    nowMs: number,
    handlingMs: number,
  ): WaitFate {
    const fate = fateOf(
      this.#bounds,
      {
        waitedMs: nowMs - arrivedMs,
        timeLeftMs: deadline - nowMs,
        followedMs: this.#lastCameMs - arrivedMs,
        continues: isContinuing(flags),
      },
      this.#meter.behind,
      handlingMs,
    );
    if (fate === "stale") this.#turnedAwayMs = nowMs;
    return fate;
  }

  #look(nowMs: number): void {
    const oldest = this.#requests[this.#from];
    if (oldest === undefined) return;
    this.#meter.look(oldest.arrivedMs, nowMs, this.#swamped);
  }

  get #swamped(): boolean {
    return this.#load.isSwamped(this.#bounds.behindAfterMs);
  }

  /** Removes the requests that match `leaves`, in order. That does not count as catching up. */
  remove(leaves: (request: WaitingRequest) => boolean): WaitingRequest[] {
    const left: WaitingRequest[] = [];
    const stay: WaitingRequest[] = [];
    for (let i = this.#from; i < this.#requests.length; i++) {
      const request = this.#requests[i] as WaitingRequest;
      if (leaves(request)) {
        left.push(request);
        this.#byteCount -= request.end - request.start;
      } else stay.push(request);
    }
    this.#load.waits(-left.length);
    if (left.length > 0) this.#replace(stay);
    return left;
  }

  /**
   * Copies queued requests that are a small part of the message they arrived
   * in, which otherwise would be kept in memory for them alone.
   */
  keepBytes(): void {
    for (let i = this.#from; i < this.#requests.length; i++) {
      const request = this.#requests[i] as WaitingRequest;
      const { bytes, start, end } = request;
      if (bytes.buffer.byteLength <= 2 * (end - start)) continue;
      request.bytes = bytes.slice(start, end);
      request.start = 0;
      request.end = end - start;
    }
  }

  /**
   * Nothing waits for any vnode of the thread: the vnode has caught up, unless
   * the queue is empty only because requests were turned away or refused
   * callers have not come back yet.
   */
  emptied(nowMs: number): void {
    if (nowMs - this.#turnedAwayMs > this.#bounds.waitMsMax) {
      this.#meter.keptUp();
    }
  }

  /**
   * Checks whether an overloaded mailbox has room again; true once when it has.
   */
  relieved(handling: number): boolean {
    if (!this.#overloaded) return false;
    this.#overloaded = !isRelieved(this.#bounds, this.#fill(handling));
    return !this.#overloaded;
  }

  #fill(handling: number): MailboxFill {
    return {
      waiting: this.length,
      waitingBytes: this.#byteCount,
      handling,
      behind: this.#meter.behind,
    };
  }

  #replace(requests: (WaitingRequest | undefined)[]): void {
    this.#requests = requests;
    this.#from = 0;
  }
}
