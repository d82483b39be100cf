/**
 * What waits for a vnode: commands in order of arrival, bounded as
 * `mailbox_bounds.ts` says. It knows no clock; whoever calls says what time it is.
 *
 * @module
 */
import {
  fateOf,
  isRelieved,
  type MailboxBounds,
  type MailboxFill,
  type MailboxRefusal,
  refusalOf,
  type WaitFate,
} from "./mailbox_bounds.ts";

/** A request that waits: a view into a message that its vnode owns. */
export interface WaitingRequest {
  readonly correlation: number;
  readonly command: number;
  readonly flags: number;
  /** When its caller stops waiting, in monotonic milliseconds. */
  readonly deadline: number;
  /** When it came. */
  readonly arrivedMs: number;
  bytes: Uint8Array;
  start: number;
  end: number;
}

/** Commands taken out of the front before the rest moves up. */
const MOVE_UP_AT = 1_024;

/** The mailbox of one vnode. */
export class Mailbox {
  readonly #bounds: MailboxBounds;
  /** Those before `#from` have been taken. */
  #requests: (WaitingRequest | undefined)[] = [];
  #from = 0;
  #byteCount = 0;
  /** Since when something has been waiting each time the vnode could have taken more. */
  #behindSinceMs: number | undefined;
  /** Whether the vnode takes commands at all; if not, that they wait says nothing of its load. */
  #open = false;
  /** Whether it has refused a command, and has not had room since. */
  #overloaded = false;

  constructor(bounds: MailboxBounds) {
    this.#bounds = bounds;
  }

  /** Requests that wait. */
  get length(): number {
    return this.#requests.length - this.#from;
  }

  /** Their bytes. */
  get byteCount(): number {
    return this.#byteCount;
  }

  /** Whether it has refused a command as it was full, and has not had room again. */
  get overloaded(): boolean {
    return this.#overloaded;
  }

  /** The vnode takes commands from now on. */
  open(nowMs: number): void {
    this.#open = true;
    this.#behindSinceMs = this.length > 0 ? nowMs : undefined;
  }

  /** The vnode takes no commands for a while, for reasons of its own; they wait until their deadlines. */
  close(): void {
    this.#open = false;
  }

  /**
   * Why a request of `byteCount` bytes may not come in, if so.
   *
   * @param handling How many the vnode has taken up and not answered.
   * @param mayDecline Whether another replica can do it as well.
   */
  refusal(
    handling: number,
    byteCount: number,
    mayDecline: boolean,
  ): MailboxRefusal | undefined {
    const refusal = refusalOf(
      this.#bounds,
      this.#fill(handling),
      byteCount,
      mayDecline,
    );
    if (refusal !== undefined && refusal !== "soft") this.#overloaded = true;
    return refusal;
  }

  /** Takes in a request that was not refused. */
  add(request: WaitingRequest): void {
    this.#behindSinceMs ??= request.arrivedMs;
    this.#requests.push(request);
    this.#byteCount += request.end - request.start;
  }

  /** The next request, whatever becomes of it; if there is none, the vnode has kept up. */
  take(): WaitingRequest | undefined {
    if (this.length === 0) {
      this.#behindSinceMs = undefined;
      return undefined;
    }
    const request = this.#requests[this.#from] as WaitingRequest;
    // Or its message would be kept until the others move up.
    this.#requests[this.#from++] = undefined;
    this.#byteCount -= request.end - request.start;
    if (this.#from === this.#requests.length) this.#replace([]);
    else if (this.#from >= MOVE_UP_AT) {
      this.#replace(this.#requests.slice(this.#from));
    }
    return request;
  }

  /** What becomes of `request` now. */
  fateOf(request: WaitingRequest, nowMs: number): WaitFate {
    const behindMs = this.#open && this.#behindSinceMs !== undefined
      ? nowMs - this.#behindSinceMs
      : 0;
    return fateOf(
      this.#bounds,
      nowMs - request.arrivedMs,
      request.deadline - nowMs,
      behindMs,
    );
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
    };
  }

  #replace(requests: (WaitingRequest | undefined)[]): void {
    this.#requests = requests;
    this.#from = 0;
  }
}
