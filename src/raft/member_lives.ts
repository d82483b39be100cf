/**
 * Which members this node has: makes them, starts them under one supervisor,
 * and removes them, those included that do not start.
 *
 *     raft_groups (simple_one_for_one)   one child a group, started again when it falls
 *
 * What is said of a member names its uid, which no other life of it ever has.
 * So what comes late can only hit what it means, and a member that is no longer
 * wanted before it is made is not made.
 *
 * @module
 */
import { type Child, ChildBase } from "../../supervisors/child.ts";
import { DynamicSupervisor } from "../../supervisors/dynamic_supervisor.ts";
import { SupervisorError } from "../../supervisors/supervisor_error.ts";
import { isWhorlError, reasonOf, WhorlError } from "../base/errors.ts";
import type { GroupChild } from "./group_child.ts";
import type { GroupConfig } from "./log/raft_log.ts";
import { orderMembers } from "./membership.ts";
import type { Member } from "./raft_entry.ts";
import type { MemberAtRest, NewMember } from "./raft_member.ts";
import type { RaftWorld } from "./raft_world.ts";

/** Ends of members borne within ten seconds; more, and the logs themselves are taken to be what is wrong. */
export const GROUP_RESTARTS_MAX = 20;
/** Members that are not to be made, remembered by a node; beyond, it forgets those that were told first. */
export const UNWANTED_MAX = 4_096;

/** What the lives of members stand on. */
export interface MemberLivesOptions {
  readonly world: RaftWorld;
  /** Starts the member of that number, whose log is on the disk. */
  readonly start: (uid: number) => Promise<GroupChild>;
  /** The disk refuses to be written. */
  readonly diskFailed: (error: WhorlError) => void;
}

/** Stands for a member that was removed before it could be started again. */
class GoneChild extends ChildBase {
  readonly kind = "task";

  constructor() {
    super();
    queueMicrotask(() => this.end("normal"));
  }

  stop(): void {
    this.end("normal");
  }

  kill(): void {
    this.end("killed");
  }
}

/** The members of a node; see the module's text. */
export class MemberLives {
  /** The supervisor of the members. */
  readonly groups: DynamicSupervisor<[number], Promise<Child>>;
  readonly #world: RaftWorld;
  readonly #start: (uid: number) => Promise<GroupChild>;
  readonly #diskFailed: (error: WhorlError) => void;
  /** Those that run. */
  readonly #children = new Map<number, GroupChild>();
  /** Starts under way. */
  readonly #starts = new Map<number, Promise<unknown>>();
  /** Members being made, from before there is a log until they run. */
  readonly #makings = new Map<number, Promise<void>>();
  readonly #removals = new Map<number, Promise<void>>();
  /** Why members do not start. */
  readonly #failures = new Map<number, string>();
  /** Uids under which members have begun anew, by those under which they are supervised. */
  readonly #successors = new Map<number, number>();
  /** Uids of members that are not to be made, oldest first. */
  readonly #unwanted = new Set<number>();

  constructor({ world, start, diskFailed }: MemberLivesOptions) {
    this.#world = world;
    this.#start = start;
    this.#diskFailed = diskFailed;
    this.groups = new DynamicSupervisor({
      name: "raft_groups",
      start: (uid: number): Promise<Child> => this.#startChild(uid),
      restart: "transient",
      intensity: GROUP_RESTARTS_MAX,
      periodMs: 10_000,
      shutdown: 10_000,
      backoff: { minMs: 50, maxMs: 5_000 },
      runtime: world.runtime,
      onReport: (report) => world.onReport(report),
    });
  }

  /** Starts the members that are on the disk. One that does not start keeps no other from it. */
  async startAll(): Promise<void> {
    const { logs, log } = this.#world;
    for (const folder of logs.unreadable) {
      log.error("What is left of a member cannot be read and is put aside", {
        folder,
      });
    }
    await Promise.all(
      logs.groups.map(({ uid, groupId, name }) =>
        // Its group was deleted, and this node fell before it was removed.
        (logs.isDeleted(groupId) ? this.drop(uid) : this.groups.startChild(uid))
          .catch((error: unknown) => {
            log.error("A member of a group does not start", {
              group: name,
              reason: reasonOf(error),
            });
            // The logs are opened anew, and the members with them, until the disk takes something again.
            if (isDiskFailure(error)) this.#diskFailed(error);
          })
      ),
    );
  }

