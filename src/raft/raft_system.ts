/**
 * The Raft groups of a node: starts their members under one supervisor and
 * brings them what arrives.
 *
 *     raft_groups (simple_one_for_one)   one child a group, started again when it falls
 *
 * Groups that are idle say nothing themselves: see `heartbeats.ts`.
 *
 * @module
 */
import type { Child } from "../../supervisors/child.ts";
import { DynamicSupervisor } from "../../supervisors/dynamic_supervisor.ts";
import type { TimerHandle } from "../../supervisors/runtime.ts";
import { ByteReader } from "../base/byte_reader.ts";
import { isWhorlError, reasonOf, WhorlError } from "../base/errors.ts";
import { FrameType } from "../wire/frame_type.ts";
import { GroupChild } from "./group_child.ts";
import { GroupProcess } from "./group_process.ts";
import type { GroupWorld } from "./group_world.ts";
import { Heartbeats } from "./heartbeats.ts";
import type { GroupConfig } from "./log/raft_log.ts";
import type { RaftMachine } from "./machine.ts";
import { orderMembers } from "./membership.ts";
import type { NewMember, RaftMember, RaftSystem } from "./raft_member.ts";
import type { Member } from "./raft_entry.ts";
import { raftFailure } from "./raft_failure.ts";
import { readRaftMessage } from "./raft_message_codec.ts";
import type { RaftWorld } from "./raft_world.ts";
import { RenewalProcess } from "./renewal_process.ts";
import { RejoinProcess, type RejoinRequest } from "./rejoin_process.ts";
import { SnapshotReceivers } from "./snapshot_receivers.ts";
import { sendSnapshot } from "./snapshot_sender.ts";
import { StandingProcess, type StandingRequest } from "./standing_process.ts";

/** Ends of members borne within ten seconds; more, and the logs themselves are taken to be what is wrong. */
export const GROUP_RESTARTS_MAX = 20;

/** Time for leaders to give way when the disk fails or the node is stopped, in milliseconds. */
const GIVE_WAY_MS = 500;
const GIVE_WAY_POLL_MS = 5;
/** All groups of a node; see the module's text. */
export class RaftSystemProcess implements RaftSystem {
  readonly node: string;
  /** The supervisor of the members. */
  readonly groups: DynamicSupervisor<[number], Promise<Child>>;
  readonly #world: RaftWorld;
  readonly #byName = new Map<string, GroupProcess>();
  readonly #byId = new Map<number, GroupProcess>();
  readonly #children = new Map<number, GroupChild>();
  readonly #heartbeats: Heartbeats;
  readonly #receivers: SnapshotReceivers;
  readonly #subscribers = new Set<(group: string) => void>();
  #transfer = 0;
  #givingWay: TimerHandle | undefined;
  #closed = false;

