/**
 * Linearizable reads on a leader (thesis 6.4). A leader cannot know by itself
 * whether it still is one, so it asks in rounds; when a majority has answered a
 * round, it was the leader when that began, and the commit index of that moment
 * is as new as anything acknowledged until then.
 *
 * Reads that come while `ROUNDS_MAX` rounds are out share the next one.
 *
 * @module
 */

/** Rounds that are out at a time. */
export const ROUNDS_MAX = 2;
/** Reads that may wait on a leader, of all members; more are refused. */
export const READS_WAITING_MAX = 16_384;

/** Reads that came together. */
export interface ReadRequest {
  /** The follower that passes them on; `undefined` for this member's own. */
  readonly from: string | undefined;
  /** The number that `from`, or this member's shell, has for them. */
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

  /** Number of the latest round; they grow. */
  get last(): number {
    return this.#last;
  }

  /** Whether a round is out. */
  get isAsking(): boolean {
    return this.#out.length > 0;
  }

  /** Reads of one request wait for a round. False if there are too many. */
  add(read: ReadRequest): boolean {
    if (this.#count >= READS_WAITING_MAX) return false;
    this.#count++;
    this.#waiting.push(read);
    return true;
  }

  /** Whether `begin` is due. */
  get mayBegin(): boolean {
    return this.#waiting.length > 0 && this.#out.length < ROUNDS_MAX;
  }

  /** Begins a round for all that wait, at `index`. */
  begin(index: number): number {
    this.#out.push({ number: ++this.#last, index, reads: this.#waiting });
    this.#waiting = [];
    return this.#last;
  }

  /** Rounds up to `number` are confirmed: `ready` is called for each of their reads, the oldest first. */
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

  /** All that is not confirmed, the oldest first. Nothing is left of it. */
  drop(): ReadRequest[] {
    const dropped = this.#out.flatMap(({ reads }) => reads);
    dropped.push(...this.#waiting);
    this.#out.length = 0;
    this.#waiting = [];
    this.#count = 0;
    return dropped;
  }
}
