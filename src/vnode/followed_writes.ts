/**
 * Writes of a vnode that are to be acknowledged when its data's next place has them,
 * too. While the ring is resized there is a time in which reads go by the new
 * partitions and writes by the present ones (`ring_resize.ts`); a write that had
 * been acknowledged and was still on its way would be missed then.
 *
 * While they are held, a write is told when it is durable here and the batch with
 * its keys has arrived. If the transfer that took them there ends, they wait for
 * the next one.
 *
 * @module
 */
import type { TellDurable } from "./watched_partition.ts";

/** A write and what is known of it, or a mark among the writes. */
interface FollowedWrite {
  /** Of what was written; their bytes as text. */
  readonly keys: readonly string[];
  /** Set when it is durable here, or has failed. */
  committed: (() => void) | undefined;
  arrived: boolean;
  /** Who waits for a mark. */
  readonly passed?: () => void;
}

/** The writes of one vnode; see the module comment. */
export class FollowedWrites {
  #holds = false;
  /** In the order of their calls, in which they are told. */
  readonly #queue: FollowedWrite[] = [];
  /** Those whose keys are in no round yet, and those of the round under way. */
  #noted: FollowedWrite[] = [];
  #round: FollowedWrite[] = [];
  /** Those that were said, by the batch with the last of their round. */
  #said: { readonly batch: number; readonly writes: FollowedWrite[] }[] = [];
  #acked = 0;

  /** Whether writes are held. */
  get holds(): boolean {
    return this.#holds;
  }

  /** From now on writes are held. */
  hold(): void {
    this.#holds = true;
  }

  /** Nothing is held any more. */
  release(): void {
    this.#holds = false;
    this.#noted = [];
    this.#round = [];
    this.#said = [];
    for (const write of this.#queue) write.arrived = true;
    this.#tell();
  }

  /** Keys of writes that are held; their bytes as text. */
  get keys(): string[] {
    return this.#queue.flatMap(({ keys, arrived }) => arrived ? [] : keys);
  }

  /** `keys` are about to be written, and the next round will have them; returns who tells of it, if it is held. */
  noted(keys: readonly string[]): TellDurable | undefined {
    // One that comes after those that are held is told after them.
    if (!this.#holds && this.#queue.length === 0) return undefined;
    const write: FollowedWrite = {
      keys,
      committed: undefined,
      arrived: !this.#holds,
    };
    this.#queue.push(write);
    if (!write.arrived) this.#noted.push(write);
    return (committed, failed) => {
      write.committed = committed;
      write.arrived ||= failed;
      this.#tell();
    };
  }

  /** Calls `passed` when all that is written by now has arrived, unless the transfer ends before. */
  mark(passed: () => void): void {
    this.#noted.push({
      keys: [],
      committed: undefined,
      arrived: false,
      passed,
    });
  }

  /** A transfer begins, whose first round will have the keys of all that is held. */
  transferBegins(): void {
    this.#round = [];
    this.#said = [];
    this.#acked = 0;
    this.#noted = this.#queue.filter(({ arrived }) => !arrived);
  }

  /** The keys that were written are the next round. */
  roundBegins(): void {
    this.#round.push(...this.#noted);
    this.#noted = [];
  }

  /** All keys of the round have been said, the last of them in batch `number` or before. */
  roundSaid(number: number): void {
    if (this.#round.length === 0) return;
    this.#said.push({ batch: number, writes: this.#round });
    this.#round = [];
    this.acknowledged(this.#acked);
  }

  /** The target has all batches up to `number`. */
  acknowledged(number: number): void {
    this.#acked = Math.max(this.#acked, number);
    while ((this.#said[0]?.batch ?? Infinity) <= this.#acked) {
      for (const write of this.#said.shift()?.writes ?? []) {
        write.arrived = true;
        write.passed?.();
      }
    }
    this.#tell();
  }

  #tell(): void {
    while (this.#queue[0]?.arrived && this.#queue[0].committed !== undefined) {
      this.#queue.shift()?.committed?.();
    }
  }
}