  #startChild(supervised: number): Promise<Child> {
    const uid = this.#successors.get(supervised) ?? supervised;
    if (this.#removals.has(uid) || this.#configOf(uid) === undefined) {
      return Promise.resolve(new GoneChild());
    }
    const starting = this.#startOrAnew(supervised, uid);
    this.#starts.set(uid, starting);
    // Not before its supervisor knows of it, which alone can stop it.
    starting.catch(() => {}).then(() => this.#starts.delete(uid));
    return starting;
  }

  async #startOrAnew(supervised: number, uid: number): Promise<Child> {
    try {
      return await this.#startNow(uid);
    } catch (error) {
      if (!isWhorlError(error, "tail_lost")) throw error;
      return await this.#startAnew(supervised, uid, error);
    }
  }

  async #startNow(uid: number): Promise<Child> {
    let child: GroupChild;
    try {
      child = await this.#start(uid);
    } catch (error) {
      this.#failures.set(uid, reasonOf(error));
      throw error;
    }
    this.#failures.delete(uid);
    this.#children.set(uid, child);
    child.onExit(() => {
      if (this.#children.get(uid) === child) this.#children.delete(uid);
    });
    return child;
  }

  /** What is left of a member that has lost some of its log could do harm: it is put aside, and the member begins again under another uid. */
  async #startAnew(
    supervised: number,
    lost: number,
    reason: WhorlError,
  ): Promise<Child> {
    const { logs, log, node } = this.#world;
    const config = this.#configOf(lost) as GroupConfig;
    const members = reason.details["members"] as readonly Member[];
    if (members.every((member) => member.node === node)) throw reason;
    log.error("A member of a group has lost part of its log and begins anew", {
      group: config.name,
    });
    const isMade = logs.groups.some(({ uid, groupId }) =>
      groupId === config.groupId && uid !== lost
    );
    if (isMade) {
      // By this very function, before a crash. It is started as all others are.
      await this.#putLostAside(lost);
      throw reason;
    }
    const next = this.#world.secretNumber();
    // It asks to be taken back as it knows itself for a member; one that was
    // added later may have lost the entry that said so.
    const known = members.some((member) => member.node === node)
      ? members
      : orderMembers([
        ...members,
        { node, uid: lost, kind: "promotable", target: 0 },
      ]);
    await logs.create({
      ...config,
      uid: next,
      initial: { index: 0, members: known },
    });
    await this.#putLostAside(lost);
    this.#successors.set(supervised, next);
    return await this.#startNow(next);
  }

  async #putLostAside(uid: number): Promise<void> {
    await this.#world.logs.putAside(uid);
    this.#failures.delete(uid);
  }

  #configOf(wanted: number): GroupConfig | undefined {
    return this.#world.logs.groups.find(({ uid }) => uid === wanted);
  }

  /** @throws {WhorlError} `not_found`. */
  #configOfGroup(group: string): GroupConfig {
    const config = this.#world.logs.groups.find(({ name }) => name === group);
    if (config !== undefined) return config;
    throw notFound(group, this.#world.node);
  }

  /**
   * Makes a member and starts it.
   *
   * @throws {WhorlError} `already_exists`; `unknown_cluster` if the group was
   * deleted; `cancelled` if the member was dropped before it was made.
   */
  async create(member: NewMember): Promise<void> {
    const { logs, node } = this.#world;
    const { group, groupId, uid } = member;
    // What is on its way out is no obstacle.
    const leaving = logs.groups.filter((other) =>
      other.name === group && this.#removals.has(other.uid)
    );
    await Promise.all(leaving.map((other) => this.#removals.get(other.uid)));
    if (logs.isDeleted(groupId)) {
      throw new WhorlError(
        "unknown_cluster",
        `Cannot make a member of ${group} as it was deleted`,
        { details: { cluster: group, node } },
      );
    }
    if (this.#unwanted.has(uid)) {
      throw new WhorlError(
        "cancelled",
        `Cannot make a member of ${group} as it was taken back before`,
        { details: { cluster: group, node } },
      );
    }
    const there = logs.groups.find((other) =>
      other.name === group || other.groupId === groupId
    );
    if (there !== undefined) {
      throw new WhorlError(
        "already_exists",
        `Cannot make a member of ${group} as ${node} has one`,
        { details: { group, node } },
      );
    }
    const making = this.#make(member);
    this.#makings.set(uid, making);
    try {
      await making;
    } finally {
      this.#makings.delete(uid);
    }
  }

  async #make(member: NewMember): Promise<void> {
    const { group, groupId, uid, machine, initial } = member;
    await this.#world.logs.create({
      uid,
      groupId,
      name: group,
      machine,
      initial: { index: 0, members: initial },
    });
    try {
      await this.#begin(uid, group);
    } catch (error) {
      // Nothing of it was ever acknowledged.
      this.#failures.delete(uid);
      await this.#removeOnce(uid);
      throw error;
    }
  }

  /** The member of `group`, of which none runs, as it is on the disk. */
  atRest(group: string): MemberAtRest | undefined {
    const config = this.#world.logs.groups.find(({ name, uid }) =>
      name === group && !this.#removals.has(uid)
    );
    if (config === undefined) return undefined;
    const { uid, groupId, machine } = config;
    return { uid, groupId, machine, reason: this.#failures.get(uid) };
  }

  /** Stops the member of `group` and removes what it stored. @throws {WhorlError} `not_found`. */
  async remove(group: string): Promise<void> {
    await this.#removeOnce(this.#configOfGroup(group).uid);
  }

  /** Removes the member of that number; see `RaftSystem.dropMember`. */
  async drop(uid: number): Promise<boolean> {
    this.#unwanted.delete(uid);
    this.#unwanted.add(uid);
    for (const oldest of this.#unwanted) {
      if (this.#unwanted.size <= UNWANTED_MAX) break;
      this.#unwanted.delete(oldest);
    }
    await this.#makings.get(uid)?.catch(() => {
      // Whoever wants it made is told.
    });
    if (this.#configOf(uid) === undefined) return false;
    await this.#removeOnce(uid);
    return true;
  }

  /** A group was deleted; see `RaftSystem.deleteGroup`. */
  async deleteGroup(groupId: number): Promise<boolean> {
    const { logs } = this.#world;
    await logs.noteDeleted(groupId);
    const uids = logs.groups.filter((config) => config.groupId === groupId)
      .map(({ uid }) => uid);
    const dropped = await Promise.all(uids.map((uid) => this.drop(uid)));
    return dropped.includes(true);
  }

  #removeOnce(uid: number): Promise<void> {
    const before = this.#removals.get(uid);
    if (before !== undefined) return before;
    // From here on it is not started again.
    const removing = this.#remove(uid).finally(() =>
      this.#removals.delete(uid)
    );
    this.#removals.set(uid, removing);
    return removing;
  }

  async #remove(uid: number): Promise<void> {
    await this.#starts.get(uid)?.catch(() => {
      // Then it does not run.
    });
    await this.#stop(uid);
    const { logs, log } = this.#world;
    const config = this.#configOf(uid);
    const reason = this.#failures.get(uid);
    // It may have begun anew meanwhile, under another number.
    if (config === undefined) return;
    if (reason === undefined) await logs.remove(uid);
    else {
      log.warn("What is left of a member that does not start is put aside", {
        group: config.name,
        uid,
        reason,
      });
      await logs.putAside(uid);
      this.#failures.delete(uid);
    }
  }

  /** Stops the member of `group`. @throws {WhorlError} `not_found`. */
  async stop(group: string): Promise<void> {
    await this.#stop(this.#configOfGroup(group).uid);
  }

  async #stop(uid: number): Promise<void> {
    const child = this.#children.get(uid);
    if (child !== undefined) await this.groups.terminateChild(child);
  }

  /** Starts the member of `group` that was stopped. @throws {WhorlError} `not_found`. */
  async resume(group: string): Promise<void> {
    const { uid } = this.#configOfGroup(group);
    if (!this.#children.has(uid)) await this.#begin(uid, group);
  }

  /**
   * Starts a member for somebody who waits for it.
   *
   * @throws {WhorlError} Why it did not start; `closed` if no member of this node is started any more.
   */
  async #begin(uid: number, group: string): Promise<void> {
    try {
      await this.groups.startChild(uid);
    } catch (error) {
      if (!(error instanceof SupervisorError)) throw error;
      if (isWhorlError(error.cause)) throw error.cause;
      if (error.code !== "noproc") throw error;
      throw new WhorlError(
        "closed",
        `Cannot start a member of ${group} as the Raft groups of ${this.#world.node} are being ended`,
        { details: { cluster: group, node: this.#world.node }, cause: error },
      );
    }
  }
}

/** There is no member of `group` on `node`. */
export function notFound(group: string, node: string): WhorlError {
  return new WhorlError(
    "not_found",
    `There is no member of ${group} on ${node}`,
    { details: { group, node } },
  );
}

/** Whether `error`, or what a supervisor has made of it, is that the disk refuses to be written. */
function isDiskFailure(error: unknown): error is WhorlError {
  const { code, cause } = (error ?? {}) as { code?: unknown; cause?: unknown };
  return code === "store_full" || code === "store_unavailable" ||
    cause !== undefined && isDiskFailure(cause);
}
