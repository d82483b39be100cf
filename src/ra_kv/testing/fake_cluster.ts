/**
 * A cluster of `ra_kv` whose log is a list: members agree at once or, if told
 * so, never. It tests what is built on Raft, not Raft.
 *
 * @module
 */
import { ManualRuntime } from "../../../supervisors/manual_runtime.ts";
import { ByteWriter } from "../../base/byte_writer.ts";
import { WhorlError } from "../../base/errors.ts";
import type { GroupLog } from "../../raft/log/raft_log.ts";
import {
  EntryKind,
  type Member,
  type Membership,
  type RaftEntry,
} from "../../raft/raft_entry.ts";
import type { RaftRole } from "../../raft/raft_fsm.ts";
import {
  type AppliedCommand,
  isYetToBeAdded,
  type MemberAtRest,
  type NewMember,
  type RaftFailure,
  type RaftMember,
  type RaftSystem,
  type RaftTarget,
} from "../../raft/raft_member.ts";
import { writeOperationResult } from "../../request/operation_codec.ts";
import type { OperationTarget } from "../../request/operation_target.ts";
import { writeFailure } from "../../wire/failure.ts";
import { FrameType } from "../../wire/frame_type.ts";
import { decodeMsgpack, encodeMsgpack } from "../../wire/msgpack.ts";
import type { ClusterHint } from "../next_hop.ts";
import { type RaKvClient, raKvClient } from "../ra_kv_client.ts";
import { RaKvMethods } from "../ra_kv_methods.ts";
import { RA_KV_MACHINE } from "../ra_kv_command_codec.ts";
import { raKvMachine, type RaKvState } from "../ra_kv_machine.ts";
import {
  type GroupSuccessor,
  RaKvRouter,
  type RaKvRoutes,
} from "../ra_kv_router.ts";

const machine = raKvMachine();

/** The members of one group, and everything that is committed. */
export class FakeGroup {
  readonly name: string;
  readonly groupId: number;
  readonly entries: RaftEntry[] = [];
  /** Indexes that are no longer in any log. */
  readonly gone = new Set<number>();
  readonly members = new Map<string, FakeMember>();
  membership: Membership;
  leader: string | undefined;
  /** When it lost its leader, while it has none. */
  leaderlessSinceMs: number;
  term = 1;
  timeMs = 1_000;
  /** Without a majority nothing is committed. */
  frozen = false;
  /** The index up to which a majority has agreed, if that is not everything. */
  agreed: number | undefined;
  /** Makes reads of entries come from the disk, as a promise. */
  onDisk = false;
  /** Called before each of those, to change something between look-up and read. */
  beforeRead: () => void = () => {};
  /** Refuses changes of the members. */
  changeRefusal: RaftFailure | undefined;
  readonly held: RaftTarget<never>[] = [];

  readonly #now: () => number;

  constructor(
    name: string,
    groupId: number,
    initial: readonly Member[],
    now: () => number,
  ) {
    this.name = name;
    this.groupId = groupId;
    this.#now = now;
    this.leaderlessSinceMs = now();
    this.membership = { index: 0, members: initial };
  }

  /** `node` leads from now on, or nobody; operations in progress are lost. */
  lead(node: string | undefined): void {
    const before = this.leader;
    this.leader = node;
    this.leaderlessSinceMs = this.#now();
    this.term++;
    this.frozen = false;
    for (const target of this.held.splice(0)) {
      target.failed("leader_lost", node);
    }
    if (before !== node && node !== undefined) {
      this.members.get(node)?.enterRole();
    }
  }

  append(kind: EntryKind, data: Uint8Array): RaftEntry {
    const into = new ByteWriter(8 + data.length);
    into.u8(kind);
    into.u48(this.timeMs);
    into.raw(data);
    const entry = {
      index: this.entries.length + 1,
      term: this.term,
      body: into.copy(),
    };
    this.entries.push(entry);
    return entry;
  }

  /** Drops entries that no key points to, as snapshots and compaction do. */
  compact(): void {
    const state = this.members.get(this.leader as string)!.state;
    const live = new Set(machine.liveIndexes!(state));
    for (const { index } of this.entries) {
      if (!live.has(index)) this.gone.add(index);
    }
  }
}

