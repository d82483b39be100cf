/**
 * Linearizable reads on a leader (thesis 6.4). A leader cannot know on its own
 * whether it still leads, so it asks in rounds. When a majority has answered a
 * round, it was the leader when that round began, and its commit index at that
 * moment covers everything acknowledged before.
 *
 * Reads that arrive while `ROUNDS_MAX` rounds are in flight share the next one.
 *
 * @module
 */

/** Rounds in flight at a time. */
export const ROUNDS_MAX = 2;
/** Read requests of all members that may wait on a leader; further ones are refused. */
export const READS_WAITING_MAX = 16_384;

/** A batch of reads. */
export interface ReadRequest {
  /** The follower that forwards them; `undefined` for this member's own. */
  readonly from: string | undefined;
  /** The number that `from`, or this member's shell, uses for them. */
  readonly round: number;
}

interface Round {
  readonly number: number;
  readonly index: number;
  readonly reads: ReadRequest[];
}

/** The rounds of one leader; changes in place. */
export class ReadRounds {
  #last = 0;
  #waiting: ReadRequest[] = [];
  readonly #out: Round[] = [];
  #count = 0;

  /** Number of the latest round; numbers increase. */
  get last(): number {
    return this.#last;
  }

  /** Whether a round is in flight. */
  get isAsking(): boolean {
    return this.#out.length > 0;
  }

  /** Queues reads for the next round. False if there are too many. */
  add(read: ReadRequest): boolean {
    if (this.#count >= READS_WAITING_MAX) return false;
    this.#count++;
    this.#waiting.push(read);
    return true;
  }

  /** Whether the next round may begin. */
  get mayBegin(): boolean {
    return this.#waiting.length > 0 && this.#out.length < ROUNDS_MAX;
  }

  /** Begins a round for all waiting reads, at `index`. */
  begin(index: number): number {
    this.#out.push({ number: ++this.#last, index, reads: this.#waiting });
    this.#waiting = [];
    return this.#last;
  }

  /** Rounds up to `number` are confirmed: calls `ready` for each of their reads, oldest first. */
  confirm(
    number: number,
    ready: (read: ReadRequest, index: number) => void,
  ): void {
    while (this.#out.length > 0 && (this.#out[0] as Round).number <= number) {
      const { index, reads } = this.#out.shift() as Round;
      this.#count -= reads.length;
      for (const read of reads) ready(read, index);
    }
  }

  /** Removes and returns all unconfirmed reads, oldest first. */
  drop(): ReadRequest[] {
    const dropped = this.#out.flatMap(({ reads }) => reads);
    dropped.push(...this.#waiting);
    this.#out.length = 0;
    this.#waiting = [];
    this.#count = 0;
    return dropped;
  }
}
