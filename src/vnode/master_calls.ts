/**
 * The calls that a node makes to a vnode master itself: to start vnodes, to
 * remove their data, to list and count. A call waits neither for busy vnodes
 * nor for other calls, but removals go one after the other, unless somebody
 * waits for one.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import type { Store } from "../environment/storage.ts";
import type { BackgroundPace } from "./background_pace.ts";
import type { DepartedVnodes, ReleasedVnode } from "./departed_vnodes.ts";
import type { HandoffDecision } from "./handoff_codec.ts";
import type { MasterVnodes } from "./master_vnodes.ts";

/**
 * Paces the removal of data that has moved away or is no longer needed. A
 * transfer that ends with the removal of its data (`HandoffOutcome.removed`)
 * does not wait for this, since its vnode is paused until then.
 */
export interface RemovalPacing {
  readonly pace: BackgroundPace;
  now(): number;
  /** Calls `callback` later, after other work has had a turn. */
  later(afterMs: number, callback: () => void): void;
}

/** A vnode whose data went to another node and is still here, as a master tells it. */
export interface ReleasedVnodeData extends HandoffDecision {
  /** Its number. */
  readonly vnode: number;
  readonly owner: string;
}

/** The calls of one master. */
export class MasterCalls {
  readonly #store: Store;
  readonly #vnodes: MasterVnodes;
  readonly #departed: DepartedVnodes;
  readonly #figures: () => Record<string, unknown>;
  readonly #removals: RemovalPacing;
  /** Resolves when the removals requested so far have ended. */
  #removing: Promise<void> = Promise.resolve();

  constructor(
    store: Store,
    vnodes: MasterVnodes,
    departed: DepartedVnodes,
    figures: () => Record<string, unknown>,
    removals: RemovalPacing,
  ) {
    this.#store = store;
    this.#vnodes = vnodes;
    this.#departed = departed;
    this.#figures = figures;
    this.#removals = removals;
  }

  /**
   * Performs `method`.
   *
   * @throws {WhorlError} `unknown_command` if there is no such call.
   */
  async perform(method: string, args: unknown): Promise<unknown> {
    switch (method) {
      case "start_vnodes":
        for (const number of args as number[]) {
          this.#departed.owned(number);
          this.#vnodes.own(number);
        }
        return null;
      case "drop": {
        const number = args as number;
        const asked = this.#departed.released(number);
        return await this.#inTurn(() => this.#drop(number, asked));
      }
      case "drop_at_once": {
        const number = args as number;
        return await this.#drop(number, this.#departed.released(number));
      }
      case "keep":
        this.#departed.keep(args as number);
        return null;
      case "discard":
        await this.#inTurn(() => this.#discard(args as number));
        return null;
      case "holds_data":
        return await this.#holdsData(args as number[]);
      case "tail_repaired":
        await this.#store.tailRepaired();
        return null;
      case "held_vnodes":
        return await this.#heldVnodes();
      case "released_vnodes":
        return this.#releasedVnodes();
      case "stats":
        return this.#figures();
      default:
        throw new WhorlError(
          "unknown_command",
          `Cannot do '${method}' in a vnode master`,
        );
    }
  }

  /**
   * Runs `remove` after the removals before it and, while commands arrive,
   * after a delay: data that has moved away is not urgent to remove.
   */
  async #inTurn<Result>(remove: () => Promise<Result>): Promise<Result> {
    const { pace, now, later } = this.#removals;
    const before = this.#removing;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#removing = promise;
    try {
      await before;
      const waitMs = pace.waitMs(now());
      if (waitMs > 0) await new Promise<void>((done) => later(waitMs, done));
      const beganMs = now();
      try {
        return await remove();
      } finally {
        pace.worked(beganMs, now());
      }
    } finally {
      resolve();
    }
  }

  /**
   * Removes what is left of a vnode after the ring has named its new owner.
   * False if it must be handed off after all, because this master does not know
   * that it departed, or it was used as a fallback meanwhile.
   */
  async #drop(
    number: number,
    asked: ReleasedVnode | undefined,
  ): Promise<boolean> {
    const process = this.#vnodes.get(number);
    const owner = this.#departed.takeUnchanged(number, asked, process);
    if (process === undefined || owner === undefined) return false;
    // Requests that arrive meanwhile wait. The vnode would answer that there is
    // nothing.
    this.#departed.removed(number, owner);
    try {
      await process.remove();
      if (!process.active || process.hasWaiting) return false;
      await this.#vnodes.end(process);
      return true;
    } finally {
      process.serve();
    }
  }

  /** Removes the data of a vnode, and ends it. */
  async #discard(number: number): Promise<void> {
    const process = this.#vnodes.get(number);
    if (process?.active) {
      try {
        await process.remove();
      } finally {
        process.serve();
      }
      await this.#vnodes.end(process);
    }
    await this.#store.partition(number).deleteRange();
  }

  /**
   * Vnodes that have data or run, ascending, including those that this node
   * does not own and that do not run: a handoff has to find them.
   */
  async #heldVnodes(): Promise<number[]> {
    const held = new Set(await this.#store.partitions());
    for (const number of this.#vnodes.numbers()) held.add(number);
    return [...held].sort((a, b) => a - b);
  }

  #releasedVnodes(): ReleasedVnodeData[] {
    return this.#departed.allReleased().map(
      ([vnode, { owner, decided: { term, version } }]) => ({
        vnode,
        owner,
        term,
        version,
      }),
    );
  }

  async #holdsData(numbers: readonly number[]): Promise<number[]> {
    const holding: number[] = [];
    for (const number of numbers) {
      const vnode = this.#vnodes.get(number)?.vnode;
      const empty = vnode === undefined
        ? await this.#store.partition(number).count() === 0
        : await vnode.isEmpty();
      if (!empty) holding.push(number);
    }
    return holding;
  }
}