/** One member. */
export class FakeMember implements RaftMember<RaKvState> {
  readonly group: string;
  readonly groupId: number;
  readonly node: string;
  readonly uid: number;
  readonly log: GroupLog;
  state: RaKvState = machine.init();
  appliedIndex = 0;
  /** Receives no new entries. */
  paused = false;
  /** Takes another node for the leader. */
  mistaken: string | undefined;
  /** When it was last told of a leader, if it is no longer a member. */
  lonelySinceMs: number | undefined;
  /** Was created to be added, and has not heard from its group yet. */
  isNew = false;
  /** Called when the cluster has been deleted. */
  over: () => void = () => {};
  closed = false;
  snapshots = 0;
  readonly shared: FakeGroup;
  #waiters: { index: number; target: RaftTarget<void> }[] = [];

  constructor(shared: FakeGroup, node: string, uid: number) {
    this.shared = shared;
    this.group = shared.name;
    this.groupId = shared.groupId;
    this.node = node;
    this.uid = uid;
    this.log = this.#fakeLog();
  }

  get role(): RaftRole {
    return this.shared.leader === this.node ? "leader" : "follower";
  }

  get term(): number {
    return this.shared.term;
  }

  get leader(): string | undefined {
    if (this.isNew || this.lonelySinceMs !== undefined) return undefined;
    return this.mistaken ?? this.shared.leader;
  }

  get leaderlessSinceMs(): number | undefined {
    if (this.leader !== undefined) return undefined;
    return this.lonelySinceMs ?? this.shared.leaderlessSinceMs;
  }

  get membership(): Membership {
    const { membership } = this.shared;
    if (!this.isNew) return membership;
    // It was told who the members were before.
    return {
      index: 0,
      members: membership.members.filter(({ node }) => node !== this.node),
    };
  }

  get commitIndex(): number {
    return this.shared.agreed ?? this.shared.entries.length;
  }

  standNow(): void {}

  aux(): void {}

  enterRole(): void {
    machine.enterRole?.(true, this.state);
  }

  propose(command: Uint8Array, target: RaftTarget<AppliedCommand>): void {
    const shared = this.shared;
    if (this.closed) return target.failed("closed", undefined);
    if (this.role !== "leader") return target.failed("not_leader", this.leader);
    if (shared.frozen) return void shared.held.push(target as never);
    const entry = shared.append(EntryKind.command, command);
    queueMicrotask(() => {
      for (const member of [...shared.members.values()]) {
        const reply = member.catchUp(entry.index);
        if (member === this) target.done(reply as AppliedCommand);
      }
    });
  }

