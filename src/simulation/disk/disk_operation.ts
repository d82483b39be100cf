/**
 * What a process asks of a simulated disk, while it is under way. It is answered
 * by an event of the process, so that a process that is paused hears later and
 * one that is dead never does; and what it changes is changed at that moment.
 * Whatever is under way when the process dies has been done or not, by chance.
 *
 * @module
 */
import type { Runtime } from "../../../supervisors/runtime.ts";
import type { DiskConditions } from "./disk_conditions.ts";

/** One call. */
export interface DiskOperation<T> {
  /** A read changes nothing and cannot fail; a sync takes longer than the others. */
  readonly kind: "read" | "write" | "sync";
  /** Does it. @throws {Error} What the caller is told. */
  act(): T;
  /** Does what an I/O error leaves of it, and answers what the caller is told, unless it throws that. Not asked of reads. */
  fail(): Error;
}

/** The calls of one life of a process that are under way. */
export class DiskOperations {
  readonly conditions: DiskConditions;
  readonly #runtime: Runtime;
  /** In the order of the calls. */
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

  /** Carries `operation` out and answers when that is done; never if the process dies first. */
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

  /** Takes `operation` out, unless it is not under way any more. There are few at a time, and the first is mostly done first. */
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
        // It would have failed, with nobody left to be told.
        conditions.counts.undoneAtCrash++;
      }
    }
    this.#underWay.length = 0;
  }
}
