/**
 * A member of a Raft group on this node, as seen by the store that is built on
 * it, and the system of all of them. `group_process.ts` and `raft_system.ts`
 * implement it.
 *
 * @module
 */
import type { GroupLog } from "./log/raft_log.ts";
import type { ApplyMeta } from "./machine.ts";
import type { Member, MemberKind, Membership } from "./raft_entry.ts";
import type { RaftRefusal, RaftRole } from "./raft_fsm.ts";

/** Why there is no result. After `leader_lost` and `timeout` the command may yet be carried out, or have been. */
export type RaftFailure =
  | RaftRefusal
  /** It was the leader's when that stopped being the leader. */
  | "leader_lost"
  /** The group is over: nothing more is carried out. */
  | "deleted"
  /** The member is being stopped, or its disk fails. */
  | "closed";

/** Is told once what came of something. */
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
  /** Those of low priority go in small batches, behind what comes meanwhile. @default {"normal"} */
  readonly priority?: "normal" | "low";
  /** Whether its target is told when it is in the leader's log, without a reply, or when it is applied. Without a target nobody is told. @default {"applied"} */
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
  /** When it lost its leader, or began without one, on the clock of timers; undefined while it has one. */
  readonly leaderlessSinceMs: number | undefined;
  readonly membership: Membership;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  /** The machine's, as of `appliedIndex`. To be read, not changed. */
  readonly state: State;
  readonly log: GroupLog;

  /** Leader: takes a command, whose bytes it copies; `target` hears when it is applied here. Others refuse. */
  propose(
    command: Uint8Array,
    target: RaftTarget<AppliedCommand> | undefined,
    options?: ProposeOptions,
  ): void;
  /** Asks this member's machine something, beside the log: its `handleAux`. */
  aux(command: unknown): unknown;
  /**
   * Calls `target` when `state` is at least as new as whatever was acknowledged
   * before this call: then a read of it is linearizable. On a follower its leader
   * is asked, and this member's own state is waited for.
   */
  consistentRead(target: RaftTarget<void>): void;
  /** Calls `target` when the entry at `index` is applied here. */
  whenApplied(index: number, target: RaftTarget<void>): void;
  /** Leader: adds or removes a member; done when the change is in the log, not yet agreed. */
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
  /** Stands for election without waiting for silence, unless it knows a leader: a new group has its leader sooner. */
  standNow(): void;
  transferLeadership(to: string, target: RaftTarget<void>): void;
  /** Stores the machine's state as it is now and lets the log go up to there. */
  takeSnapshot(): Promise<void>;
  compact(): Promise<void>;
  /** Makes this member the only one, for a majority that will never come back. What only the others had is lost. */
  forceShrink(): Promise<void>;
}

/** What a new member is. */
export interface NewMember {
  readonly group: string;
  readonly groupId: number;
  readonly uid: number;
  /** Name of the kind of machine; the system knows those it was given. */
  readonly machine: string;
  readonly initial: readonly Member[];
}

/** A member that is on the disk and does not run. */
export interface MemberAtRest {
  readonly uid: number;
  readonly groupId: number;
  /** Name of its kind of machine. */
  readonly machine: string;
  /** Why it does not start; undefined if it was stopped, or is about to start. */
  readonly reason: string | undefined;
}

/** All Raft groups with a member on this node. */
export interface RaftSystem {
  readonly node: string;
  member(group: string): RaftMember | undefined;
  members(): readonly RaftMember[];
  /** Whether it has a member of `group` that does not run just now. */
  isDown(group: string): boolean;
  /** Makes a member and starts it. @throws {WhorlError} `already_exists`. */
  createMember(member: NewMember): Promise<RaftMember>;
  /** The member of a group that is on the disk and does not run; undefined if there is none, or it runs. */
  memberAtRest(group: string): MemberAtRest | undefined;
  /** Stops a member and removes what it stored. */
  removeMember(group: string): Promise<void>;
  /**
   * Removes the member of that number, whether it runs or not, and none else;
   * one that is still to be made under that number is not. What does not start
   * is put aside.
   *
   * @returns Whether there was such a member.
   */
  dropMember(uid: number): Promise<boolean>;
  /** Whether a group was deleted, as far as this node remembers. */
  isDeleted(groupId: number): boolean;
  /** A group was deleted: remembers that, durably, and removes its member here. @returns Whether there was one. */
  deleteGroup(groupId: number): Promise<boolean>;
  /** Stops a member; it is there again after `startMember` or a restart of the node. */
  stopMember(group: string): Promise<void>;
  startMember(group: string): Promise<RaftMember>;
}
