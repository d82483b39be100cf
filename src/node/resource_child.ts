/**
 * A resource of a node, such as its connections, as a child of a supervisor:
 * acquired when it starts, released when it stops, and possibly declared
 * broken.
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

  /** @param release Releases it; called once, also when the child is killed. */
  constructor(name: string, release: () => PromiseLike<void> | void) {
    super();
    this.name = name;
    this.#release = release;
  }

  /** Releases the resource, then ends with `reason`. */
  stop(reason: ExitReason): void {
    if (this.#stopping || !this.alive) return;
    this.#stopping = true;
    Promise.try(this.#release).then(
      () => this.end(reason),
      (error) => this.end(crash(error)),
    );
  }

  /**
   * Ends once the resource is released, so that the next child finds it free;
   * at once if it is being released already.
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
    // It is being killed; a failure of the release adds nothing.
    Promise.try(this.#release).then(ended, ended);
  }

  /** Its description in trees. */
  describe(): Partial<TreeNode> {
    return { id: this.name };
  }
}
