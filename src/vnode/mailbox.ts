/**
 * What waits for a vnode: commands in order of arrival, bounded as
 * `mailbox_bounds.ts` says. It knows no clock; whoever calls says what time it is.
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
  /** How many its mailbox had given out to be handled when it came, see {@linkcode Mailbox.served}. */
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
  /** Those before `#from` have been taken. */
  #requests: (WaitingRequest | undefined)[] = [];
  #from = 0;
  #byteCount = 0;
  readonly #meter: WaitMeter;
  /** When the last one came that begins something, taken in or not. */
  #lastCameMs = -Infinity;
  /** When something was last turned away as it had waited for too long, or refused as it would. */
  #turnedAwayMs = -Infinity;
  /** Whether it has refused a command, and has not had room since. */
  #overloaded = false;

  /** @param load That of its thread. */
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

  /** How many have been given out to be handled. */
  get served(): number {
    return this.#meter.handled;
  }

  /** How long one more would wait, in milliseconds; 0 if that is not known. */
  get expectedMs(): number {
    return this.#meter.expectedMs(this.length);
  }

  /** For how long it is of no use to send further commands after one was refused as it would wait for long, if that is known. */
  get againAfterMs(): number | undefined {
    return againAfterMs(this.#bounds, this.expectedMs);
  }

  /** The vnode takes commands from now on. */
  open(nowMs: number): void {
    this.#meter.open(nowMs);
  }

  /** The vnode takes no commands for a while, for reasons of its own; they wait until their deadlines. */
  close(): void {
    this.#meter.close();
  }

  /**
   * Why a request may not come in, if so.
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

  /** Takes in a request that was not refused. */
  add(request: WaitingRequest): void {
    this.#requests.push(request);
    this.#load.waits(1);
    this.#byteCount += request.end - request.start;
    if (!isContinuing(request.flags)) this.#lastCameMs = request.arrivedMs;
    this.#look(request.arrivedMs);
  }

  /** The next request, whatever becomes of it. */
  take(): WaitingRequest | undefined {
    if (this.length === 0) {
      this.#meter.emptied();
      return undefined;
    }
    const request = this.#requests[this.#from] as WaitingRequest;
    // Or its message would be kept until the others move up.
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
   * What becomes of `request`, which has been taken; if it is due, it is handled now.
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

  /** Takes out those that are not due any more, in order, with what becomes of them. */
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

  /** The same, of those only that are before the first one that is due: the oldest, which costs nothing if there are none. */
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

  /** Takes out those for which `leaves`, in order. The vnode has not kept up by that. */
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
   * Gives those that wait bytes of their own, if they are a small part of the
   * message they came in: its other requests may have been answered long ago, and
   * it would be kept for this one.
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
   * Nothing waits for any vnode of the thread: it has kept up, unless it is that as
   * what waited was turned away, or those who were refused do not ask for a while.
   */
  emptied(nowMs: number): void {
    if (nowMs - this.#turnedAwayMs > this.#bounds.waitMsMax) {
      this.#meter.keptUp();
    }
  }

  /** Looks whether an overloaded mailbox has room again; true once when it has. */
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
