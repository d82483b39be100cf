/**
 * The lifecycle of this node's members: creates them, starts them under one
 * supervisor and removes them, including those that fail to start.
 *
 *     raft_groups (simple_one_for_one)   one child per group, restarted when it fails
 *
 * Requests name a member by its uid, which is unique to one incarnation. So a
 * late request cannot hit another incarnation, and a member that was dropped
 * before its creation is never created.
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

/** Restarts tolerated within ten seconds; beyond that, the logs themselves are considered broken. */
export const GROUP_RESTARTS_MAX = 20;
/** Dropped uids that a node remembers; beyond that it forgets the oldest. */
export const UNWANTED_MAX = 4_096;

/** What the lifecycle of members needs. */
export interface MemberLivesOptions {
  readonly world: RaftWorld;
  /** Starts the member with that uid, whose log is on the disk. */
  readonly start: (uid: number) => Promise<GroupChild>;
  /** The disk cannot be written. */
  readonly diskFailed: (error: WhorlError) => void;
}

/** The child for a member that was removed before its restart. */
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

/** The members of a node; see the module comment. */
export class MemberLives {
  /** The supervisor of the members. */
  readonly groups: DynamicSupervisor<[number], Promise<Child>>;
  readonly #world: RaftWorld;
  readonly #start: (uid: number) => Promise<GroupChild>;
  readonly #diskFailed: (error: WhorlError) => void;
  /** Running members. */
  readonly #children = new Map<number, GroupChild>();
  /** Starts in progress. */
  readonly #starts = new Map<number, Promise<unknown>>();
  /** Members being created, from before there is a log until they run. */
  readonly #makings = new Map<number, Promise<void>>();
  readonly #removals = new Map<number, Promise<void>>();
  /** Why members failed to start. */
  readonly #failures = new Map<number, string>();
  /** New uids of members that started over, by the uid known to the supervisor. */
  readonly #successors = new Map<number, number>();
  /** Uids of members that must not be created, oldest first. */
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

