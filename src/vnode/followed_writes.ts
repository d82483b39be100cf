/**
 * Writes that are to be acknowledged when the target of a handoff has them, too:
 * once nearly all of a partition has been spread over a resized ring, which is
 * then put in its place at any moment, a write that had been acknowledged and was
 * still on its way would be missed by readers of the new ring.
 *
 * A target that is away must not stop all writes: if one has waited for
 * {@linkcode HOLD_MS_MAX}, all are let go, until the target has caught up.
 *
 * @module
 */
import type { TellDurable } from "./watched_partition.ts";

/** Longest time a durable write waits for the target, in milliseconds. */
export const HOLD_MS_MAX = 1_000;

/** A write and what is known of it. */
interface HeldWrite {
  readonly sinceMs: number;
  /** Set when it is durable here, or has failed. */
  committed: (() => void) | undefined;
  arrived: boolean;
}

/** The writes of one source; see the module's text. */
export class FollowedWrites {
  readonly #now: () => number;
  readonly #later: (afterMs: number, callback: () => void) => void;
  #holds = false;
  /** Whether one has waited too long since the target had caught up. */
  #released = false;
  #watching = false;
  /** In the order of their calls, in which they are told. */
  readonly #queue: HeldWrite[] = [];
  /** Those whose keys are in no round yet, and those of the round under way. */
  #noted: HeldWrite[] = [];
  #round: HeldWrite[] = [];
  /** Those that were said, by the batch with the last of their round. */
  readonly #said: { readonly batch: number; readonly writes: HeldWrite[] }[] =
    [];
  #acked = 0;

  constructor(
    now: () => number,
    later: (afterMs: number, callback: () => void) => void,
  ) {
    this.#now = now;
    this.#later = later;
  }

  /** From now on writes are held. */
  hold(): void {
    this.#holds = true;
  }

  /** A write is about to be made, of keys that the next round will have; returns who tells of it, if it is held. */
  noted(): TellDurable | undefined {
    // One that comes after those that are held is told after them.
    if (!this.#holds && this.#queue.length === 0) return undefined;
    const write: HeldWrite = {
      sinceMs: this.#now(),
      committed: undefined,
      arrived: !this.#holds,
    };
    this.#queue.push(write);
    if (!write.arrived) this.#noted.push(write);
    this.#watch();
    return (committed, failed) => {
      write.committed = committed;
      write.arrived ||= failed;
      this.#tell();
    };
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
    this.acknowledged(this.#acked, false);
  }

  /**
   * The target has all batches up to `number`.
   *
   * @param isAll Whether no other has been said.
   */
  acknowledged(number: number, isAll: boolean): void {
    this.#acked = Math.max(this.#acked, number);
    while ((this.#said[0]?.batch ?? Infinity) <= this.#acked) {
      for (const write of this.#said.shift()?.writes ?? []) {
        write.arrived = true;
      }
    }
    this.#tell();
    if (isAll && this.#released) {
      this.#released = false;
      this.#holds = true;
    }
  }

  /** Nothing is held any more. */
  end(): void {
    this.#holds = false;
    this.#released = false;
    for (const write of this.#queue) write.arrived = true;
    this.#tell();
  }

  #tell(): void {
    while (this.#queue[0]?.arrived && this.#queue[0].committed !== undefined) {
      this.#queue.shift()?.committed?.();
    }
  }

  #watch(): void {
    if (this.#watching || this.#queue.length === 0) return;
    this.#watching = true;
    const [first] = this.#queue;
    this.#later((first?.sinceMs ?? 0) + HOLD_MS_MAX - this.#now(), () => {
      this.#watching = false;
      const oldest = this.#queue[0]?.sinceMs ?? Infinity;
      if (oldest + HOLD_MS_MAX <= this.#now()) {
        this.end();
        this.#released = true;
      }
      this.#watch();
    });
  }
}