  /** Applies new entries and returns the reply of the last one. */
  catchUp(upTo = this.shared.entries.length): AppliedCommand | undefined {
    if (this.paused) return undefined;
    let last: AppliedCommand | undefined;
    while (this.appliedIndex < upTo) {
      const { index, term, body } = this.shared
        .entries[this.appliedIndex] as RaftEntry;
      const timeMs = new DataView(body.buffer).getUint32(3);
      const meta = { index, term, timeMs, machineVersion: 0 };
      if (body[0] === EntryKind.command) {
        const { reply, effects } = machine.apply(
          meta,
          body.slice(7),
          this.state,
        );
        last = { meta, reply };
        if (effects?.some(({ type }) => type === "end")) this.over();
      }
      this.appliedIndex = index;
    }
    const due = this.#waiters.filter(({ index }) => index <= this.appliedIndex);
    this.#waiters = this.#waiters.filter(({ index }) =>
      index > this.appliedIndex
    );
    for (const { target } of due) target.done();
    return last;
  }

  /** Replaces its state by a snapshot of another member's. */
  install(from: FakeMember): void {
    this.state = machine.decode([...machine.encode(from.state)]);
    this.appliedIndex = from.appliedIndex;
    this.catchUp();
  }

  consistentRead(target: RaftTarget<void>): void {
    if (this.closed) return target.failed("closed", undefined);
    if (this.leader === undefined) {
      return target.failed("not_leader", undefined);
    }
    if (this.shared.frozen) {
      return void this.shared.held.push(target as never);
    }
    queueMicrotask(() => this.whenApplied(this.shared.entries.length, target));
  }

  /** Number of targets that wait for an entry to be applied. */
  get waiterCount(): number {
    return this.#waiters.length;
  }

  whenApplied(index: number, target: RaftTarget<void>): void {
    if (this.closed) target.failed("closed", undefined);
    else if (index <= this.appliedIndex) target.done();
    else this.#waiters.push({ index, target });
  }

  changeMembership(
    change:
      | {
        readonly type: "add";
        readonly node: string;
        readonly uid: number;
        readonly kind: Member["kind"];
      }
      | { readonly type: "remove"; readonly node: string },
    target: RaftTarget<{ readonly index: number; readonly term: number }>,
  ): void {
    const shared = this.shared;
    if (this.role !== "leader") return target.failed("not_leader", this.leader);
    if (shared.changeRefusal !== undefined) {
      return target.failed(shared.changeRefusal, this.node);
    }
    if (shared.frozen) return void shared.held.push(target as never);
    const { index, term } = shared.append(
      EntryKind.membership,
      new Uint8Array(0),
    );
    const others = shared.membership.members.filter(({ node }) =>
      node !== change.node
    );
    shared.membership = {
      index,
      members: change.type === "remove" ? others : [...others, {
        node: change.node,
        uid: change.uid,
        kind: change.kind,
        target: 0,
      }],
    };
    for (const member of shared.members.values()) member.catchUp();
    target.done({ index, term });
  }

  transferLeadership(to: string, target: RaftTarget<void>): void {
    if (this.role !== "leader") return target.failed("not_leader", this.leader);
    if (to === this.node) return target.failed("already_leader", to);
    if (!this.shared.members.has(to)) {
      return target.failed("unknown_member", this.node);
    }
    this.shared.lead(to);
    target.done();
  }

  takeSnapshot(): Promise<void> {
    this.snapshots++;
    return Promise.resolve();
  }

  compact(): Promise<void> {
    this.shared.compact();
    return Promise.resolve();
  }

  forceShrink(): Promise<void> {
    const { membership } = this.shared;
    this.shared.membership = {
      index: membership.index,
      members: membership.members.filter(({ node }) => node === this.node),
    };
    this.shared.lead(this.node);
    return Promise.resolve();
  }

  /** Stops the member and tells all that wait. */
  close(): void {
    this.closed = true;
    for (const { target } of this.#waiters.splice(0)) {
      target.failed("closed", undefined);
    }
  }

  #fakeLog(): GroupLog {
    const shared = this.shared;
    const entryAt = (index: number): RaftEntry | undefined =>
      shared.gone.has(index) ? undefined : shared.entries[index - 1];
    const lastIndex = (): number => this.isNew ? 0 : shared.entries.length;
    const log: Partial<GroupLog> = {
      get lastIndex() {
        return lastIndex();
      },
      config: {
        uid: this.uid,
        groupId: this.groupId,
        name: this.group,
        machine: RA_KV_MACHINE,
        initial: shared.membership,
      },
      entryInMemory: (index) => shared.onDisk ? undefined : entryAt(index),
      read: async (indexes) => {
        await Promise.resolve();
        shared.beforeRead();
        const found = new Map<number, RaftEntry>();
        for (const index of indexes) {
          const entry = entryAt(index);
          if (entry !== undefined) found.set(index, entry);
        }
        return found;
      },
      overview: () => ({
        firstIndex: 1,
        lastIndex: shared.entries.length,
        durableIndex: shared.entries.length,
        snapshotIndex: 0,
        entriesInMemory: shared.entries.length,
        segments: 0,
        segmentBytes: 0,
        liveEntries: 0,
      }),
    };
    return log as GroupLog;
  }
}

/** A node: its groups, and how operations reach them. */
export class FakeNode implements RaftSystem {
  readonly node: string;
  readonly router: RaKvRouter;
  readonly methods: RaKvMethods;
  /** A client of this node. */
  readonly raKv: RaKvClient;
  readonly #cluster: FakeCluster;
  readonly groups = new Map<string, FakeMember>();
  /** Groups whose members do not run now. */
  readonly down = new Set<string>();
  /** Refuses to create members. */
  createRefusal: WhorlError | undefined;
  /** Ids of groups that it knows to be deleted. */
  readonly deleted = new Set<number>();
  /** Uids of members that must not be created. */
  readonly #unwanted = new Set<number>();
  /** Reasons of members that do not start, by group. */
  readonly resting = new Map<string, MemberAtRest>();
  starting = false;

