/**
 * Renews a member that has found part of its log damaged while serving. Another
 * member takes over leadership, and this one starts over like a member that
 * finds its log damaged at start: it gets the log from the others again. While
 * the others have no majority without it, it continues with what it has;
 * requests that need the damaged part fail, and never get wrong answers.
 *
 * @module
 */
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";
import { reasonOf, type WhorlError } from "../base/errors.ts";
import type { Log } from "../environment/log.ts";
import type { GroupProcess } from "./group_process.ts";
import { votersOf } from "./membership.ts";

/** Interval between checks of the others, in milliseconds. */
export const RENEWAL_LOOK_MS = 1_000;
/** Time for another member to take over leadership, in milliseconds. */
const GIVE_WAY_MS = 500;

/** What it needs. */
export interface RenewalWorld {
  readonly runtime: Runtime;
  readonly log: Log;
  isUp(node: string): boolean;
  /** Ends the member; its restart finds the log marked as damaged. */
  renew(error: WhorlError): void;
}

/** What it uses of its member. */
type RottenMember = Pick<
  GroupProcess,
  "group" | "node" | "membership" | "giveWay"
>;

/** Renews one member when that is safe. */
export class RenewalProcess {
  readonly #world: RenewalWorld;
  readonly #member: RottenMember;
  #timer: TimerHandle | undefined;
  #closed = false;

  constructor(world: RenewalWorld, member: RottenMember) {
    this.#world = world;
    this.#member = member;
  }

  /** The log has been found damaged. */
  begin(error: WhorlError): void {
    this.#world.log.error(
      "Part of the log of a group is damaged, and its member will start over",
      { group: this.#member.group, reason: reasonOf(error) },
    );
    this.#look(error);
  }

  /** Whether the other voters can commit without this member, as they must to take it back. */
  get #areOthersEnough(): boolean {
    const { membership, node } = this.#member;
    const others = votersOf(membership).filter((voter) => voter.node !== node);
    const up = others.filter((voter) => this.#world.isUp(voter.node));
    return up.length * 2 > others.length;
  }

  #look(error: WhorlError): void {
    if (this.#closed) return;
    if (!this.#areOthersEnough) {
      return this.#after(RENEWAL_LOOK_MS, () => this.#look(error));
    }
    this.#member.giveWay();
    this.#after(GIVE_WAY_MS, () => this.#world.renew(error));
  }

  #after(ms: number, then: () => void): void {
    this.#timer = this.#world.runtime.setTimer(ms, then);
  }

  /** Stops. */
  close(): void {
    this.#closed = true;
    if (this.#timer !== undefined) this.#world.runtime.clearTimer(this.#timer);
  }
}