  constructor(world: RaftWorld) {
    this.node = world.node;
    this.#world = world;
    this.#receivers = new SnapshotReceivers(
      world.runtime,
      (group) => this.#byName.get(group),
    );
    this.#heartbeats = new Heartbeats({
      node: world.node,
      runtime: world.runtime,
      begin: (node, frameType) => world.begin(node, frameType),
      end: () => world.end(),
      members: () => this.#byName.values(),
      memberOf: (groupId) => this.#byId.get(groupId),
    });
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
  async start(): Promise<void> {
    await Promise.all(
      this.#world.logs.groups.map(({ uid, name }) =>
        this.groups.startChild(uid).catch((error) => {
          this.#world.log.error("A member of a group does not start", {
            group: name,
            reason: reasonOf(error),
          });
          // The logs are opened anew, and the members with them, until the disk takes something again.
          if (isDiskFailure(error)) this.#diskFailed(error);
        })
      ),
    );
    this.#heartbeats.start();
  }

  async #startChild(uid: number): Promise<Child> {
    try {
      return await this.#startMember(uid);
    } catch (error) {
      if (!isWhorlError(error, "tail_lost")) throw error;
      return await this.#startAnew(uid, error);
    }
  }

  /** What is left of a member that has lost some of its log is no use, and could do harm: it begins again under another uid. */
  async #startAnew(lost: number, reason: WhorlError): Promise<Child> {
    const { logs, log } = this.#world;
    const config = logs.groups.find(({ uid }) => uid === lost) as GroupConfig;
    const members = reason.details["members"] as readonly Member[];
    if (members.every(({ node }) => node === this.node)) throw reason;
    log.error("A member of a group has lost part of its log and begins anew", {
      group: config.name,
    });
    const isMade = logs.groups.some(({ uid, groupId }) =>
      groupId === config.groupId && uid !== lost
    );
    if (isMade) {
      // By this very function, before a crash. It is started as all others are.
      await logs.remove(lost);
      throw reason;
    }
    const next = this.#world.secretNumber();
    // It asks to be taken back as it knows itself for a member; one that was
    // added later may have lost the entry that said so.
    const known = members.some(({ node }) => node === this.node)
      ? members
      : orderMembers([
        ...members,
        { node: this.node, uid: lost, kind: "promotable", target: 0 },
      ]);
    await logs.create({
      ...config,
      uid: next,
      initial: { index: 0, members: known },
    });
    await logs.remove(lost);
    return await this.#startMember(next);
  }

  async #startMember(uid: number): Promise<Child> {
    let failure: WhorlError | undefined;
    let failed = (error: WhorlError): void => void (failure = error);
    let rot: WhorlError | undefined;
    let rotten = (error: WhorlError): void => void (rot = error);
    const member = await GroupProcess.start({
      uid,
      logs: this.#world.logs,
      machineOf: (name) => this.#machineOf(name),
      world: this.#groupWorld(
        (error) => failed(error),
        (error) => rotten(error),
      ),
    });
    const { members } = member.membership;
    const world = {
      runtime: this.#world.runtime,
      log: this.#world.log,
      call: (to: string, method: string, args: unknown) =>
        this.#world.call(to, method, args),
      removed: () => void this.#wasRemoved(member),
    };
    const rejoin = members.some((other) => other.uid === uid) ||
        !members.some(({ node }) => node === this.node)
      ? undefined
      : new RejoinProcess(world, member);
    const standing = new StandingProcess(world, member);
    const renewal = new RenewalProcess({
      runtime: world.runtime,
      log: world.log,
      isUp: (node) => this.#world.isUp(node),
      renew: (error) => child.fail(error),
    }, member);
    const child = new GroupChild(member, () => {
      rejoin?.close();
      standing.close();
      renewal.close();
      if (this.#byName.get(member.group) !== member) return;
      this.#byName.delete(member.group);
      this.#byId.delete(member.groupId);
      this.#children.delete(uid);
    });
    this.#byName.set(member.group, member);
    this.#byId.set(member.groupId, member);
    this.#children.set(uid, child);
    failed = (error) => child.fail(error);
    if (failure !== undefined) failed(failure);
    rotten = (error) => renewal.begin(error);
    if (rot !== undefined) rotten(rot);
    this.#changed(member.group);
    return child;
  }

  /** What is left of a member that its group has removed meanwhile goes as well. */
  async #wasRemoved({ group, uid }: GroupProcess): Promise<void> {
    const { log } = this.#world;
    log.info("A member that its group has removed is gone", { group });
    try {
      if (this.#byName.get(group)?.uid === uid) await this.removeMember(group);
    } catch (error) {
      log.warn("Cannot remove a member that its group has removed", {
        group,
        reason: reasonOf(error),
      });
    }
  }

  #machineOf(name: string): RaftMachine {
    const machine = this.#world.machines.get(name);
    if (machine === undefined) {
      throw new WhorlError(
        "invalid_config",
        `Cannot start a member as this node has no machine '${name}'`,
      );
    }
    return machine;
  }

  #groupWorld(
    failed: (error: WhorlError) => void,
    rotten: (error: WhorlError) => void,
  ): GroupWorld {
    const world = this.#world;
    return {
      node: this.node,
      runtime: world.runtime,
      wallClock: () => world.wallClock(),
      chance: world.chance,
      log: world.log,
      snapshotEntriesMin: world.snapshotEntriesMin,
      beginMessage: (node, groupId, uid) => {
        const into = world.begin(node, FrameType.raftMessage);
        into?.u48(groupId);
        into?.u48(uid);
        return into;
      },
      endMessage: () => world.end(),
      isUp: (node) => world.isUp(node),
      sendSnapshot: (group, node, term) =>
        this.#sendSnapshot(group, node, term),
      expectSnapshot: (group, _from, transfer) =>
        this.#receivers.expect(group, transfer),
      forgetSnapshot: (group) => this.#receivers.forget(group),
      diskFailed: (error) => this.#diskFailed(error),
      failed,
      rotten,
      changed: (group) => this.#changed(group),
    };
  }

  /** Leaders have a moment to give way to others before everything here is opened anew. */
  #diskFailed(error: WhorlError): void {
    if (this.#givingWay !== undefined || this.#closed) return;
    this.#givingWay = this.#world.runtime.setTimer(
      GIVE_WAY_MS,
      () => this.#world.failed(error),
    );
  }

  #changed(group: string): void {
    for (const subscriber of this.#subscribers) subscriber(group);
  }

  /** Calls `subscriber` after each change of a member's role, leader or membership, until the function it returns is called. */
  subscribe(subscriber: (group: string) => void): () => void {
    this.#subscribers.add(subscriber);
    return () => this.#subscribers.delete(subscriber);
  }

  member(group: string): GroupProcess | undefined {
    return this.#byName.get(group);
  }

  members(): readonly GroupProcess[] {
    return [...this.#byName.values()];
  }

  isDown(group: string): boolean {
    return !this.#byName.has(group) &&
      this.#world.logs.groups.some(({ name }) => name === group);
  }

  async createMember(member: NewMember): Promise<RaftMember> {
    this.#machineOf(member.machine);
    const there = this.#world.logs.groups.find(({ name, groupId }) =>
      name === member.group || groupId === member.groupId
    );
    if (there !== undefined) {
      throw new WhorlError(
        "already_exists",
        `Cannot make a member of ${member.group} as ${this.node} has one`,
        { details: { group: member.group, node: this.node } },
      );
    }
    await this.#world.logs.create({
      uid: member.uid,
      groupId: member.groupId,
      name: member.group,
      machine: member.machine,
      initial: { index: 0, members: member.initial },
    });
    await this.groups.startChild(member.uid);
    return this.#present(member.group);
  }

  #present(group: string): GroupProcess {
    const member = this.#byName.get(group);
    if (member === undefined) {
      throw new WhorlError(
        "not_found",
        `There is no member of ${group} on ${this.node}`,
        { details: { group, node: this.node } },
      );
    }
    return member;
  }

  #configOf(group: string): { readonly uid: number } {
    const config = this.#world.logs.groups.find(({ name }) => name === group);
    if (config === undefined) {
      throw new WhorlError(
        "not_found",
        `There is no member of ${group} on ${this.node}`,
        { details: { group, node: this.node } },
      );
    }
    return config;
  }

  async removeMember(group: string): Promise<void> {
    const { uid } = this.#configOf(group);
    await this.#stop(uid);
    await this.#world.logs.remove(uid);
  }

  async stopMember(group: string): Promise<void> {
    await this.#stop(this.#configOf(group).uid);
  }

  async #stop(uid: number): Promise<void> {
    const child = this.#children.get(uid);
    if (child !== undefined) await this.groups.terminateChild(child);
  }

  async startMember(group: string): Promise<RaftMember> {
    const { uid } = this.#configOf(group);
    if (!this.#children.has(uid)) await this.groups.startChild(uid);
    return this.#present(group);
  }

  /**
   * A member that has lost its log asks this node, which must lead, to take it
   * back (`rejoin_process.ts`).
   *
   * @throws {WhorlError} `not_found`, or `not_leader` and the like.
   */
  async rejoin(from: string, args: unknown): Promise<null> {
    const { group, node, uid } = args as Partial<RejoinRequest>;
    if (
      typeof group !== "string" || node !== from ||
      !Number.isSafeInteger(uid) || (uid as number) < 1
    ) {
      throw new WhorlError(
        "protocol_error",
        "Cannot take a member of a Raft group back as its request is not understood",
      );
    }
    const member = this.#present(group);
    const before = member.membership.members.find((other) =>
      other.node === node
    );
    if (member.leads && before === undefined) {
      // It was removed while it was away.
      throw new WhorlError(
        "not_member",
        `Cannot take ${node} back into ${group} as it is no member of it any more`,
        { details: { cluster: group, node } },
      );
    }
    const kind = before?.kind === "non_voter" ? "non_voter" : "promotable";
    const { promise, resolve, reject } = Promise.withResolvers<null>();
    member.changeMembership(
      { type: "add", node, uid: uid as number, kind },
      {
        done: () => resolve(null),
        failed: (reason, leader) => reject(raftFailure(member, reason, leader)),
      },
    );
    return await promise;
  }

  /**
   * Whether the member `uid` of a group is one, as a majority confirms to this
   * node, which must lead (`standing_process.ts`).
   *
   * @throws {WhorlError} `not_found`, or `not_leader` and the like.
   */
  async standing(args: unknown): Promise<boolean> {
    const { group, groupId, uid } = args as Partial<StandingRequest>;
    if (typeof group !== "string" || !Number.isSafeInteger(uid)) {
      throw new WhorlError(
        "protocol_error",
        "Cannot say who is a member of a Raft group as the request is not understood",
      );
    }
    const member = this.#present(group);
    // Of another group of that name it is none, and of its own nobody here knows.
    if (member.groupId !== groupId) {
      throw raftFailure(member, "not_member", undefined);
    }
    if (!member.leads) throw raftFailure(member, "not_leader", member.leader);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    member.consistentRead({
      done: resolve,
      failed: (reason, leader) => reject(raftFailure(member, reason, leader)),
    });
    await promise;
    const { membership, commitIndex } = member;
    return membership.index > commitIndex ||
      membership.members.some((other) => other.uid === uid);
  }

  /** A frame of one of the types of Raft from the node `from`; `bytes[start, end)` is valid during the call only. */
  handleFrame(
    from: string,
    type: number,
    bytes: Uint8Array<ArrayBuffer>,
    start: number,
    end: number,
  ): void {
    const reader = new ByteReader(bytes, start, end);
    switch (type) {
      case FrameType.raftMessage: {
        const member = this.#byId.get(reader.u48());
        const uid = reader.u48();
        member?.message(from, uid, readRaftMessage(reader));
        return;
      }
      case FrameType.raftHeartbeats:
        this.#heartbeats.received(from, reader);
        return;
      case FrameType.raftHeartbeatsReply:
        this.#heartbeats.answered(from, reader);
        return;
    }
  }

  /** There is a connection to `node` now. */
  peerUp(node: string): void {
    this.#tellOf(node, "node_back");
  }

  /** The connection to `node` has ended. */
  peerDown(node: string): void {
    this.#heartbeats.forget(node);
    this.#tellOf(node, "node_lost");
  }

  /** Also those that have no member there: a machine may watch over any node. */
  #tellOf(node: string, type: "node_back" | "node_lost"): void {
    for (const member of this.#byName.values()) member.deliver({ type, node });
  }

  async #sendSnapshot(
    group: string,
    node: string,
    term: number,
  ): Promise<number> {
    const member = this.#present(group);
    const connection = await this.#world.connect(node);
    try {
      return await sendSnapshot({
        group,
        uid: member.uid,
        term,
        transfer: ++this.#transfer,
        log: member.log,
      }, connection);
    } finally {
      connection.close();
    }
  }

  /** Performs a call of `snapshot_calls.ts` from the node `from`. @throws {WhorlError} What becomes its answer. */
  snapshotCall(
    connection: object,
    from: string,
    method: string,
    args: unknown,
  ): Promise<unknown> {
    return this.#receivers.call(connection, from, method, args);
  }

  /** A connection that snapshots may have come over has ended. */
  connectionEnded(connection: object): void {
    this.#receivers.connectionEnded(connection);
  }

  /**
   * Nothing more is said or received, once others lead what this node led: so a
   * node that is stopped in order is missed by nobody. The members are their
   * supervisor's to end.
   */
  async close(): Promise<void> {
    const { runtime } = this.#world;
    const untilMs = runtime.now() + GIVE_WAY_MS;
    for (const member of this.#byName.values()) member.giveWay();
    while (this.#leadsOthers && runtime.now() < untilMs) {
      await new Promise<void>((resolve) =>
        runtime.setTimer(GIVE_WAY_POLL_MS, resolve)
      );
    }
    this.#closed = true;
    this.#heartbeats.close();
    if (this.#givingWay !== undefined) runtime.clearTimer(this.#givingWay);
    this.#receivers.close();
  }

  get #leadsOthers(): boolean {
    return [...this.#byName.values()].some(({ leads, membership }) =>
      leads &&
      membership.members.some(({ node, kind }) =>
        kind === "voter" && node !== this.node && this.#world.isUp(node)
      )
    );
  }
}

/** Whether `error`, or what a supervisor has made of it, is that the disk refuses to be written. */
function isDiskFailure(error: unknown): error is WhorlError {
  const { code, cause } = (error ?? {}) as { code?: unknown; cause?: unknown };
  return code === "store_full" || code === "store_unavailable" ||
    cause !== undefined && isDiskFailure(cause);
}
