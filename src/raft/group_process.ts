/**
 * A member of a Raft group: carries out what `raft_fsm.ts` decides, stepped by
 * `raft_core.ts`. It acts through its log (`log/`), its machine
 * (`machine_host.ts`), the requests that wait (`member_requests.ts`) and the
 * sender of entries (`entry_sender.ts`).
 *
 * @module
 */
import type { TimerHandle } from "../../supervisors/runtime.ts";
import { isWhorlError, reasonOf, WhorlError } from "../base/errors.ts";
import { EntryApplier } from "./entry_applier.ts";
import { EntrySender } from "./entry_sender.ts";
import type { GroupWorld } from "./group_world.ts";
import type { GroupLog, RaftLogs, SnapshotReceiver } from "./log/raft_log.ts";
import { LazyTimer } from "./lazy_timer.ts";
import { lostLogError } from "./lost_log.ts";
import type { RaftMachine, StateDecoder } from "./machine.ts";
import { MachineHost, type MachineListener } from "./machine_host.ts";
import { MemberRequests } from "./member_requests.ts";
import { OwnSnapshots } from "./own_snapshots.ts";
import { RaftCore } from "./raft_core.ts";
import type { MemberKind, Membership, SnapshotMeta } from "./raft_entry.ts";
import type { RaftEffect, RaftEvent, RaftRole } from "./raft_events.ts";
import type {
  AppliedCommand,
  ProposeOptions,
  RaftMember,
  RaftTarget,
} from "./raft_member.ts";
import type { RaftMessage } from "./raft_message.ts";
import { writeRaftMessage } from "./raft_message_codec.ts";
import type { RaftState } from "./raft_state.ts";
import { type StoredState, storedState } from "./stored_state.ts";

/**
 * Delay after a commit until the others are told of it, in milliseconds, unless
 * a message goes to them sooner: short for readers there, and still only a few
 * hundred timers a second under load.
 */
const TELL_COMMIT_AFTER_MS = 5;

/** What a member starts from. */
export interface GroupProcessOptions<State> {
  readonly uid: number;
  readonly logs: RaftLogs;
  readonly machineOf: (name: string) => RaftMachine<State>;
  readonly world: GroupWorld;
}

