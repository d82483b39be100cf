/**
 * Something a node holds, such as its connections, as a child of a supervisor:
 * it is there from its start, is let go of when it is stopped, and can be
 * declared broken.
 *
 * @module
 */
import { ChildBase } from "../../supervisors/child.ts";
import { crash, type ExitReason } from "../../supervisors/exit_reason.ts";
import type { TreeNode } from "../../supervisors/tree_view.ts";

/** A held resource. */
export class ResourceChild extends ChildBase {
  readonly kind = "task";
  /** Shown in trees. */
  readonly name: string;
  #release: () => PromiseLike<void> | void;
  #stopping = false;

  /** @param release Lets go of it; called once, also when the child is killed. */
  constructor(name: string, release: () => PromiseLike<void> | void) {
    super();
    this.name = name;
    this.#release = release;
  }

  /** Lets go of the resource, then ends with `reason`. */
  stop(reason: ExitReason): void {
    if (this.#stopping || !this.alive) return;
    this.#stopping = true;
    Promise.try(this.#release).then(
      () => this.end(reason),
      (error) => this.end(crash(error)),
    );
  }

  /**
   * Ends as soon as the resource is let go of, so that the next one finds it
   * free; at once if it is being let go of already.
   */
  kill(): void {
    this.#giveUp("killed");
  }

  /** The resource has failed: ends as if killed, and the supervisor makes a new one. */
  fail(error: unknown): void {
    this.#giveUp(crash(error));
  }

  #giveUp(reason: ExitReason): void {
    if (!this.alive) return;
    const ended = (): void => {
      this.end(reason);
    };
    if (this.#stopping) return ended();
    this.#stopping = true;
    // It is being given up; how its end fails adds nothing.
    Promise.try(this.#release).then(ended, ended);
  }

  /** What it says of itself in trees. */
  describe(): Partial<TreeNode> {
    return { id: this.name };
  }
}
