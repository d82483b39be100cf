/**
 * The vnodes of a master that went to other nodes: those whose data is still here
 * until the ring says so too, and those whose data has been removed since.
 *
 * Whoever does not know of it yet and takes this node for the owner must hear who
 * is: a vnode that is started to stand in would say that there is nothing.
 *
 * @module
 */
import type { VnodeProcess } from "./vnode_process.ts";

/** A vnode whose data went to another node and is still here. */
interface Released {
  /** Its name is what a caller is told. */
  readonly owner: string;
  /** The vnode, with the commands it had handled and the data it had taken: if there is more, what it holds went nowhere. */
  readonly process: VnodeProcess;
  readonly handled: number;
  readonly begun: number;
}

/** The vnodes of one master that went to other nodes, by number. */
export class DepartedVnodes {
  readonly #released = new Map<number, Released>();
  /** Who owns those whose data has been removed, and has not come back. */
  readonly #gone = new Map<number, string>();

  /** What `process` held went to `owner`, and stays until the ring says so too. */
  release(process: VnodeProcess, owner: string): void {
    const { counts: { handled }, begun } = process;
    this.#released.set(process.number, { owner, process, handled, begun });
  }

  /** Who owns the vnode with this number, if it went from here. */
  ownerOf(number: number): string | undefined {
    return this.#released.get(number)?.owner ?? this.#gone.get(number);
  }

  /**
   * Takes out what was released, to be removed.
   *
   * @param process The vnode that runs under this number now.
   * @returns The owner; undefined if what is here must be handed off after all, as
   * it was not released, or the vnode has done something since.
   */
  takeUnchanged(
    number: number,
    process: VnodeProcess | undefined,
  ): string | undefined {
    const released = this.#released.get(number);
    if (released === undefined) return undefined;
    this.#released.delete(number);
    const { owner, handled, begun } = released;
    if (
      process !== released.process || !process.active ||
      process.counts.handled !== handled || process.begun !== begun ||
      !process.idle || process.sends
    ) return undefined;
    return owner;
  }

  /** What a vnode held is `owner`'s and is here no more. */
  removed(number: number, owner: string): void {
    this.#gone.set(number, owner);
  }

  /** All that a vnode holds elsewhere comes back. */
  dataReturns(number: number): void {
    this.#gone.delete(number);
  }

  /** This node owns the vnode again. */
  owned(number: number): void {
    this.#released.delete(number);
    this.#gone.delete(number);
  }
}
