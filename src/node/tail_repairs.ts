/**
 * Repairs stores of this node that have lost acknowledged commits: every
 * partition of such a store that this node owns is rebuilt from its neighbours,
 * and only then does the store count as complete again. Repairs are retried
 * until all are done, since partitions may move and neighbours may be down for
 * a while.
 *
 * @module
 */
import { isWhorlError, reasonOf } from "../base/errors.ts";
import type { Log } from "../environment/log.ts";

/** What the repairs need from the node. */
export interface TailRepairWorld {
  readonly log: Log;
  /**
   * Partitions that the store of a master holds and this node owns; undefined
   * while that is not known.
   */
  owned(master: string): readonly number[] | undefined;
  /**
   * Begins to rebuild a partition of a module.
   *
   * @throws {WhorlError} `ownership_change_in_progress`, `wrong_owner`.
   */
  repair(partition: number, module: string): Promise<unknown>;
  /** Called when the lost data of a store has been rebuilt. */
  repaired(master: string): Promise<void>;
}

interface HurtStore {
  readonly module: string;
  readonly master: string;
  /** Partitions that have been rebuilt. */
  readonly done: Set<number>;
  declaring: boolean;
}

/** The stores of one node that have lost their tail; see the module comment. */
export class TailRepairs {
  readonly #world: TailRepairWorld;
  /** Stores under repair, by master. */
  readonly #hurt = new Map<string, HurtStore>();

  constructor(world: TailRepairWorld) {
    this.#world = world;
  }

  /** Begins the repair of the store of `master`, which has lost its tail. */
  lost(module: string, master: string): void {
    this.#hurt.set(master, {
      module,
      master,
      done: new Set(),
      declaring: false,
    });
    this.look();
  }

  /**
   * A master has stopped; the next one reports if its store is still damaged.
   */
  stopped(master: string): void {
    this.#hurt.delete(master);
  }

  /** Notes that a partition has been rebuilt. */
  rebuilt(module: string, partition: number): void {
    for (const store of this.#hurt.values()) {
      if (store.module !== module) continue;
      store.done.add(partition);
    }
    this.look();
  }

  /**
   * Continues after a change of owners or of the neighbours that can be asked.
   */
  look(): void {
    for (const store of this.#hurt.values()) this.#look(store);
  }

  #look(store: HurtStore): void {
    const world = this.#world;
    const { module, master, done } = store;
    const left = world.owned(master)?.filter((partition) =>
      !done.has(partition)
    );
    if (left === undefined) return;
    for (const partition of left) {
      // A partition that is being rebuilt is not started again.
      world.repair(partition, module).catch((error) => {
        // The partition is moving to another node with its current data, or
        // handoff has not started yet.
        if (isWhorlError(error)) return;
        world.log.warn("A partition that has lost data cannot be rebuilt yet", {
          master,
          partition,
          reason: reasonOf(error),
        });
      });
    }
    if (left.length > 0 || store.declaring) return;
    store.declaring = true;
    world.repaired(master).then(() => {
      if (this.#hurt.get(master) === store) this.#hurt.delete(master);
      world.log.info(
        "A store that had lost its newest commits is whole again",
        {
          master,
        },
      );
    }, (error) => {
      store.declaring = false;
      world.log.warn("A store cannot be declared whole yet", {
        master,
        reason: reasonOf(error),
      });
    });
  }
}
