/**
 * Nodes leave a ring with hardly any repeats: their partitions are vacant, and
 * so are those of a node that is in a window twice. A vacant partition goes to
 * a node that is in none of its windows and has less than its share. Otherwise
 * a node takes it in exchange for one of its own, which is vacant next, and so
 * on along a chain that ends with a node that needs no exchange. A chain that
 * displaces as few partitions as possible is a shortest path, and it is short,
 * since there are other nodes everywhere.
 *
 *     abcd xefd … ebca fgbc   x leaves; only d has room, and stands near
 *     abcd aefd … ebcd fgbc   a takes it, and d takes what a had
 *
 * The order in which vacancies are filled and nodes are tried makes a
 * difference of some transfers, so there are several rounds in different
 * orders, and the best one counts. The search of `claim_search.ts` seldom ends
 * with fewer transfers, after ten times the work.
 *
 * @module
 */
import { type ClaimProblem, NOBODY, transfersMin } from "./claim_problem.ts";

/**
 * At most one in this many partitions may be a repeat: a seam has some; a ring
 * with more is better laid out anew.
 */
const PARTITIONS_PER_REPEAT = 8;
/** Most rounds, and most vacancies filled in all rounds after the first. */
const ROUNDS_MAX = 16;
const FILLED_MAX = 1_024;
/** Most links examined in search of one chain. */
const LINKS_MAX = 512;

/**
 * The ring with everything vacant taken, balanced and without a repeat;
 * `undefined` if some node has too much or the ring too many repeats, if there
 * are so few nodes that only periodic rings will do, or if a chain was not
 * found.
 */
export function fillVacancies(problem: ClaimProblem): Int32Array | undefined {
  const { nodes, windowMin, windowMax } = problem;
  if (windowMax < windowMin || nodes === windowMax) return undefined;
  const filling = new VacancyFilling(problem);
  if (!filling.canBegin) return undefined;
  const vacancies = filling.vacancies;
  const rounds = Math.min(
    ROUNDS_MAX,
    Math.max(1, Math.floor(FILLED_MAX / Math.max(1, vacancies.length))),
  );
  const fewest = transfersMin(problem);
  let best: Int32Array | undefined;
  let transfersOfBest = Infinity;
  for (let round = 0; round < rounds && transfersOfBest > fewest; round++) {
    filling.begin(round);
    const at = Math.floor(round * vacancies.length / rounds);
    const order = [...vacancies.slice(at), ...vacancies.slice(0, at)];
    if (round % 2 === 1) order.reverse();
    if (!order.every((vacancy) => filling.fill(vacancy))) continue;
    const transfers = filling.transfers();
    if (transfers < transfersOfBest) {
      best = filling.owners.slice();
      transfersOfBest = transfers;
    }
  }
  return best;
}

/** A partition that is vacant at the end of a chain. */
interface Link {
  readonly partition: number;
  /**
   * The node that gave it up to take the previous one; nobody at the beginning.
   */
  readonly owner: number;
  /** The previous vacancy; absent at the beginning. */
  readonly previous?: Link;
}

/** A ring that is filled in place. */
class VacancyFilling {
  readonly owners: Int32Array;
  readonly #problem: ClaimProblem;
  /** Owners at the start of each round. */
  readonly #kept: Int32Array;
  readonly #repeats: number;
  readonly #share: number;
  readonly #owned: Int32Array;
  /** How many nodes may still get one partition more than their share. */
  #larger = 0;
  /** The node that is tried first. */
  #first = 0;
  /**
   * For each node, how many of its partitions share a window with the last one
   * examined, and one of them.
   */
  readonly #near: Int32Array;
  readonly #nearest: Int32Array;

  constructor(problem: ClaimProblem) {
    const { before, nodes, ringSize } = problem;
    this.#problem = problem;
    this.#share = Math.floor(ringSize / nodes);
    this.#owned = new Int32Array(nodes);
    this.#near = new Int32Array(nodes);
    this.#nearest = new Int32Array(nodes);
    this.owners = before.slice();
    this.#repeats = this.#vacateRepeats();
    this.#kept = this.owners.slice();
    this.begin(0);
  }

  /** Whether no node has more than a share and there are hardly any repeats. */
  get canBegin(): boolean {
    const { ringSize } = this.#problem;
    return this.#repeats * PARTITIONS_PER_REPEAT <= ringSize &&
      this.#larger >= 0 &&
      this.#owned.every((count) => count <= this.#share + 1);
  }

