/**
 * A member that has heard of no leader for long asks whether it still is a
 * member: its removal, or the end of its group, may have been agreed upon while
 * it could not be reached, and nobody sends it anything since. Then it goes, with
 * what it stored. So does one that was to be added and never was, as when whoever
 * added it could not take it back.
 *
 * Until then it would stand for election for ever (which disturbs nobody, thesis
 * 4.2.3) and its node would take it for the way to the group.
 *
 * @module
 */
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";
import { isWhorlError } from "../base/errors.ts";
import type { RaftMember } from "./raft_member.ts";

/** Time without a leader after which it asks, and between two times of asking, in milliseconds. */
export const STANDING_ASK_MS = 3_000;

/** Time after which one that was to be added asks, in milliseconds: longer than an attempt to add it lasts. */
export const COMING_ASK_MS = 120_000;

/** Moments to look at are multiples of this, in milliseconds. */
const GRID_MS = 1_000;

/** What it stands on. */
export interface StandingWorld {
  readonly runtime: Runtime;
  /** Asks the node `to` something. @throws {WhorlError} What it answers, or why it does not. */
  call(to: string, method: string, args: unknown): Promise<unknown>;
  /** The group has agreed that this is no member of it, or that it is over. */
  removed(): void;
}

/** What `raft_standing` asks for. */
export interface StandingRequest {
  readonly group: string;
  readonly groupId: number;
  readonly uid: number;
}

/** Asks for one member, until it is closed or the answer is no. */
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
    // All groups of a node look at the same moments, as each wakes its process.
    const nowMs = runtime.now();
    const atMs = Math.ceil((nowMs + STANDING_ASK_MS) / GRID_MS) * GRID_MS;
    this.#timer = runtime.setTimer(atMs - nowMs, () => this.#look());
  }

  /** Whether it has no leader though it has been a member, or should be one by now: one that is to be added has no log yet. */
  get #isLonely(): boolean {
    const { leader, membership, uid, log } = this.#member;
    return leader === undefined &&
      (log.lastIndex > 0 ||
        membership.members.some((member) => member.uid === uid) ||
        this.#world.runtime.now() >= this.#beganAtMs + COMING_ASK_MS);
  }

  async #look(): Promise<void> {
    const lonely = this.#isLonely;
    // Twice in a row: an election may be under way.
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

  /** Asks no more. */
  close(): void {
    this.#closed = true;
    if (this.#timer !== undefined) this.#world.runtime.clearTimer(this.#timer);
  }
}
