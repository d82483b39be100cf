/**
 * A member that has had no leader for a while asks whether it still is a
 * member: its removal, or the end of its group, may have been committed while
 * it was unreachable, and nothing is sent to it since. If so, it is removed
 * with its data. The same holds for a member that was created but never added,
 * when whoever created it could not remove it again.
 *
 * Otherwise it would try elections for ever (harmless, thesis 4.2.3), and its
 * node would route requests for the group to it.
 *
 * @module
 */
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";
import { isWhorlError } from "../base/errors.ts";
import { isYetToBeAdded, type RaftMember } from "./raft_member.ts";

/** Time without a leader after which it asks, and interval of asking, in milliseconds. */
export const STANDING_ASK_MS = 3_000;

/** Time after which a member that was never added asks, in milliseconds: longer than an attempt to add it takes. */
export const COMING_ASK_MS = 120_000;

/** Checks happen at multiples of this, in milliseconds. */
const GRID_MS = 1_000;

/** What it needs. */
export interface StandingWorld {
  readonly runtime: Runtime;
  /** Calls a method of the node `to`. @throws {WhorlError} The failure it answers, or why there is no answer. */
  call(to: string, method: string, args: unknown): Promise<unknown>;
  /** The group has committed this member's removal, or its own end. */
  removed(): void;
}

/** Arguments of `raft_standing`. */
export interface StandingRequest {
  readonly group: string;
  readonly groupId: number;
  readonly uid: number;
}

/** Asks about one member, until closed or the answer is no. */
export class StandingProcess {
  readonly #world: StandingWorld;
  readonly #member: RaftMember;
  readonly #beganAtMs: number;
  #timer: TimerHandle | undefined;
  #wasLonely = false;
  #closed = false;

  constructor(world: StandingWorld, member: RaftMember) {
    this.#world = world;
    this.#member = member;
    this.#beganAtMs = world.runtime.now();
    this.#again();
  }

  #again(): void {
    if (this.#closed) return;
    const { runtime } = this.#world;
    // All groups of a node check at the same moments, so that the process wakes
    // up less often.
    const nowMs = runtime.now();
    const atMs = Math.ceil((nowMs + STANDING_ASK_MS) / GRID_MS) * GRID_MS;
    this.#timer = runtime.setTimer(atMs - nowMs, () => this.#look());
  }

  /** Whether it has no leader although it has been a member, or should be one by now. */
  get #isLonely(): boolean {
    return this.#member.leader === undefined &&
      (!isYetToBeAdded(this.#member) ||
        this.#world.runtime.now() >= this.#beganAtMs + COMING_ASK_MS);
  }

  async #look(): Promise<void> {
    const lonely = this.#isLonely;
    // Twice in a row, as an election may be in progress.
    if (lonely && this.#wasLonely && await this.#isRemoved()) {
      if (!this.#closed) this.#world.removed();
      return;
    }
    this.#wasLonely = lonely;
    this.#again();
  }

  async #isRemoved(): Promise<boolean> {
    const { group, groupId, uid, node, membership } = this.#member;
    const request: StandingRequest = { group, groupId, uid };
    const others = new Set(membership.members.map((member) => member.node));
    others.delete(node);
    for (const other of others) {
      try {
        return await this.#world.call(other, "raft_standing", request) ===
          false;
      } catch (error) {
        if (!isWhorlError(error)) throw error;
        const leader = error.details["leader"];
        if (typeof leader === "string" && leader !== node) others.add(leader);
      }
      if (this.#closed || !this.#isLonely) return false;
    }
    return false;
  }

  /** Stops asking. */
  close(): void {
    this.#closed = true;
    if (this.#timer !== undefined) this.#world.runtime.clearTimer(this.#timer);
  }
}