  /** The partitions to be filled. */
  get vacancies(): number[] {
    const vacancies: number[] = [];
    this.#kept.forEach((node, partition) => {
      if (node === NOBODY) vacancies.push(partition);
    });
    return vacancies;
  }

  /**
   * Starts a round from the ring with all vacancies, trying other nodes first
   * than the previous round.
   */
  begin(round: number): void {
    const { nodes, ringSize } = this.#problem;
    this.#first = round % nodes;
    this.owners.set(this.#kept);
    this.#owned.fill(0);
    for (const node of this.#kept) if (node !== NOBODY) this.#owned[node]!++;
    this.#larger = ringSize % nodes;
    for (const count of this.#owned) if (count > this.#share) this.#larger--;
  }

  /** Number of partitions whose owner has changed. */
  transfers(): number {
    const { before } = this.#problem;
    return this.owners.reduce(
      (count, owner, i) => owner === before[i] ? count : count + 1,
      0,
    );
  }

  /**
   * Fills one vacancy, along the chain that displaces the fewest partitions;
   * false if none was found.
   */
  fill(vacancy: number): boolean {
    const { before, nodes, ringSize } = this.#problem;
    const wasVacant = new Uint8Array(ringSize);
    const gaveAny = new Uint8Array(nodes);
    let links: Link[] = [{ partition: vacancy, owner: NOBODY }];
    // Links that displace one more.
    let dearer: Link[] = [];
    let looked = 0;
    const offer = (partition: number, owner: number, previous: Link): void => {
      if (wasVacant[partition] === 1) return;
      (before[partition] === owner ? dearer : links)
        .push({ partition, owner, previous });
    };
    for (; links.length > 0; links = dearer, dearer = []) {
      for (let i = 0; i < links.length; i++) {
        const link = links[i]!;
        if (wasVacant[link.partition] === 1) continue;
        if (++looked > LINKS_MAX) return false;
        wasVacant[link.partition] = 1;
        this.#exchange(link);
        this.#lookAround(link.partition);
        const taker = this.#taker();
        if (taker !== NOBODY) {
          this.owners[link.partition] = taker;
          if (++this.#owned[taker]! > this.#share) this.#larger--;
          return true;
        }
        for (let i = 0; i < nodes; i++) {
          const node = (this.#first + i) % nodes;
          if (this.#near[node] === 1) offer(this.#nearest[node]!, node, link);
          if (this.#near[node] !== 0 || gaveAny[node] === 1) continue;
          // It only has its share already: any of its partitions will do.
          gaveAny[node] = 1;
          for (let partition = 0; partition < ringSize; partition++) {
            if (this.owners[partition] === node) offer(partition, node, link);
          }
        }
        this.#giveBack(link);
      }
    }
    return false;
  }

  /** Makes the exchanges of the chain up to `link`, which is vacant then. */
  #exchange(link: Link): void {
    for (let at = link; at.previous !== undefined; at = at.previous) {
      this.owners[at.previous.partition] = at.owner;
    }
    this.owners[link.partition] = NOBODY;
  }

  #giveBack(link: Link): void {
    for (let at: Link | undefined = link; at !== undefined; at = at.previous) {
      this.owners[at.partition] = at.owner;
    }
  }

  /**
   * Of the nodes that are not near and may own one more, the one that owns
   * least.
   */
  #taker(): number {
    const { nodes } = this.#problem;
    let taker = NOBODY;
    let fewest = this.#share + (this.#larger > 0 ? 1 : 0);
    for (let i = 0; i < nodes; i++) {
      const node = (this.#first + i) % nodes;
      if (this.#near[node] !== 0 || this.#owned[node]! >= fewest) continue;
      taker = node;
      fewest = this.#owned[node]!;
    }
    return taker;
  }

  /**
   * Vacates partitions of nodes that are in a window twice, as often as needed.
   */
  #vacateRepeats(): number {
    let repeats = 0;
    this.owners.forEach((owner, partition) => {
      if (owner === NOBODY) return;
      this.#lookAround(partition);
      if (this.#near[owner] === 0) return;
      this.owners[partition] = NOBODY;
      repeats++;
    });
    return repeats;
  }

  /** Finds the owners of the partitions that share a window with this one. */
  #lookAround(partition: number): void {
    const { ringSize, windowMax } = this.#problem;
    this.#near.fill(0);
    for (let step = 1 - windowMax; step < windowMax; step++) {
      const at = (partition + step + ringSize) % ringSize;
      const owner = this.owners[at]!;
      if (at === partition || owner === NOBODY) continue;
      // In a small ring it is near on both sides.
      if (this.#near[owner] === 1 && this.#nearest[owner] === at) continue;
      this.#near[owner]!++;
      this.#nearest[owner] = at;
    }
  }
}
