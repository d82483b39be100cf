/**
 * Pending reads of a group: they wait for a majority to confirm the leader,
 * then for the machine to catch up. Reads of one turn share a round.
 *
 * @module
 */
import type { RaftRefusal } from "./raft_events.ts";
import type { RaftTarget } from "./raft_member.ts";

interface Waiter {
  readonly index: number;
  readonly target: RaftTarget<void>;
}

/** What it needs. */
export interface ReadWorld {
  /** Calls `callback` when the current turn's work is done. */
  defer(callback: () => void): void;
  /** Hands a round to the core. */
  read(round: number): void;
}

/** The reads of one member; see the module comment. */
export class ReadQueue {
  readonly #world: ReadWorld;
  #readers: RaftTarget<void>[] = [];
  #due = false;
  #round = 0;
  readonly #rounds = new Map<number, readonly RaftTarget<void>[]>();
  #waiters: Waiter[] = [];

  constructor(world: ReadWorld) {
    this.#world = world;
  }

  /** Queues a read. */
  add(target: RaftTarget<void>): void {
    this.#readers.push(target);
    if (this.#due) return;
    this.#due = true;
    this.#world.defer(this.#readAll);
  }

  readonly #readAll = (): void => {
    this.#due = false;
    const readers = this.#readers;
    if (readers.length === 0) return;
    this.#readers = [];
    const round = ++this.#round;
    this.#rounds.set(round, readers);
    this.#world.read(round);
  };

  /** The reads of `round` may be answered once `index` is applied. */
  ready(round: number, index: number, appliedIndex: number): void {
    const readers = this.#rounds.get(round);
    this.#rounds.delete(round);
    for (const target of readers ?? []) this.wait(index, target, appliedIndex);
  }

  /** The reads of `round` are refused. */
  refused(
    round: number,
    reason: RaftRefusal,
    leader: string | undefined,
  ): void {
    const readers = this.#rounds.get(round);
    this.#rounds.delete(round);
    for (const target of readers ?? []) target.failed(reason, leader);
  }

  /** Calls `target` once `index` is applied. */
  wait(index: number, target: RaftTarget<void>, appliedIndex: number): void {
    if (index <= appliedIndex) target.done();
    else this.#waiters.push({ index, target });
  }

  /** The machine has applied entries up to `appliedIndex`. */
  applied(appliedIndex: number): void {
    if (this.#waiters.length === 0) return;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) {
      if (waiter.index <= appliedIndex) waiter.target.done();
      else this.#waiters.push(waiter);
    }
  }

  /** Removes and returns all waiting targets. */
  clear(): RaftTarget<void>[] {
    const waiting = [
      ...this.#readers,
      ...[...this.#rounds.values()].flat(),
      ...this.#waiters.map(({ target }) => target),
    ];
    this.#readers = [];
    this.#rounds.clear();
    this.#waiters = [];
    return waiting;
  }
}
