/**
 * Brings back a member that lost part of what it acknowledged. Under a new uid,
 * so that its old acknowledgements do not count, it asks the leader to add it
 * again and send it the log. Until it has caught up, it neither votes nor
 * counts.
 *
 * @module
 */
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";
import { isWhorlError, reasonOf } from "../base/errors.ts";
import type { Log } from "../environment/log.ts";
import type { RaftMember } from "./raft_member.ts";

/** Interval between requests, in milliseconds. */
export const REJOIN_ASK_MS = 1_000;

/** What it needs. */
export interface RejoinWorld {
  readonly runtime: Runtime;
  readonly log: Log;
  /** Calls a method of the node `to`. @throws {WhorlError} The failure it answers, or why there is no answer. */
  call(to: string, method: string, args: unknown): Promise<unknown>;
  /** The group has removed this node's member meanwhile. */
  removed(): void;
}

/** Arguments of `raft_rejoin`. */
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
 * Whether the membership of `member` is known to be committed. The entry that
 * added it may exist only in its own log, from a leader that has since stepped
 * down: the next leader does not know this member, and so never overwrites that
 * entry.
 */
export function isAgreedMember(member: RaftMember): boolean {
  return isAmong(member) && member.membership.index <= member.commitIndex;
}

/** Asks until its membership is committed again. */
export class RejoinProcess {
  readonly #world: RejoinWorld;
  readonly #member: RaftMember;
  #timer: TimerHandle | undefined;
  #closed = false;

  constructor(world: RejoinWorld, member: RaftMember) {
    this.#world = world;
    this.#member = member;
    // If its own log has the entry, the leader will soon report it committed,
    // or never.
    if (isAmong(member)) this.#askLater();
    else this.#ask();
  }

  get #isMember(): boolean {
    return isAgreedMember(this.#member);
  }

  async #ask(): Promise<void> {
    const { group, groupId, node, uid, membership, leader } = this.#member;
    const request: RejoinRequest = { group, groupId, node, uid };
    // The leader may have been added after the members that this log knows.
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
    // An accepted request is not committed yet.
    this.#askLater();
  }

  #askLater(): void {
    if (this.#closed || this.#isMember) return;
    this.#timer = this.#world.runtime.setTimer(
      REJOIN_ASK_MS,
      () => this.#ask(),
    );
  }

  /** Stops asking. */
  close(): void {
    this.#closed = true;
    if (this.#timer !== undefined) this.#world.runtime.clearTimer(this.#timer);
  }
}
