/**
 * A member of a Raft group as a child of its supervisor.
 *
 * @module
 */
import { ChildBase } from "../../supervisors/child.ts";
import { crash, type ExitReason } from "../../supervisors/exit_reason.ts";
import type { TreeNode } from "../../supervisors/tree_view.ts";
import type { GroupProcess } from "./group_process.ts";

/** A child whose lifetime is that of the member. */
export class GroupChild extends ChildBase {
  readonly kind = "task";
  readonly #member: GroupProcess;
  readonly #ended: () => void;
  #stopping = false;

  /** @param ended Called once, when the member must no longer be found. */
  constructor(member: GroupProcess, ended: () => void) {
    super();
    this.#member = member;
    this.#ended = ended;
  }

  /** Closes the member and its log, then ends with `reason`. */
  stop(reason: ExitReason): void {
    this.#close(reason, true);
  }

  /** Ends as soon as the log is closed, so that the next start can open it. */
  kill(): void {
    this.#close("killed", false);
  }

  /** The member has failed: closes it, and its supervisor starts a new one. */
  fail(error: unknown): void {
    this.#close(crash(error), false);
  }

  #close(reason: ExitReason, tellFailure: boolean): void {
    if (this.#stopping || !this.alive) return;
    this.#stopping = true;
    this.#ended();
    this.#member.close().then(
      () => this.end(reason),
      (error) => this.end(tellFailure ? crash(error) : reason),
    );
  }

  /** How it appears in the supervision tree. */
  describe(): Partial<TreeNode> {
    return { id: this.#member.group };
  }
}
