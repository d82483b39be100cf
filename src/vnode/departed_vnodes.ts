/**
 * Vnodes of a master whose data went to other nodes: those whose data is still
 * here until the ring names the new owner, and those whose data has been
 * removed.
 *
 * A requester that still takes this node for the owner must be told the new
 * one: a vnode started anew would answer that there is nothing.
 *
 * @module
 */
import type { HandoffDecision } from "./handoff_codec.ts";
import type { VnodeProcess } from "./vnode_process.ts";

/** A vnode whose data has been handed to another node and is still here. */
export interface ReleasedVnode {
  /** The name that callers are told. */
  readonly owner: string;
  /** By which decision of the ring it went there. */
  readonly decided: HandoffDecision;
  /** The vnode, and how many commands and items it had handled: if there are more now, some of its data was not handed over. */
  readonly process: VnodeProcess;
  readonly handled: number;
  readonly begun: number;
  /** Whether it counts as not handed over: its target was lost. */
  readonly kept?: boolean;
}

/** The vnodes of one master that went to other nodes, by number. */
export class DepartedVnodes {
  readonly #released = new Map<number, ReleasedVnode>();
  /** Owners of vnodes whose data is being removed, or was and has not come back. */
  readonly #gone = new Map<number, string>();

  /** The data of `process` went to `owner`; it stays here until the ring names that owner. */
  release(
    process: VnodeProcess,
    owner: string,
    decided: HandoffDecision,
  ): void {
    const { number, counts: { handled }, begun } = process;
    this.#released.set(number, { owner, decided, process, handled, begun });
  }

  /** All that was released and is still here, but for what is to be kept. */
  allReleased(): [number, ReleasedVnode][] {
    return [...this.#released].filter(([, { kept }]) => kept !== true);
  }

  /** The owner of the vnode with this number, if it departed. */
  ownerOf(number: number): string | undefined {
    return this.#released.get(number)?.owner ?? this.#gone.get(number);
  }

  /** What was released under this number and is still here. */
  released(number: number): ReleasedVnode | undefined {
    return this.#released.get(number);
  }

  /** What was released is not to be removed after all, whoever has asked for that. */
  keep(number: number): void {
    const released = this.#released.get(number);
    if (released !== undefined) {
      this.#released.set(number, { ...released, kept: true });
    }
  }

  /**
   * Takes out what was released, to be removed.
   *
   * @param asked What was to be removed when that was asked for: the vnode may have
   * come back since, and have gone again, or it is to be kept.
   * @param process The vnode that runs under this number now.
   * @returns The owner; undefined if what is here must be handed off after all, as
   * it was not released, or the vnode has done something since.
   */
  takeUnchanged(
    number: number,
    asked: ReleasedVnode | undefined,
    process: VnodeProcess | undefined,
  ): string | undefined {
    const released = this.#released.get(number);
    if (released === undefined || released !== asked) return undefined;
    this.#released.delete(number);
    const { owner, handled, begun } = released;
    if (
      process !== released.process || !process.active ||
      process.counts.handled !== handled || process.begun !== begun ||
      !process.idle || process.sends
    ) return undefined;
    return owner;
  }

  /** The data of a vnode is `owner`'s and is removed here from now on. */
  removed(number: number, owner: string): void {
    this.#gone.set(number, owner);
  }

  /** What was released was sent on and removed. */
  emptied(number: number): void {
    const released = this.#released.get(number);
    if (released === undefined) return;
    this.#released.delete(number);
    this.#gone.set(number, released.owner);
  }

  /** All of a vnode's data is back from its owner, which names this node from now on. */
  dataReturned(number: number): void {
    this.#gone.delete(number);
  }

  /** This node owns the vnode again. */
  owned(number: number): void {
    this.#released.delete(number);
    this.#gone.delete(number);
  }
}
