/**
 * What a vnode master knows of the ring: the sizes it has had, has, or is to have,
 * and which vnodes are held to the ring that follows theirs.
 *
 * @module
 */
import { firstVnodeBeside } from "../ring/ring_generations.ts";

/** The generations of the ring, as a node tells them to its masters. */
export class KnownRings {
  readonly #sizes: ReadonlyMap<number, number>;
  readonly #former: ReadonlySet<number>;
  readonly #bound: ReadonlySet<number>;

  /**
   * @param sizes Partitions of each generation, by the number of its first vnode.
   * @param formerVnodes The first vnodes of generations that are no more.
   * @param boundVnodes Vnodes of the present one whose writes are held until the one to come has them.
   */
  constructor(
    sizes: readonly (readonly [number, number])[],
    formerVnodes: readonly number[],
    boundVnodes: readonly number[],
  ) {
    this.#sizes = new Map(sizes);
    this.#former = new Set(formerVnodes);
    this.#bound = new Set(boundVnodes);
  }

  /** Partitions of the generation that the vnode with this number is of; 0 if there is none. */
  sizeOf(number: number): number {
    return this.#sizes.get(firstVnodeBeside(number)) ?? 0;
  }

  /** Whether the vnode is of a generation that is no more. */
  isFormer(number: number): boolean {
    return this.#former.has(firstVnodeBeside(number));
  }

  /** Whether writes of this vnode count only when the ring it is replaced by has them. */
  isBound(number: number): boolean {
    return this.#bound.has(number) || this.isFormer(number);
  }
}
