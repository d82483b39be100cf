/**
 * A bounded queue of the messages that a process has been sent and has not yet
 * taken.
 *
 * @module
 */

/** Default bound of a mailbox, in messages; one more is refused. */
export const MAILBOX_MAX_DEFAULT = 100_000;

const CAPACITY_MIN = 8;

/** A first-in first-out queue with a bound. All operations take constant time. */
export class Mailbox<T> {
  /** Messages it holds at most. */
  readonly max: number;
  #ring: (T | undefined)[] = [];
  #head = 0;
  #length = 0;

  /** Creates an empty mailbox for `max` messages. */
  constructor(max: number = MAILBOX_MAX_DEFAULT) {
    this.max = max;
  }

  /** Messages in it. */
  get length(): number {
    return this.#length;
  }

  /** Adds `message` at the end. False, and nothing is added, if it is full. */
  push(message: T): boolean {
    if (this.#length >= this.max) return false;
    this.add(message);
    return true;
  }

  /** Adds `message` at the end even if it is full, for notices that must not be lost. */
  add(message: T): void {
    if (this.#length === this.#ring.length) this.#grow();
    this.#ring[(this.#head + this.#length) & (this.#ring.length - 1)] = message;
    this.#length++;
  }

  /** Takes the oldest message, or `undefined` if there is none. */
  shift(): T | undefined {
    if (this.#length === 0) return undefined;
    const message = this.#ring[this.#head];
    this.#ring[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#ring.length - 1);
    this.#length--;
    return message;
  }

  /** Empties it. */
  clear(): void {
    this.#ring = [];
    this.#head = 0;
    this.#length = 0;
  }

  #grow(): void {
    // A power of two, so that positions wrap with a mask.
    const larger = new Array<T | undefined>(
      Math.max(CAPACITY_MIN, this.#ring.length * 2),
    );
    for (let i = 0; i < this.#length; i++) {
      larger[i] = this.#ring[(this.#head + i) & (this.#ring.length - 1)];
    }
    this.#ring = larger;
    this.#head = 0;
  }
}
