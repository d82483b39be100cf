/**
 * The steps of the claim search: small changes of a balanced ring that keep it
 * balanced. The partition to change is drawn: one that has moved and could
 * return, one in a window with a repeat, or any.
 *
 * - _handover_: one partition goes from a node with a larger share to one with
 *   a smaller share;
 * - _exchange_: two partitions change owners;
 * - _rotation_: three do, so that two of them can return at once;
 * - _chain_: two nodes swap along a stretch of the ring, until each owns enough
 *   of it. In a tight ring (five nodes, windows of four) an exchange almost
 *   always makes a repeat, but a chain can only make one at its ends. Graph
 *   colouring knows it as a Kempe chain.
 *
 * @module
 */
import type { Chance } from "../base/chance.ts";
import type { ClaimBoard } from "./claim_board.ts";
import { NOBODY } from "./claim_problem.ts";

/** Longest chain, in partitions; longer ones are rarely worth what they cost to try. */
const CHAIN_PARTITIONS_MAX = 16;

/** An undoable change of some partitions; reused from step to step. */
export class ClaimMove {
  readonly #partitions: number[] = [];
  readonly #nodes: number[] = [];
  readonly #previous: number[] = [];

  /** Empties it. */
  clear(): void {
    this.#partitions.length = 0;
    this.#nodes.length = 0;
    this.#previous.length = 0;
  }

  /** Adds that `partition` goes to `node`. */
  add(partition: number, node: number): void {
    this.#partitions.push(partition);
    this.#nodes.push(node);
  }

  /** Makes the change. */
  apply(board: ClaimBoard): void {
    for (let i = 0; i < this.#partitions.length; i++) {
      const partition = this.#partitions[i]!;
      this.#previous.push(board.owners[partition]!);
      board.give(partition, this.#nodes[i]!);
    }
  }

  /** Takes the change back. */
  undo(board: ClaimBoard): void {
    for (let i = this.#partitions.length - 1; i >= 0; i--) {
      board.give(this.#partitions[i]!, this.#previous[i]!);
    }
  }
}

/**
 * Fills `move` with a random step from `board`; false if the draw led to none.
 */
export function drawMove(
  board: ClaimBoard,
  chance: Chance,
  move: ClaimMove,
): boolean {
  move.clear();
  const { problem, owners, owned } = board;
  const { ringSize, nodes, before, windowMax } = problem;
  const place = chance.below(8);
  let partition = chance.below(ringSize);
  let wanted = NOBODY;
  if (place < 3) {
    const moved = nextWhere(
      ringSize,
      partition,
      (p) => before[p] !== NOBODY && before[p] !== owners[p],
    );
    if (moved !== undefined) {
      partition = moved;
      wanted = before[moved]!;
    }
  } else if (place < 5) {
    const end = nextWhere(ringSize, partition, (p) => board.isRepeated(p));
    // Any partition of the window may be the one to change.
    if (end !== undefined) {
      partition = (end + ringSize - chance.below(windowMax)) % ringSize;
    }
  }
  const from = owners[partition]!;
  const to = wanted === NOBODY ? owners[chance.below(ringSize)]! : wanted;
  if (to === from) return false;
  if (chance.below(8) < 3) return drawChain(board, chance, move, partition, to);
  const share = Math.floor(ringSize / nodes);
  const canHandOver = owned[from]! > share && owned[to]! === share &&
    ringSize % nodes !== 0;
  if (canHandOver && (share === 0 || chance.below(2) === 0)) {
    move.add(partition, to);
    return true;
  }
  return drawExchange(board, chance, move, partition, to);
}

/**
 * Gives `partition` to `to`, and one of `to`'s in return, possibly via a third
 * node.
 */
function drawExchange(
  board: ClaimBoard,
  chance: Chance,
  move: ClaimMove,
  partition: number,
  to: number,
): boolean {
  const { owners, problem: { ringSize, before } } = board;
  const from = owners[partition]!;
  const given = nextWhere(
    ringSize,
    chance.below(ringSize),
    (p) => owners[p] === to,
  );
  if (given === undefined) return false;
  const home = before[given]!;
  const third = home !== NOBODY && home !== to && home !== from &&
      chance.below(2) === 0
    ? nextWhere(ringSize, chance.below(ringSize), (p) => owners[p] === home)
    : undefined;
  move.add(partition, to);
  if (third === undefined) {
    move.add(given, from);
  } else {
    move.add(given, home);
    move.add(third, from);
  }
  return true;
}

/**
 * Swaps `to` and the owner of `partition` from there on, forwards or backwards.
 */
function drawChain(
  board: ClaimBoard,
  chance: Chance,
  move: ClaimMove,
  partition: number,
  to: number,
): boolean {
  const { owners, owned, problem: { ringSize, nodes } } = board;
  const from = owners[partition]!;
  const shareMin = Math.floor(ringSize / nodes);
  const shareMax = Math.ceil(ringSize / nodes);
  const step = chance.below(2) === 0 ? 1 : ringSize - 1;
  let fromOwned = owned[from]!;
  let toOwned = owned[to]!;
  let at = partition;
  let length = 0;
  for (let i = 0; i < ringSize && length < CHAIN_PARTITIONS_MAX; i++) {
    const owner = owners[at]!;
    if (owner === from || owner === to) {
      length++;
      const gain = owner === from ? 1 : -1;
      fromOwned -= gain;
      toOwned += gain;
      move.add(at, owner === from ? to : from);
      const isBalanced = fromOwned >= shareMin && fromOwned <= shareMax &&
        toOwned >= shareMin && toOwned <= shareMax;
      if (isBalanced && chance.below(2) === 0) return true;
    }
    at += step;
    if (at >= ringSize) at -= ringSize;
  }
  return false;
}

/** The first partition from `start` on, going round once, for which `test` holds. */
function nextWhere(
  ringSize: number,
  start: number,
  test: (partition: number) => boolean,
): number | undefined {
  let at = start;
  for (let i = 0; i < ringSize; i++) {
    if (test(at)) return at;
    if (++at === ringSize) at = 0;
  }
  return undefined;
}
