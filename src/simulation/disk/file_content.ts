/**
 * The content of one file on a machine that may lose power: what every process
 * sees, in the page cache, and what is on the platter. A sync brings the
 * platter up to date; without one, a power loss keeps the writes up to some
 * moment, and a prefix of the next one, which may end in the middle of a
 * 512-byte sector.
 *
 * @module
 */
import { briefCopy, briefCopyOf } from "../../base/byte_slab.ts";
import type { Chance } from "../../base/chance.ts";

/**
 * One change since the last sync; without bytes, the file was truncated or
 * extended to `offset`.
 */
interface Change {
  readonly offset: number;
  readonly bytes: Uint8Array | undefined;
}

const SPACE_BYTES_MIN = 64;
const NO_SPACE = new Uint8Array(0);

/** A growable byte array. */
class Bytes {
  #space: Uint8Array<ArrayBuffer> = NO_SPACE;
  /**
   * Whether the buffer is shared with another one, and so must not be changed.
   */
  #shared = false;
  length = 0;

  /** The same bytes, sharing the buffer until one of the two changes. */
  copy(): Bytes {
    const copy = new Bytes();
    copy.#space = this.#space;
    copy.length = this.length;
    copy.#shared = this.#shared = true;
    return copy;
  }

  #own(): void {
    if (!this.#shared) return;
    this.#space = this.#space.slice();
    this.#shared = false;
  }

  apply({ offset, bytes }: Change): void {
    if (bytes === undefined) this.resize(offset);
    else this.write(bytes, offset);
  }

  write(bytes: Uint8Array, offset: number): void {
    const end = offset + bytes.length;
    if (end > this.length) this.resize(end);
    this.#own();
    this.#space.set(bytes, offset);
  }

  resize(length: number): void {
    if (length > this.#space.length) {
      const larger = new Uint8Array(
        Math.max(length, 2 * this.#space.length, SPACE_BYTES_MIN),
      );
      larger.set(this.#space.subarray(0, this.length));
      this.#space = larger;
      this.#shared = false;
    } else if (length < this.length) {
      this.#own();
      this.#space.fill(0, length, this.length);
    }
    this.length = length;
  }

  flip(bit: number): void {
    this.#own();
    const at = bit >>> 3;
    this.#space[at] = (this.#space[at] as number) ^ 1 << (bit & 7);
  }

  read(): Uint8Array<ArrayBuffer> {
    return briefCopyOf(this.#space, 0, this.length);
  }

  readAt(into: Uint8Array, offset: number): number {
    const found = this.#space.subarray(
      Math.min(offset, this.length),
      Math.min(offset + into.length, this.length),
    );
    into.set(found);
    return found.length;
  }
}

/** What a power loss did to a file. */
export interface ContentLoss {
  /** Lost changes, including a torn one. */
  readonly changes: number;
  readonly torn: boolean;
}

/** The content of one file. */
export class FileContent {
  #seen = new Bytes();
  #platter = new Bytes();
  #changes: Change[] = [];
  /** Number of the first of `#changes`. */
  #first = 0;

  /** In bytes, as processes see it. */
  get length(): number {
    return this.#seen.length;
  }

  /** Number of changes so far; a sync that begins now makes these durable. */
  get changesMade(): number {
    return this.#first + this.#changes.length;
  }

  /** A copy of the content as processes see it. */
  read(): Uint8Array<ArrayBuffer> {
    return this.#seen.read();
  }

  /** Fills `into` from `offset` on; returns the number of bytes read. */
  readAt(into: Uint8Array, offset: number): number {
    return this.#seen.readAt(into, offset);
  }

  /** A new content equal to what processes see, all of it on the platter. */
  copy(): FileContent {
    const copy = new FileContent();
    copy.#seen = this.#seen.copy();
    copy.#platter = this.#seen.copy();
    return copy;
  }

  /** Writes a copy of `bytes`; durable once synced. */
  write(bytes: Uint8Array, offset: number): void {
    this.#change({ offset, bytes: briefCopy(bytes) });
  }

  /** Truncates it, or extends it with zeros; durable once synced. */
  truncate(length: number): void {
    this.#change({ offset: length, bytes: undefined });
  }

  #change(change: Change): void {
    this.#seen.apply(change);
    this.#changes.push(change);
  }

  /** Brings the first `changes` changes to the platter. */
  sync(changes: number): void {
    for (const change of this.#take(changes)) this.#platter.apply(change);
  }

  /**
   * Abandons the first `changes` changes, as Linux does after a failed sync:
   * they remain visible, but no later sync makes them durable.
   */
  giveUp(changes: number): void {
    this.#take(changes);
  }

  #take(changes: number): Change[] {
    const taken = this.#changes.splice(0, Math.max(0, changes - this.#first));
    this.#first += taken.length;
    return taken;
  }

  /**
   * Keeps what is on the platter, and what the page cache happened to have
   * written back.
   */
  losePower(chance: Chance): ContentLoss {
    const waiting = this.#changes.length;
    const whole = chance.below(waiting + 1);
    this.sync(this.#first + whole);
    const next = this.#changes[0];
    let torn = false;
    if (next?.bytes !== undefined && next.bytes.length > 0) {
      const left = chance.below(next.bytes.length);
      torn = left > 0;
      if (torn) this.#platter.write(next.bytes.subarray(0, left), next.offset);
    }
    this.#take(this.changesMade);
    this.#seen = this.#platter.copy();
    return { changes: waiting - whole, torn };
  }

  /** Flips the bit number `bit`, for all readers and on the platter. */
  flip(bit: number): void {
    this.#seen.flip(bit);
    if (bit >>> 3 < this.#platter.length) this.#platter.flip(bit);
  }
}
