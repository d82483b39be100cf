/**
 * The Raft groups of a node: routes incoming frames to their members and sends
 * heartbeats for all of them. `member_lives.ts` manages which members exist.
 *
 * Idle groups send nothing themselves: see `heartbeats.ts`.
 *
 * @module
 */
import type { Child } from "../../supervisors/child.ts";
import type { DynamicSupervisor } from "../../supervisors/dynamic_supervisor.ts";
import type { TimerHandle } from "../../supervisors/runtime.ts";
import { ByteReader } from "../base/byte_reader.ts";
import { reasonOf, WhorlError } from "../base/errors.ts";
import { FrameType } from "../wire/frame_type.ts";
import { GroupChild } from "./group_child.ts";
import { GroupProcess } from "./group_process.ts";
import type { GroupWorld } from "./group_world.ts";
import { Heartbeats } from "./heartbeats.ts";
import { StartTurns } from "./log/start_turns.ts";
import type { RaftMachine } from "./machine.ts";
import { MemberLives, notFound } from "./member_lives.ts";
import type {
  MemberAtRest,
  NewMember,
  RaftMember,
  RaftSystem,
} from "./raft_member.ts";
import { raftFailure } from "./raft_failure.ts";
import { readRaftMessage } from "./raft_message_codec.ts";
import type { RaftWorld } from "./raft_world.ts";
import { RenewalProcess } from "./renewal_process.ts";
import {
  isAgreedMember,
  RejoinProcess,
  type RejoinRequest,
} from "./rejoin_process.ts";
import { SnapshotReceivers } from "./snapshot_receivers.ts";
import { sendSnapshot } from "./snapshot_sender.ts";
import { StandingProcess, type StandingRequest } from "./standing_process.ts";

/** Time for leaders to transfer leadership when the disk fails or the node stops, in milliseconds. */
const GIVE_WAY_MS = 500;
const GIVE_WAY_POLL_MS = 5;
/** All groups of a node; see the module comment. */
export class RaftSystemProcess implements RaftSystem {
  readonly node: string;
  readonly #world: RaftWorld;
  readonly #turns: StartTurns;
  readonly #lives: MemberLives;
  readonly #byName = new Map<string, GroupProcess>();
  readonly #byId = new Map<number, GroupProcess>();
  readonly #heartbeats: Heartbeats;
  readonly #receivers: SnapshotReceivers;
  readonly #subscribers = new Set<(group: string) => void>();
  #transfer = 0;
  #givingWay: TimerHandle | undefined;
  #closed = false;