  /** Starts the members that are on the disk. One that fails does not stop the others. */
  async startAll(): Promise<void> {
    const { logs, log } = this.#world;
    for (const folder of logs.unreadable) {
      log.error("The remains of a member cannot be read and were put aside", {
        folder,
      });
    }
    await Promise.all(
      logs.groups.map(({ uid, groupId, name }) =>
        // Its group was deleted, and this node crashed before removing it.
        (logs.isDeleted(groupId) ? this.drop(uid) : this.groups.startChild(uid))
          .catch((error: unknown) => {
            log.error("A member of a group does not start", {
              group: name,
              reason: reasonOf(error),
            });
            // The logs are reopened, and the members with them, until the disk
            // can be written again.
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
    // Only once the supervisor knows the child, as only that can stop it.
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

  /**
   * Starts a member over that has lost part of its log: what is left could do
   * harm, so it is put aside, and the member gets a new uid.
   */
  async #startAnew(
    supervised: number,
    lost: number,
    reason: WhorlError,
  ): Promise<Child> {
    const { logs, log, node } = this.#world;
    const config = this.#configOf(lost) as GroupConfig;
    const members = reason.details["members"] as readonly Member[];
    if (members.every((member) => member.node === node)) throw reason;
    log.error("A member of a group has lost part of its log and starts over", {
      group: config.name,
    });
    const isMade = logs.groups.some(({ uid, groupId }) =>
      groupId === config.groupId && uid !== lost
    );
    if (isMade) {
      // By this function, before a crash. It is started like all others.
      await this.#putLostAside(lost);
      throw reason;
    }
    const next = this.#world.secretNumber();
    // It asks to rejoin if its membership list contains it; a member added
    // later may have lost the entry that added it.
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
   * Creates a member and starts it.
   *
   * @throws {WhorlError} `already_exists`; `unknown_cluster` if the group was
   * deleted; `cancelled` if the member was dropped before it was created.
   */
  async create(member: NewMember): Promise<void> {
    const { logs, node } = this.#world;
    const { group, groupId, uid } = member;
    // Members being removed are not in the way.
    const leaving = logs.groups.filter((other) =>
      other.name === group && this.#removals.has(other.uid)
    );
    await Promise.all(leaving.map((other) => this.#removals.get(other.uid)));
    if (logs.isDeleted(groupId)) {
      throw new WhorlError(
        "unknown_cluster",
        `Cannot create a member of ${group} as it was deleted`,
        { details: { cluster: group, node } },
      );
    }
    if (this.#unwanted.has(uid)) {
      throw new WhorlError(
        "cancelled",
        `Cannot create a member of ${group} as that was cancelled before`,
        { details: { cluster: group, node } },
      );
    }
    const there = logs.groups.find((other) =>
      other.name === group || other.groupId === groupId
    );
    if (there !== undefined) {
      throw new WhorlError(
        "already_exists",
        `Cannot create a member of ${group} as ${node} has one`,
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
      // It never acknowledged anything.
      this.#failures.delete(uid);
      await this.#removeOnce(uid);
      throw error;
    }
  }

  /** The member of `group` as it is on the disk; none is running. */
  atRest(group: string): MemberAtRest | undefined {
    const config = this.#world.logs.groups.find(({ name, uid }) =>
      name === group && !this.#removals.has(uid)
    );
    if (config === undefined) return undefined;
    const { uid, groupId, machine } = config;
    return { uid, groupId, machine, reason: this.#failures.get(uid) };
  }

  /** Stops the member of `group` and removes its data. @throws {WhorlError} `not_found`. */
  async remove(group: string): Promise<void> {
    await this.#removeOnce(this.#configOfGroup(group).uid);
  }

  /** Removes the member with that uid; see `RaftSystem.dropMember`. */
  async drop(uid: number): Promise<boolean> {
    this.#unwanted.delete(uid);
    this.#unwanted.add(uid);
    for (const oldest of this.#unwanted) {
      if (this.#unwanted.size <= UNWANTED_MAX) break;
      this.#unwanted.delete(oldest);
    }
    await this.#makings.get(uid)?.catch(() => {
      // Reported to whoever creates it.
    });
    if (this.#configOf(uid) === undefined) return false;
    await this.#removeOnce(uid);
    return true;
  }

  /** See `RaftSystem.deleteGroup`. */
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
    // From here on it is not restarted.
    const removing = this.#remove(uid).finally(() =>
      this.#removals.delete(uid)
    );
    this.#removals.set(uid, removing);
    return removing;
  }

  async #remove(uid: number): Promise<void> {
    await this.#starts.get(uid)?.catch(() => {
      // Then it is not running.
    });
    await this.#stop(uid);
    const { logs, log } = this.#world;
    const config = this.#configOf(uid);
    const reason = this.#failures.get(uid);
    // It may have started over meanwhile, under another uid.
    if (config === undefined) return;
    if (reason === undefined) await logs.remove(uid);
    else {
      log.warn("Putting aside the data of a member that does not start", {
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

  /** Starts the stopped member of `group`. @throws {WhorlError} `not_found`. */
  async resume(group: string): Promise<void> {
    const { uid } = this.#configOfGroup(group);
    if (!this.#children.has(uid)) await this.#begin(uid, group);
  }

  /**
   * Starts a member for a caller that waits for it.
   *
   * @throws {WhorlError} Why it did not start; `closed` if the members of this
   * node are being shut down.
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
        `Cannot start a member of ${group} as ${this.#world.node} is stopping its Raft groups`,
        { details: { cluster: group, node: this.#world.node }, cause: error },
      );
    }
  }
}

/** The error for a missing member of `group` on `node`. */
export function notFound(group: string, node: string): WhorlError {
  return new WhorlError(
    "not_found",
    `There is no member of ${group} on ${node}`,
    { details: { group, node } },
  );
}

/** Whether `error`, or its cause, is that the disk cannot be written. */
function isDiskFailure(error: unknown): error is WhorlError {
  const { code, cause } = (error ?? {}) as { code?: unknown; cause?: unknown };
  return code === "store_full" || code === "store_unavailable" ||
    cause !== undefined && isDiskFailure(cause);
}