  constructor(cluster: FakeCluster, node: string) {
    this.#cluster = cluster;
    this.node = node;
    this.router = new RaKvRouter({
      successor: (...moved) => cluster.successor(...moved),
      self: node,
      system: () => this,
      isStarting: () => this.starting,
      runtime: cluster.runtime,
      routes: this.#routes(),
    });
    this.methods = new RaKvMethods({
      system: () => this,
      isStarting: () => this.starting,
      runtime: cluster.runtime,
      newNumber: () => cluster.nextNumber++,
      peers: {
        self: node,
        nodes: () => cluster.nodes.map(({ node }) => node),
        call: (to, method, args) => {
          if (cluster.cut.has(to) || cluster.cut.has(node)) {
            throw new WhorlError("not_reachable", `Cannot reach ${to}`);
          }
          return cluster.node(to).call(method, args);
        },
      },
    });
    this.raKv = raKvClient(
      () => this.router,
      (method, args) => this.call(method, args),
    );
  }

  /** Has this node answer, as if the call had come over a link. */
  async call(method: string, args: unknown): Promise<unknown> {
    this.#cluster.calls.push(`${this.node}: ${method}`);
    await this.#cluster.onCall(this.node, method);
    const answer = await this.methods.perform(method, travelled(args));
    return travelled(answer);
  }

  member(group: string): FakeMember | undefined {
    return this.groups.get(group);
  }

  members(): readonly FakeMember[] {
    return [...this.groups.values()];
  }

  isDown(group: string): boolean {
    return this.down.has(group);
  }

  createMember(member: NewMember): Promise<RaftMember> {
    const { group, groupId, uid, initial } = member;
    if (this.createRefusal !== undefined) {
      return Promise.reject(this.createRefusal);
    }
    if (this.groups.has(group) || this.resting.has(group)) {
      return Promise.reject(
        new WhorlError("already_exists", `There is a ${group} already`),
      );
    }
    if (this.#unwanted.has(uid)) {
      return Promise.reject(new WhorlError("cancelled", "It was taken back"));
    }
    const shared = this.#cluster.groupOf(group, groupId, initial);
    const made = new FakeMember(shared, this.node, uid);
    shared.members.set(this.node, made);
    this.groups.set(group, made);
    made.over = () => void this.deleteGroup(groupId);
    made.catchUp();
    // A majority elects.
    if (
      shared.leader === undefined && this.#cluster.elects &&
      shared.members.size * 2 > shared.membership.members.length
    ) shared.lead(shared.members.keys().next().value);
    return Promise.resolve(made);
  }

  removeMember(group: string): Promise<void> {
    const member = this.groups.get(group);
    this.groups.delete(group);
    member?.close();
    const shared = member?.shared;
    shared?.members.delete(this.node);
    if (shared?.members.size === 0) this.#cluster.forget(shared);
    else if (shared?.leader === this.node) {
      shared.lead(shared.members.keys().next().value);
    }
    return Promise.resolve();
  }

  memberAtRest(group: string): MemberAtRest | undefined {
    return this.resting.get(group);
  }

  async dropMember(uid: number): Promise<boolean> {
    this.#unwanted.add(uid);
    for (const [group, resting] of this.resting) {
      if (resting.uid !== uid) continue;
      this.resting.delete(group);
      return true;
    }
    const member = this.members().find((other) => other.uid === uid);
    if (member === undefined) return false;
    await this.removeMember(member.group);
    return true;
  }

  isDeleted(groupId: number): boolean {
    return this.deleted.has(groupId);
  }

  async deleteGroup(groupId: number): Promise<boolean> {
    this.deleted.add(groupId);
    const member = [...this.members(), ...this.resting.values()].find((
      other,
    ) => other.groupId === groupId);
    return member !== undefined && await this.dropMember(member.uid);
  }

  stopMember(group: string): Promise<void> {
    this.groups.get(group)?.close();
    this.groups.delete(group);
    return Promise.resolve();
  }

  startMember(): Promise<RaftMember> {
    return Promise.reject(new Error("not needed"));
  }

