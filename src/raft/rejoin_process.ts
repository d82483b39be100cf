/**
 * A member that has lost part of what it acknowledged, on its way back: under a
 * new uid, so that nothing it said before counts, it asks the leader to give it
 * the log anew. Until it has all of it, it neither votes nor counts.
 *
 * @module
 */
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";
import { isWhorlError, reasonOf } from "../base/errors.ts";
import type { Log } from "../environment/log.ts";
import type { RaftMember } from "./raft_member.ts";

/** Time between one round of asking and the next, in milliseconds. */
export const REJOIN_ASK_MS = 1_000;

/** What it stands on. */
export interface RejoinWorld {
  readonly runtime: Runtime;
  readonly log: Log;
  /** Asks the node `to` something. @throws {WhorlError} What it answers, or why it does not. */
  call(to: string, method: string, args: unknown): Promise<unknown>;
  /** The group has removed its node meanwhile. */
  removed(): void;
}

/** What `raft_rejoin` asks for. */
export interface RejoinRequest {
  readonly group: string;
  /** Older versions leave it out. */
  readonly groupId?: number;
  readonly node: string;
  readonly uid: number;
}

function isAmong({ uid, membership }: RaftMember): boolean {
  return membership.members.some((member) => member.uid === uid);
}

/**
 * Whether it is known to be agreed that `member` is one. An entry that says so
 * can be in its log alone, from a leader that is one no more: the next leader
 * does not know of it, and sends it nothing that would cut it off.
 */
export function isAgreedMember(member: RaftMember): boolean {
  return isAmong(member) && member.membership.index <= member.commitIndex;
}

/** Asks until it is agreed that it is a member again. */
export class RejoinProcess {
  readonly #world: RejoinWorld;
  readonly #member: RaftMember;
  #timer: TimerHandle | undefined;
  #closed = false;

  constructor(world: RejoinWorld, member: RaftMember) {
    this.#world = world;
    this.#member = member;
    // If its own log says so, the leader will say soon that it is agreed, or never.
    if (isAmong(member)) this.#askLater();
    else this.#ask();
  }

  get #isMember(): boolean {
    return isAgreedMember(this.#member);
  }

  async #ask(): Promise<void> {
    const { group, groupId, node, uid, membership, leader } = this.#member;
    const request: RejoinRequest = { group, groupId, node, uid };
    // The leader may be one that came after what it knows of the members.
    const others = new Set(membership.members.map((member) => member.node));
    if (leader !== undefined) others.add(leader);
    others.delete(node);
    for (const other of others) {
      if (this.#closed || this.#isMember) return;
      try {
        await this.#world.call(other, "raft_rejoin", request);
        break;
      } catch (error) {
        if (!isWhorlError(error)) throw error;
        if (error.code === "not_member") {
          if (!this.#closed) this.#world.removed();
          return;
        }
        const known = error.details["leader"];
        if (typeof known === "string" && known !== node) others.add(known);
        this.#world.log.debug("A group does not take a member back yet", {
          group,
          asked: other,
          reason: reasonOf(error),
        });
      }
    }
    // That it was promised is not that it came about.
    this.#askLater();
  }

  #askLater(): void {
    if (this.#closed || this.#isMember) return;
    this.#timer = this.#world.runtime.setTimer(
      REJOIN_ASK_MS,
      () => this.#ask(),
    );
  }

  /** Asks no more. */
  close(): void {
    this.#closed = true;
    if (this.#timer !== undefined) this.#world.runtime.clearTimer(this.#timer);
  }
}