  constructor(world: RaftWorld) {
    this.node = world.node;
    this.#world = world;
    this.#turns = new StartTurns(world.runtime);
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
    this.#lives = new MemberLives({
      world,
      start: (uid) => this.#startMember(uid),
      diskFailed: (error) => this.#diskFailed(error),
    });
  }

  /** The supervisor of the members. */
  get groups(): DynamicSupervisor<[number], Promise<Child>> {
    return this.#lives.groups;
  }

  /** Starts the members that are on the disk. One that fails does not stop the others. */
  async start(): Promise<void> {
    await this.#lives.startAll();
    this.#heartbeats.start();
  }

  async #startMember(uid: number): Promise<GroupChild> {
    let failure: WhorlError | undefined;
    let failed = (error: WhorlError): void => void (failure = error);
    let rot: WhorlError | undefined;
    let rotten = (error: WhorlError): void => void (rot = error);
    const member = await GroupProcess.start({
      uid,
      logs: this.#world.logs,
      machineOf: (name) => this.#machineOf(name),
      world: this.#groupWorld({
        failed: (error) => failed(error),
        rotten: (error) => rotten(error),
        over: (groupId, name) => void this.#groupIsOver(groupId, name),
      }),
    });
    const { members } = member.membership;
    const world = {
      runtime: this.#world.runtime,
      log: this.#world.log,
      call: (to: string, method: string, args: unknown) =>
        this.#world.call(to, method, args),
      removed: () => void this.#wasRemoved(member),
    };
    const rejoin = isAgreedMember(member) ||
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
    });
    this.#byName.set(member.group, member);
    this.#byId.set(member.groupId, member);
    failed = (error) => child.fail(error);
    if (failure !== undefined) failed(failure);
    rotten = (error) => renewal.begin(error);
    if (rot !== undefined) rotten(rot);
    this.#changed(member.group);
    return child;
  }

  /** Removes the data of a member that its group has removed. */
  async #wasRemoved({ group, uid }: GroupProcess): Promise<void> {
    const { log } = this.#world;
    log.info("A member that its group has removed is gone", { group });
    try {
      await this.#lives.drop(uid);
    } catch (error) {
      log.warn("Cannot remove a member that its group has removed", {
        group,
        reason: reasonOf(error),
      });
    }
  }

  /** The members of a group have agreed to end it. */
  async #groupIsOver(groupId: number, group: string): Promise<void> {
    const { log } = this.#world;
    log.info("A group was deleted, and its member here is gone", { group });
    try {
      await this.#lives.deleteGroup(groupId);
    } catch (error) {
      // Tried again at the next start of the member, or when it is told once
      // more.
      log.warn("Cannot remove a member whose group was deleted", {
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
    told: Pick<GroupWorld, "failed" | "rotten" | "over">,
  ): GroupWorld {
    const world = this.#world;
    return {
      node: this.node,
      runtime: world.runtime,
      wallClock: () => world.wallClock(),
      chance: world.chance,
      log: world.log,
      turns: this.#turns,
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
      ...told,
      changed: (group) => this.#changed(group),
    };
  }

  /** Gives leaders a moment to transfer leadership before all groups are reopened. */
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

  /**
   * Calls `subscriber` after each change of a member's role, leader or
   * membership; returns a function that unsubscribes it.
   */
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
    return this.memberAtRest(group) !== undefined;
  }

  async createMember(member: NewMember): Promise<RaftMember> {
    this.#machineOf(member.machine);
    await this.#lives.create(member);
    return this.#present(member.group);
  }

  #present(group: string): GroupProcess {
    const member = this.#byName.get(group);
    if (member === undefined) throw notFound(group, this.node);
    return member;
  }

  memberAtRest(group: string): MemberAtRest | undefined {
    return this.#byName.has(group) ? undefined : this.#lives.atRest(group);
  }

  async removeMember(group: string): Promise<void> {
    await this.#lives.remove(group);
  }

  async dropMember(uid: number): Promise<boolean> {
    return await this.#lives.drop(uid);
  }

  isDeleted(groupId: number): boolean {
    return this.#world.logs.isDeleted(groupId);
  }

  async deleteGroup(groupId: number): Promise<boolean> {
    return await this.#lives.deleteGroup(groupId);
  }

  async stopMember(group: string): Promise<void> {
    await this.#lives.stop(group);
  }

  async startMember(group: string): Promise<RaftMember> {
    await this.#lives.resume(group);
    return this.#present(group);
  }

  /**
   * Takes back a member that lost its log and asks this node, which must lead
   * (`rejoin_process.ts`).
   *
   * @throws {WhorlError} `not_found`, or `not_leader` and the like.
   */
  async rejoin(from: string, args: unknown): Promise<null> {
    const { group, groupId, node, uid } = args as Partial<RejoinRequest>;
    if (
      typeof group !== "string" || node !== from ||
      !Number.isSafeInteger(uid) || (uid as number) < 1
    ) {
      throw new WhorlError(
        "protocol_error",
        "Cannot take a member of a Raft group back as its request is not understood",
      );
    }
    if (groupId !== undefined && this.isDeleted(groupId)) {
      throw notAnyMore(group, node);
    }
    const member = this.#present(group);
    // Older versions do not send the group id.
    if (groupId !== undefined && groupId !== member.groupId) {
      throw notFound(group, this.node);
    }
    const before = member.membership.members.find((other) =>
      other.node === node
    );
    if (member.leads && before === undefined) {
      // It was removed while it was away.
      throw notAnyMore(group, node);
    }
    if (member.leads && before?.uid === uid) return null;
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
   * Whether `uid` is a member of a group, as confirmed by a majority; this node
   * must lead (`standing_process.ts`).
   *
   * @throws {WhorlError} `not_found`, or `not_leader` and the like.
   */
  async standing(args: unknown): Promise<boolean> {
    const { group, groupId, uid } = args as Partial<StandingRequest>;
    if (
      typeof group !== "string" || !Number.isSafeInteger(uid) ||
      !Number.isSafeInteger(groupId)
    ) {
      throw new WhorlError(
        "protocol_error",
        "Cannot say who is a member of a Raft group as the request is not understood",
      );
    }
    if (this.isDeleted(groupId as number)) return false;
    const member = this.#present(group);
    // It belongs to another group of that name, about which nothing is known
    // here.
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

  /** Handles a Raft frame from the node `from`; `bytes[start, end)` is valid only during the call. */
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

  /** A connection to `node` is up. */
  peerUp(node: string): void {
    this.#tellOf(node, "node_back");
  }

  /** The connection to `node` has ended. */
  peerDown(node: string): void {
    this.#heartbeats.forget(node);
    this.#tellOf(node, "node_lost");
  }

  /** Tells all members, as a machine may monitor any node. */
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
        groupId: member.groupId,
        uid: member.uid,
        term,
        transfer: ++this.#transfer,
        log: member.log,
      }, connection);
    } finally {
      connection.close();
    }
  }

  /** Handles a call of `snapshot_calls.ts` from the node `from`. @throws {WhorlError} The failure to answer with. */
  snapshotCall(
    connection: object,
    from: string,
    method: string,
    args: unknown,
  ): Promise<unknown> {
    return this.#receivers.call(connection, from, method, args);
  }

  /** A connection that may carry snapshots has ended. */
  connectionEnded(connection: object): void {
    this.#receivers.connectionEnded(connection);
  }

  /**
   * Transfers leadership away, then stops sending and receiving, so that an
   * orderly stop of a node does not interrupt its groups. The members are
   * stopped by their supervisor.
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

function notAnyMore(group: string, node: string): WhorlError {
  return new WhorlError(
    "not_member",
    `Cannot take ${node} back into ${group} as it is no longer a member`,
    { details: { cluster: group, node } },
  );
}