  #routes(): RaKvRoutes {
    const cluster = this.#cluster;
    const frame = new ByteWriter();
    let to = "";
    let correlation = 0;
    return {
      beginOperation: (node, number) => {
        if (cluster.cut.has(node)) {
          return new WhorlError("not_reachable", `Cannot reach ${node}`);
        }
        frame.clear();
        to = node;
        correlation = number;
        return frame;
      },
      endOperation: () => {
        const bytes = frame.copy();
        const [node, number] = [to, correlation];
        cluster.sent.push(`${this.node} > ${node}`);
        queueMicrotask(() => {
          if (cluster.silent.has(node)) return;
          cluster.node(node).router.submit(
            bytes,
            0,
            bytes.length,
            this.#answerTo(number),
          );
        });
      },
      find: async (name) => {
        await Promise.resolve();
        cluster.finds++;
        let hint: ClusterHint | undefined;
        for (const other of cluster.nodes) {
          const member = other.groups.get(name);
          if (member === undefined || other === this) continue;
          if (cluster.cut.has(other.node) || isYetToBeAdded(member)) continue;
          hint = {
            leader: member.leader ?? hint?.leader,
            members: [...hint?.members ?? [], other.node],
          };
        }
        return { hint, certain: cluster.cut.size === 0 };
      },
    };
  }

  #answerTo(correlation: number): OperationTarget {
    const answer = (type: number, write: (into: ByteWriter) => void): void => {
      const into = new ByteWriter();
      write(into);
      const bytes = into.copy();
      queueMicrotask(() =>
        this.router.operationAnswer(type, correlation, bytes, 0, bytes.length)
      );
    };
    return {
      operationDone: (result) =>
        answer(
          FrameType.operationReply,
          (into) => writeOperationResult(into, result),
        ),
      operationFailed: (error) =>
        answer(FrameType.operationError, (into) => writeFailure(into, error)),
    };
  }
}

/** `value` as it arrives at the other end of a link. */
function travelled(value: unknown): unknown {
  return decodeMsgpack(encodeMsgpack(value));
}

/** Nodes with their groups. */
export class FakeCluster {
  /** Where the keys of a group that has moved are. */
  successor: GroupSuccessor = () => undefined;
  readonly runtime = new ManualRuntime();
  readonly nodes: FakeNode[];
  readonly groups = new Map<string, FakeGroup>();
  /** Nodes that cannot be reached. */
  readonly cut = new Set<string>();
  /** Nodes that accept operations and never answer. */
  readonly silent = new Set<string>();
  /** Operations that were sent on, as `a > b`. */
  readonly sent: string[] = [];
  finds = 0;
  /** Calls, as `node: method`. */
  readonly calls: string[] = [];
  /** Called before each call. */
  onCall: (node: string, method: string) => void | Promise<void> = () => {};
  nextNumber = 100;
  /** Whether new groups find a leader. */
  elects = true;

  constructor(names: readonly string[]) {
    this.nodes = names.map((name) => new FakeNode(this, name));
  }

  node(name: string): FakeNode {
    return this.nodes.find(({ node }) => node === name) as FakeNode;
  }

  groupOf(
    name: string,
    groupId: number,
    initial: readonly Member[],
  ): FakeGroup {
    const there = this.groups.get(name);
    // A node that was away may still have a deleted one.
    if (there?.groupId === groupId) return there;
    const made = new FakeGroup(
      name,
      groupId,
      initial,
      () => this.runtime.now(),
    );
    this.groups.set(name, made);
    return made;
  }

  /** Forgets a group of which nobody has a member any more. */
  forget(group: FakeGroup): void {
    if (this.groups.get(group.name) === group) this.groups.delete(group.name);
  }

  /** Creates a group with members on `nodes`, led by the first one. */
  async form(name: string, nodes: readonly string[]): Promise<FakeGroup> {
    const initial = nodes.map((node, at): Member => ({
      node,
      uid: at + 1,
      kind: "voter",
      target: 0,
    }));
    for (const { node, uid } of initial) {
      await this.node(node).createMember({
        group: name,
        groupId: 1,
        uid,
        machine: RA_KV_MACHINE,
        initial,
      });
    }
    const group = this.groups.get(name) as FakeGroup;
    if (group.leader !== nodes[0]) group.lead(nodes[0]);
    return group;
  }

  /** Ends all waits; no timer may be left. */
  close(): void {
    for (const { router } of this.nodes) router.close();
  }
}
