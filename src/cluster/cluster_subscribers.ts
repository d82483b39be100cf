/**
 * Subscribers to changes of the cluster. Each is told of all changes in order;
 * one that throws does not affect the others.
 *
 * @module
 */
import { reasonOf } from "../base/errors.ts";
import type { Log } from "../environment/log.ts";
import type { ClusterChange } from "./cluster_world.ts";

/** The subscribers of one node. */
export class ClusterSubscribers {
  readonly #log: Log;
  readonly #listeners = new Set<(change: ClusterChange) => void>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** Calls `listener` on every change until the returned function is called. */
  add(listener: (change: ClusterChange) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Tells all present subscribers. */
  tell(change: ClusterChange): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(change);
      } catch (error) {
        this.#log.error("A subscriber to cluster changes failed", {
          change: change.type,
          reason: reasonOf(error),
        });
      }
    }
  }

  /** Removes all subscribers. */
  clear(): void {
    this.#listeners.clear();
  }
}
