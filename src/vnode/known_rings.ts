/**
 * What a vnode master knows about the ring: its former, present and next sizes,
 * and which vnodes are bound to the ring that follows theirs.
 *
 * @module
 */
import { firstVnodeBeside } from "../ring/ring_generations.ts";

/** The generations of the ring, as a node passes them to its masters. */
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

  /** Partitions of the generation of the vnode with this number; 0 if there is none. */
  sizeOf(number: number): number {
    return this.#sizes.get(firstVnodeBeside(number)) ?? 0;
  }

  /** Whether the vnode belongs to a generation that is no more. */
  isFormer(number: number): boolean {
    return this.#former.has(firstVnodeBeside(number));
  }

  /** Whether writes of this vnode count only once the vnodes of the next ring have them. */
  isBound(number: number): boolean {
    return this.#bound.has(number) || this.isFormer(number);
  }
}