/** One member; see the module comment. */
export class GroupProcess<State = unknown> implements RaftMember<State> {
  readonly group: string;
  readonly groupId: number;
  readonly node: string;
  readonly uid: number;
  readonly log: GroupLog;
  /** @internal The last frame of heartbeats that named it. */
  namedIn = 0;
  readonly #world: GroupWorld;
  readonly #machine: MachineHost<State>;
  readonly #requests: MemberRequests;
  readonly #sender: EntrySender;
  readonly #electionTimer: LazyTimer;
  #commitTimer: TimerHandle | undefined;
  readonly #tellCommit = (): void => {
    this.#commitTimer = undefined;
    this.deliver({ type: "tell_commit" });
  };
  readonly #core: RaftCore;
  readonly #applier: EntryApplier;
  readonly #snapshots: OwnSnapshots;
  #leaderlessSinceMs: number | undefined;
  #closed = false;
  /** Whether the waiting requests were told that the group is over. */
  #isOverTold = false;

  private constructor(
    options: GroupProcessOptions<State>,
    log: GroupLog,
    machine: RaftMachine<State>,
    stored: StoredState<State>,
  ) {
    const { config, recovered } = log;
    this.group = config.name;
    this.groupId = config.groupId;
    this.uid = config.uid;
    this.node = options.world.node;
    this.log = log;
    const { world } = options;
    this.#world = world;
    this.#leaderlessSinceMs = world.runtime.now();
    this.#machine = new MachineHost(
      machine,
      stored.state,
      stored.point,
      config.initial,
      {
        runtime: world.runtime,
        leads: () => this.leads,
        isUp: (node) => world.isUp(node),
        propose: (command, refused) =>
          this.propose(command, {
            done() {},
            failed(reason) {
              if (reason === "transferring" || reason === "overload") refused();
            },
          }, { priority: "low" }),
        applied: (meta, reply) =>
          this.#requests.proposals.applied(meta, reply, this.leader),
        release: (index) => this.#snapshots.release(index),
        checkpoint: () => this.#snapshots.checkpointSoon(),
      },
    );
    this.#applier = new EntryApplier(log, this.#machine, {
      closed: () => this.#closed,
      defer: (callback) => world.runtime.defer(callback),
      applied: () => this.#applied(),
      failed: (error) => this.#fail(error),
    });
    this.#snapshots = new OwnSnapshots(log, this.#machine, {
      log: world.log,
      snapshotEntriesMin: world.snapshotEntriesMin,
      // A closed member ignores what is delivered.
      taken: (snapshot) => this.deliver({ type: "snapshot_taken", snapshot }),
    });
    this.#requests = new MemberRequests({
      group: this.group,
      node: this.node,
      runtime: world.runtime,
      wallClock: () => world.wallClock(),
      isOver: () => this.isOver,
      leads: () => this.leads,
      leader: () => this.leader,
      appliedIndex: () => this.appliedIndex,
      deliver: (event) => this.deliver(event),
    });
    this.#electionTimer = new LazyTimer(
      world.runtime,
      () => this.deliver({ type: "election_timeout" }),
    );
    this.#sender = new EntrySender({
      log,
      begin: (to) => world.beginMessage(to, this.groupId, this.uid),
      end: () => world.endMessage(),
      leadsIn: (term) => !this.#closed && this.leads && this.term === term,
      missing: (to) => this.deliver({ type: "entries_missing", to }),
    });
    this.#core = new RaftCore(
      {
        node: this.node,
        uid: this.uid,
        term: recovered.term,
        votedFor: recovered.votedFor,
        snapshot: recovered.snapshot,
        initial: config.initial,
        lastIndex: recovered.lastIndex,
        terms: recovered.terms,
        memberships: recovered.memberships,
        machineVersion: machine.version,
        chance: world.chance.fork(`raft ${config.name}`),
      },
      {
        beforeStep: (event) => this.#beforeStep(event),
        perform: (effect) => this.#perform(effect),
        failed: (error) => this.#stepFailed(error),
      },
    );
  }

  /** Opens the log of a member and starts it. */
  static async start<State>(
    options: GroupProcessOptions<State>,
  ): Promise<GroupProcess<State>> {
    const { uid, logs, world } = options;
    let member: GroupProcess<State> | undefined;
    const log = await logs.open(uid, {
      onWritten: (index, term) =>
        member?.deliver({ type: "written", index, term }),
      onFailed: (error) => {
        member?.giveWay();
        world.diskFailed(error);
      },
      onRotten: (error) => world.rotten(error),
    });
    try {
      if (log.recovered.damaged) throw lostLogError(log, undefined);
      const machine = options.machineOf(log.config.machine);
      const stored = await storedState(log, machine, world.turns);
      member = new GroupProcess(options, log, machine, stored);
      await member.#applier.applyKnown(world.turns);
    } catch (error) {
      await log.close();
      // Some damage is found only when that part is read.
      throw isWhorlError(error, "store_corrupt")
        ? lostLogError(log, error)
        : error;
    }
    for (const { node } of member.membership.members) {
      if (node !== world.node && !world.isUp(node)) {
        member.deliver({ type: "node_lost", node });
      }
    }
    member.#core.start();
    // Its last incarnation saw the end of the group and died before it was
    // removed.
    if (member.isOver) member.#over();
    return member;
  }

  get #raft(): RaftState {
    return this.#core.state;
  }

  get role(): RaftRole {
    return this.#raft.role;
  }

  get term(): number {
    return this.#raft.term;
  }

  get leader(): string | undefined {
    return this.#raft.leader;
  }

  get leaderlessSinceMs(): number | undefined {
    return this.#leaderlessSinceMs;
  }

  get membership(): Membership {
    return this.#raft.membership;
  }

  get commitIndex(): number {
    return this.#applier.commitIndex;
  }

  get appliedIndex(): number {
    return this.#machine.index;
  }

  get state(): State {
    return this.#machine.state;
  }

  /** Whether the machine has ended the group, so that the member is about to be removed. */
  get isOver(): boolean {
    return this.#machine.isOver;
  }

  /** Whether this member leads. */
  get leads(): boolean {
    return this.#raft.role === "leader";
  }

  propose(
    command: Uint8Array,
    target: RaftTarget<AppliedCommand> | undefined,
    options?: ProposeOptions,
  ): void {
    this.#requests.propose(command, target, options);
  }

  aux(command: unknown): unknown {
    return this.#machine.aux(command);
  }

  consistentRead(target: RaftTarget<void>): void {
    this.#requests.read(target);
  }

  whenApplied(index: number, target: RaftTarget<void>): void {
    this.#requests.whenApplied(index, target);
  }

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
  ): void {
    this.#requests.change(change, target);
  }

  transferLeadership(to: string, target: RaftTarget<void>): void {
    this.#requests.transfer(to, target);
  }

  /** Starts an election now, unless a leader is known, so that a new group gets its leader sooner. */
  standNow(): void {
    if (this.#raft.leader === undefined) {
      this.deliver({ type: "election_timeout" });
    }
  }

  /** Lets another member lead and starts no more elections: the disk fails, or the node is about to stop. */
  giveWay(): void {
    this.deliver({ type: "disk_failing" });
  }

  takeSnapshot(): Promise<void> {
    return this.#snapshots.take();
  }

  compact(): Promise<void> {
    return this.log.compact();
  }

  forceShrink(): Promise<void> {
    const { node, uid } = this;
    this.deliver({
      type: "force_membership",
      members: [{ node, uid, kind: "voter", target: 0 }],
    });
    return this.#requests.leading();
  }

  /**
   * Whether a heartbeat from `from` tells a follower nothing new. If so,
   * restarts the election timer as the core would, without stepping it: with a
   * thousand idle groups that is all the work there is.
   */
  heardSame(from: string, term: number, commitIndex: number): boolean {
    const { role, leader, term: ownTerm } = this.#raft;
    if (
      role !== "follower" || leader !== from || ownTerm !== term ||
      commitIndex > this.commitIndex || this.#closed
    ) return false;
    this.#electionTimer.again();
    return true;
  }

  /** A message of this group from the member on `from`. */
  message(from: string, uid: number, message: RaftMessage): void {
    this.deliver({ type: "message", from, uid, message });
  }

  /** Steps the core with an event, now or when the current step is done. */
  deliver(event: RaftEvent): void {
    if (!this.#closed) this.#core.deliver(event);
  }

  #beforeStep(event: RaftEvent): void {
    if (event.type === "propose") this.#requests.proposals.offer();
    else if (event.type === "node_lost") this.#machine.nodeLost(event.node);
  }

  #stepFailed(error: unknown): void {
    this.#fail(
      isWhorlError(error) ? error : new WhorlError(
        "vnode_crashed",
        `Cannot continue group ${this.group}: ${reasonOf(error)}`,
        { cause: error },
      ),
    );
  }

  #perform(effect: RaftEffect): void {
    switch (effect.type) {
      case "set_election_timer":
        this.#electionTimer.set(effect.afterMs);
        return;
      case "clear_election_timer":
        this.#electionTimer.clear();
        return;
      case "persist_vote": {
        const { term, votedFor } = effect;
        this.log.saveVote(
          term,
          votedFor,
          () => this.deliver({ type: "vote_persisted", term, votedFor }),
        );
        return;
      }
      case "append":
        this.log.append(effect.entries);
        this.#requests.proposals.appended(
          effect.entries,
          this.#machine.version,
        );
        return;
      case "send":
        this.#send(effect.to, effect.message);
        return;
      case "send_entries":
        this.#sender.send(effect);
        return;
      case "send_snapshot":
        this.#sendSnapshot(effect.to, effect.term);
        return;
      case "receive_snapshot":
        this.#world.expectSnapshot(
          this.group,
          effect.from,
          effect.transfer,
          effect.snapshot,
        );
        return;
      case "abort_snapshot":
        this.#world.forgetSnapshot(this.group);
        return;
      case "commit":
        if (this.leads) this.#applier.commit(effect.index);
        else this.#applier.commitSoon(effect.index);
        return;
      case "tell_commit_soon":
        this.#commitTimer ??= this.#world.runtime.setTimer(
          TELL_COMMIT_AFTER_MS,
          this.#tellCommit,
        );
        return;
      case "role_changed":
        this.#roleChanged(effect.role, effect.leader);
        return;
      case "membership_changed":
        this.#world.changed(this.group);
        return;
      case "proposals_refused":
        this.#requests.proposals.refused(effect.reason, this.leader);
        return;
      case "change_begun": {
        const { request, index, term } = effect;
        this.#requests.begun(request, { index, term });
        return;
      }
      case "request_refused":
        this.#requests.refused(effect.request, effect.reason);
        return;
      case "transfer_ended":
        this.#requests.transferEnded(effect.request, effect.ok);
        return;
      case "read_ready":
        this.#requests.reads.ready(
          effect.round,
          effect.index,
          this.appliedIndex,
        );
        return;
      case "read_refused":
        this.#requests.reads.refused(
          effect.round,
          effect.reason,
          this.leader,
        );
        return;
      default:
        return effect satisfies never;
    }
  }

  #send(to: string, message: RaftMessage): void {
    const into = this.#world.beginMessage(to, this.groupId, this.uid);
    if (into === undefined) return;
    writeRaftMessage(into, message);
    this.#world.endMessage();
  }

  async #sendSnapshot(to: string, term: number): Promise<void> {
    let index = 0;
    try {
      index = await this.#world.sendSnapshot(this.group, to, term);
    } catch (error) {
      this.#world.log.warn("Cannot send a snapshot", {
        group: this.group,
        to,
        reason: reasonOf(error),
      });
    }
    this.deliver({ type: "snapshot_sent", to, index, ok: index > 0 });
  }

  /** A decoder for the machine's state in a snapshot. */
  stateDecoder(): StateDecoder<State> {
    return this.#machine.decoder();
  }

  /**
   * A snapshot from the leader has been received: durably replaces log and
   * state by it.
   *
   * @param appliedIndex The applied index that the leader was told.
   */
  async installSnapshot(
    snapshot: SnapshotMeta,
    receiver: SnapshotReceiver,
    state: State,
    appliedIndex: number,
  ): Promise<void> {
    await receiver.finish(this.#machine.liveIn(state), appliedIndex);
    if (this.#closed) return;
    this.#machine.install(snapshot, state);
    this.#applier.commitIndex = Math.max(this.commitIndex, snapshot.index);
    this.deliver({ type: "snapshot_received", snapshot, ok: true });
    this.#applier.apply();
  }

  /** Receiving a snapshot has failed. */
  snapshotAborted(snapshot: SnapshotMeta): void {
    this.deliver({ type: "snapshot_received", snapshot, ok: false });
  }

  #roleChanged(role: RaftRole, leader: string | undefined): void {
    if (leader !== undefined) this.#leaderlessSinceMs = undefined;
    else this.#leaderlessSinceMs ??= this.#world.runtime.now();
    if (role !== "leader") {
      // The step that ends a leader can commit entries as well, as its own
      // removal does.
      this.#applier.apply();
      this.#requests.proposals.lost(this.leader);
    } else this.#requests.elected();
    this.#machine.roleChanged(role === "leader");
    this.#world.changed(this.group);
  }

  #applied(): void {
    const index = this.#machine.index;
    this.log.noteApplied(index);
    const machineVersion = this.#machine.version;
    this.deliver({ type: "applied", index, machineVersion });
    this.#requests.reads.applied(index);
    if (this.isOver) this.#over();
    else this.#snapshots.applied();
  }

  /** Commands proposed after the end are void on every member: fails those who wait for them. */
  #over(): void {
    if (this.#isOverTold || this.#closed) return;
    this.#isOverTold = true;
    this.#requests.over();
    // No later leader will tell the others.
    this.deliver({ type: "tell_commit" });
    this.#world.over(this.groupId, this.group);
  }

  /** Calls `listener` for each `notify` of the machine on this member, until the function it returns is called. */
  listen(listener: MachineListener): () => void {
    return this.#machine.listen(listener);
  }

  #fail(error: WhorlError): void {
    if (this.#closed) return;
    this.#world.log.error("A member of a group failed", {
      group: this.group,
      reason: reasonOf(error),
    });
    this.#end();
    this.#world.failed(error);
  }

  /** Fails all who wait; nothing is done any more. */
  #end(): void {
    this.#closed = true;
    this.#electionTimer.close();
    this.#world.runtime.clearTimer(this.#commitTimer);
    this.#machine.close();
    this.#world.forgetSnapshot(this.group);
    this.#requests.close();
  }

  /** Closes the member; its log becomes durable first. */
  async close(): Promise<void> {
    if (!this.#closed) this.#end();
    await this.#snapshots.settled();
    await this.log.close();
  }
}
