/**
 * What is done behind the scenes of one group's log, one task after the other.
 *
 * @module
 */
import type { WhorlError } from "../../base/errors.ts";
import type { GroupEntries } from "./group_entries.ts";
import { asStoreErrors } from "./log_failure.ts";

/** The log whose tasks they are. */
export interface TaskOwner {
  /** Its folder. */
  readonly folder: string;
  readonly entries: GroupEntries;
  /** Why nothing can be done any more, if the write-ahead log has failed. */
  failure(): WhorlError | undefined;
  closedError(): WhorlError;
}

/** Tasks of one group. */
export class GroupTasks {
  readonly #owner: TaskOwner;
  #last: Promise<unknown> = Promise.resolve();
  #isRemoved = false;

  constructor(owner: TaskOwner) {
    this.#owner = owner;
  }

  /** Does `action` when the tasks before it are done. */
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

  /** Resolves when no task is under way. */
  async idle(): Promise<void> {
    await this.#last;
  }

  /** Whether the group is being removed. */
  get isRemoved(): boolean {
    return this.#isRemoved;
  }

  /** Whatever is still to be done for it is not. */
  noteRemoved(): void {
    this.#isRemoved = true;
  }
}
