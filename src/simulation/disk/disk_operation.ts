/**
 * A pending call of a process on a simulated disk. It completes in an event of
 * the process, so a paused process gets the answer later and a dead one never,
 * and its effect happens at that moment. Calls pending when the process dies
 * have been done or not, at random.
 *
 * @module
 */
import type { Runtime } from "../../../supervisors/runtime.ts";
import type { DiskConditions } from "./disk_conditions.ts";

/** One call. */
export interface DiskOperation<T> {
  /** A read changes nothing and cannot fail; a sync has the longer latency. */
  readonly kind: "read" | "write" | "sync";
  /** Performs it. @throws {Error} What the caller gets. */
  act(): T;
  /**
   * Performs what an I/O error leaves of it, and returns or throws what the
   * caller gets. Not called for reads.
   */
  fail(): Error;
}

/** The pending calls of one incarnation of a process. */
export class DiskOperations {
  readonly conditions: DiskConditions;
  readonly #runtime: Runtime;
  /** In call order. */
  readonly #underWay: DiskOperation<unknown>[] = [];
  #ended = false;

  constructor(conditions: DiskConditions, runtime: Runtime) {
    this.conditions = conditions;
    this.#runtime = runtime;
  }

  /** Whether the process is dead. */
  get ended(): boolean {
    return this.#ended;
  }

  /**
   * Performs `operation` and resolves when it is done; never if the process
   * dies first.
   */
  perform<T>(operation: DiskOperation<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    if (this.#ended) return promise;
    const { conditions } = this;
    this.#underWay.push(operation);
    const afterMs = operation.kind === "sync"
      ? conditions.drawSyncMs()
      : conditions.drawOperationMs();
    this.#runtime.setTimer(afterMs, () => {
      if (!this.#took(operation)) return;
      conditions.counts.operations++;
      try {
        if (operation.kind !== "read" && conditions.drawWriteError()) {
          reject(operation.fail());
        } else resolve(operation.act());
      } catch (error) {
        reject(error);
      }
    });
    return promise;
  }

  /**
   * Removes `operation` if it is still pending. There are few, and the first
   * usually completes first.
   */
  #took(operation: DiskOperation<unknown>): boolean {
    const underWay = this.#underWay;
    const at = underWay.indexOf(operation);
    if (at === 0) underWay.shift();
    else if (at > 0) underWay.splice(at, 1);
    return at >= 0;
  }

  /** The process is dead. */
  end(): void {
    this.#ended = true;
    const { conditions } = this;
    for (const operation of this.#underWay) {
      if (operation.kind === "read") continue;
      if (!conditions.drawDone()) {
        conditions.counts.undoneAtCrash++;
        continue;
      }
      try {
        operation.act();
        conditions.counts.doneAtCrash++;
      } catch {
        // It would have failed, with no caller left to get the error.
        conditions.counts.undoneAtCrash++;
      }
    }
    this.#underWay.length = 0;
  }
}
