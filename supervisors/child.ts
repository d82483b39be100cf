/**
 * A process as its supervisor sees it, of any kind: a task in this thread, a
 * worker, or a subprocess.
 *
 * @module
 */
import { type ExitReason, formatReason } from "./exit_reason.ts";
import type { TreeNode } from "./tree_view.ts";

/** Where a process runs. */
export type ChildKind = "task" | "worker" | "subprocess";

/** Called on an exit. The child is passed so that one listener can serve many. */
export type ExitListener = (reason: ExitReason, child: Child) => void;

/** A process as its supervisor sees it. */
export interface Child {
  /** Where it runs. */
  readonly kind: ChildKind;
  /** Why it ended, or `undefined` while it lives. */
  readonly exitReason: ExitReason | undefined;
  /** Asks it to end with `reason`, which may take time. */
  stop(reason: ExitReason): void;
  /** Kills it: it exits with `killed`. */
  kill(): void;
  /** Calls `listener` exactly once: when it exits, or now if it has. */
  onExit(listener: ExitListener): void;
  /** Removes a listener, so that short-lived ones do not pile up on a long-lived child. */
  offExit(listener: ExitListener): void;
  /** True if its thread may keep spinning after its end; only the end of the OS process stops that. */
  readonly zombie?: boolean;
  /** Its own description for {@linkcode treeOf}. */
  describe?(): Partial<TreeNode>;
}

/** A snapshot of `child` and everything below it, named `id` unless it has a name of its own. */
export function treeOf(child: Child, id = "?"): TreeNode {
  return {
    id,
    kind: child.kind,
    status: child.exitReason === undefined ? "running" : "exited",
    restarts: 0,
    ...(child.exitReason === undefined
      ? {}
      : { lastExit: formatReason(child.exitReason) }),
    children: [],
    ...child.describe?.(),
  };
}

/**
 * The base of every kind of child: it ends once, for one reason, and calls its
 * exit listeners. Small, because coordinators are created fifty thousand times
 * a second.
 */
export abstract class ChildBase implements Child {
  abstract readonly kind: ChildKind;
  #exitReason: ExitReason | undefined = undefined;
  /** Usually there is one listener, the supervisor, so a set is created only for the second. */
  #listeners: ExitListener | Set<ExitListener> | undefined = undefined;

  /** Why it ended, or `undefined` while it lives. */
  get exitReason(): ExitReason | undefined {
    return this.#exitReason;
  }

  /** Whether it has not ended. */
  get alive(): boolean {
    return this.#exitReason === undefined;
  }

  abstract stop(reason: ExitReason): void;
  abstract kill(): void;

  /** Calls `listener` exactly once: when it exits, or now if it has. */
  onExit(listener: ExitListener): void {
    if (this.#exitReason !== undefined) {
      listener(this.#exitReason, this);
    } else if (this.#listeners === undefined) {
      this.#listeners = listener;
    } else if (typeof this.#listeners === "function") {
      this.#listeners = new Set([this.#listeners, listener]);
    } else {
      this.#listeners.add(listener);
    }
  }

  /** Takes a listener back. */
  offExit(listener: ExitListener): void {
    if (this.#listeners === listener) this.#listeners = undefined;
    else if (this.#listeners instanceof Set) this.#listeners.delete(listener);
  }

  /** Records the end and calls the listeners, in the order they were added. False if it had ended before. */
  protected end(reason: ExitReason): boolean {
    if (this.#exitReason !== undefined) return false;
    this.#exitReason = reason;
    const listeners = this.#listeners;
    this.#listeners = undefined;
    if (typeof listeners === "function") {
      listeners(reason, this);
    } else if (listeners !== undefined) {
      for (const listener of listeners) listener(reason, this);
    }
    return true;
  }
}
