/**
 * A member of a Raft group on this node, as seen by the store built on it, and
 * the system of all members. `group_process.ts` and `raft_system.ts` implement
 * them.
 *
 * @module
 */
import type { GroupLog } from "./log/raft_log.ts";
import type { ApplyMeta } from "./machine.ts";
import type { Member, MemberKind, Membership } from "./raft_entry.ts";
import type { RaftRefusal, RaftRole } from "./raft_fsm.ts";

/** Why there is no result. After `leader_lost` and `timeout` the command may still be carried out, or may have been. */
export type RaftFailure =
  | RaftRefusal
  /** The leader stepped down while the command was pending. */
  | "leader_lost"
  /** The group was deleted: nothing more is carried out. */
  | "deleted"
  /** The member is being stopped, or its disk fails. */
  | "closed";

/** Receives the result of a request, once. */
export interface RaftTarget<Result> {
  done(result: Result): void;
  /** @param leader The leader, if this member knows one. */
  failed(reason: RaftFailure, leader: string | undefined): void;
}

/** A command that was applied. */
export interface AppliedCommand {
  readonly meta: ApplyMeta;
  readonly reply: Uint8Array<ArrayBuffer> | undefined;
}

/** How a command is proposed. */
export interface ProposeOptions {
  /** Low-priority commands go in small batches, after all others. @default {"normal"} */
  readonly priority?: "normal" | "low";
  /**
   * When the target is called: once the command is in the leader's log, without
   * a reply, or once it is applied. @default {"applied"}
   */
  readonly reply?: "appended" | "applied";
}

/** One member. */
export interface RaftMember<State = unknown> {
  readonly group: string;
  readonly groupId: number;
  readonly node: string;
  readonly uid: number;
  readonly role: RaftRole;
  readonly term: number;
  /** Name of the leader's node. */
  readonly leader: string | undefined;
  /** When it lost its leader, or started without one, on the monotonic clock; undefined while it has one. */
  readonly leaderlessSinceMs: number | undefined;
  readonly membership: Membership;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  /** The machine's state as of `appliedIndex`. Read-only. */
  readonly state: State;
  readonly log: GroupLog;

  /** Leader: proposes a command, whose bytes it copies; `target` is called when it is applied here. Other members refuse. */
  propose(
    command: Uint8Array,
    target: RaftTarget<AppliedCommand> | undefined,
    options?: ProposeOptions,
  ): void;
  /** Passes a request to the machine's `handleAux` on this member, outside the log. */
  aux(command: unknown): unknown;
  /**
   * Calls `target` when `state` includes everything that was acknowledged
   * before this call, so that reading it is linearizable. A follower asks its
   * leader and waits until it has applied enough itself.
   */
  consistentRead(target: RaftTarget<void>): void;
  /** Calls `target` when the entry at `index` is applied here. */
  whenApplied(index: number, target: RaftTarget<void>): void;
  /** Leader: adds or removes a member; done when the change is in the log, not yet committed. */
  changeMembership(
    change:
      | {
        readonly type: "add";
        readonly node: string;
        readonly uid: number;
        readonly kind: MemberKind;
      }
      | { readonly type: "remove"; readonly node: string },
    target: RaftTarget<{ readonly index: number; readonly term: number }>,
  ): void;
  /** Starts an election at once, unless it knows a leader, so that a new group gets its leader sooner. */
  standNow(): void;
  transferLeadership(to: string, target: RaftTarget<void>): void;
  /** Takes a snapshot of the present state and drops the log up to there. */
  takeSnapshot(): Promise<void>;
  compact(): Promise<void>;
  /** Makes this member the only one, for a majority that will never come back. What only the others had is lost. */
  forceShrink(): Promise<void>;
}

/**
 * Whether `member` was created to be added to its group, or added again, and has
 * not heard from it yet: it knows nothing of the group, and may never be added.
 * A member that the group began with is none of these.
 */
export function isYetToBeAdded(
  { uid, log, membership }: RaftMember,
): boolean {
  return log.lastIndex === 0 &&
    !membership.members.some((member) => member.uid === uid);
}

/** Describes a member to create. */
export interface NewMember {
  readonly group: string;
  readonly groupId: number;
  readonly uid: number;
  /** Name of the machine, one of those the system was given. */
  readonly machine: string;
  readonly initial: readonly Member[];
}

/** A member that is on the disk but not running. */
export interface MemberAtRest {
  readonly uid: number;
  readonly groupId: number;
  /** Name of its machine. */
  readonly machine: string;
  /** Why it does not start; undefined if it was stopped, or is about to start. */
  readonly reason: string | undefined;
}

/** All Raft groups with a member on this node. */
export interface RaftSystem {
  readonly node: string;
  member(group: string): RaftMember | undefined;
  members(): readonly RaftMember[];
  /** Whether it has a member of `group` that is not running. */
  isDown(group: string): boolean;
  /** Creates a member and starts it. @throws {WhorlError} `already_exists`. */
  createMember(member: NewMember): Promise<RaftMember>;
  /** The member of a group that is on the disk but not running; undefined if there is none. */
  memberAtRest(group: string): MemberAtRest | undefined;
  /** Stops a member and removes its data. */
  removeMember(group: string): Promise<void>;
  /**
   * Removes exactly the member with that uid, whether it runs or not, and
   * prevents its creation if it does not exist yet. The data of a member that
   * fails to start is put aside.
   *
   * @returns Whether there was such a member.
   */
  dropMember(uid: number): Promise<boolean>;
  /** Whether a group was deleted, as far as this node remembers. */
  isDeleted(groupId: number): boolean;
  /** Durably records that a group was deleted and removes its member here. @returns Whether there was one. */
  deleteGroup(groupId: number): Promise<boolean>;
  /** Stops a member until `startMember` or a restart of the node. */
  stopMember(group: string): Promise<void>;
  startMember(group: string): Promise<RaftMember>;
}
