/**
 * Background tasks of one group's log, run one after the other.
 *
 * @module
 */
import type { WhorlError } from "../../base/errors.ts";
import type { GroupEntries } from "./group_entries.ts";
import { asStoreErrors } from "./log_failure.ts";

/** The log that the tasks belong to. */
export interface TaskOwner {
  /** Its folder. */
  readonly folder: string;
  readonly entries: GroupEntries;
  /** The failure of the write-ahead log, if it has failed. */
  failure(): WhorlError | undefined;
  closedError(): WhorlError;
}

/** The tasks of one group. */
export class GroupTasks {
  readonly #owner: TaskOwner;
  #last: Promise<unknown> = Promise.resolve();
  #isRemoved = false;

  constructor(owner: TaskOwner) {
    this.#owner = owner;
  }

  /** Runs `action` after the tasks before it. */
  run<T>(action: () => Promise<T>): Promise<T> {
    const { folder, entries } = this.#owner;
    const done = this.#last.then(async () => {
      const failure = this.#owner.failure();
      if (failure !== undefined) throw failure;
      if (this.#isRemoved) throw this.#owner.closedError();
      entries.watchCuts();
      return await asStoreErrors(folder, action);
    });
    this.#last = done.catch(() => {});
    return done;
  }

  /** Resolves when no task is running. */
  async idle(): Promise<void> {
    await this.#last;
  }

  /** Whether the group is being removed. */
  get isRemoved(): boolean {
    return this.#isRemoved;
  }

  /** Cancels the tasks that have not started. */
  noteRemoved(): void {
    this.#isRemoved = true;
  }
}
