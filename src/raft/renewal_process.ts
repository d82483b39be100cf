/**
 * A member that has found part of its log damaged while it serves. It cannot
 * tell what it cannot read, so another member is to lead, and it begins anew, as
 * one that finds its log damaged when it starts: it gets the log from the others
 * again. Until these can do without it, it goes on with what it has; the
 * damaged part is answered by nobody then, and never wrongly.
 *
 * @module
 */
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";
import { reasonOf, type WhorlError } from "../base/errors.ts";
import type { Log } from "../environment/log.ts";
import type { GroupProcess } from "./group_process.ts";
import { votersOf } from "./membership.ts";

/** Time between one look at the others and the next, in milliseconds. */
export const RENEWAL_LOOK_MS = 1_000;
/** Time for another member to take the lead, in milliseconds. */
const GIVE_WAY_MS = 500;

/** What it stands on. */
export interface RenewalWorld {
  readonly runtime: Runtime;
  readonly log: Log;
  isUp(node: string): boolean;
  /** Ends the member, which is started again with a log that is known to be damaged. */
  renew(error: WhorlError): void;
}

/** What it does with its member. */
type RottenMember = Pick<
  GroupProcess,
  "group" | "node" | "membership" | "giveWay"
>;

/** Watches over one member. */
export class RenewalProcess {
  readonly #world: RenewalWorld;
  readonly #member: RottenMember;
  #timer: TimerHandle | undefined;
  #closed = false;

  constructor(world: RenewalWorld, member: RottenMember) {
    this.#world = world;
    this.#member = member;
  }

  /** The log has been found damaged, as `error` says. */
  begin(error: WhorlError): void {
    this.#world.log.error(
      "Part of the log of a group is damaged, and its member is to begin anew",
      { group: this.#member.group, reason: reasonOf(error) },
    );
    this.#look(error);
  }

  /** Whether the other voters can commit what takes this member back. */
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

  /** Nothing more is done. */
  close(): void {
    this.#closed = true;
    if (this.#timer !== undefined) this.#world.runtime.clearTimer(this.#timer);
  }
}
