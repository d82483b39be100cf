/**
 * A member of a Raft group: performs what `raft_fsm.ts` decides, keeps the
 * machine, and knows who waits for what.
 *
 * What comes in one turn of the event loop is one batch: commands are proposed
 * together, reads share one round, and entries that become durable together are
 * reported once.
 *
 * @module
 */
import type { TimerHandle } from "../../supervisors/runtime.ts";
import { ByteReader } from "../base/byte_reader.ts";
import { isWhorlError, reasonOf, WhorlError } from "../base/errors.ts";
import {
  dataOfEntry,
  entryBody,
  kindOfEntry,
  timeOfEntry,
} from "./entry_body.ts";
import type { GroupWorld } from "./group_world.ts";
import type { GroupLog, RaftLogs, SnapshotReceiver } from "./log/raft_log.ts";
import type { ApplyMeta, MachineEffect, RaftMachine } from "./machine.ts";
import { readMembership } from "./membership_codec.ts";
import {
  EntryKind,
  type Member,
  type MemberKind,
  type Membership,
  type RaftEntry,
  type SnapshotMeta,
} from "./raft_entry.ts";
import {
  createRaft,
  type Proposal,
  type RaftEffect,
  type RaftEvent,
  type RaftRole,
  type RaftState,
  stepRaft,
} from "./raft_fsm.ts";
import type {
  AppliedCommand,
  RaftFailure,
  RaftMember,
  RaftTarget,
} from "./raft_member.ts";
import type { RaftMessage } from "./raft_message.ts";
import { writeAppend, writeRaftMessage } from "./raft_message_codec.ts";

/** Bytes of entries in one message. */
export const APPEND_BYTES_MAX = 1024 * 1024;
/** Entries applied from the disk before the event loop gets its turn. */
const APPLY_ENTRIES_MAX = 4096;
const APPLY_BYTES_MAX = 4 * 1024 * 1024;
/** Entries that are applied between one snapshot that is taken by itself and the next, at least. */
export const SNAPSHOT_ENTRIES_MIN = 65_536;
/** Commands of low priority that are proposed in one turn. */
const LOW_PRIORITY_BATCH = 16;
/** Commands that may wait or be under way; one more is refused. */
const PENDING_MAX = 65_536;

interface Pending {
  readonly term: number;
  readonly target: RaftTarget<AppliedCommand>;
}

interface Waiter {
  readonly index: number;
  readonly target: RaftTarget<void>;
}

/** How a member is started. */
export interface GroupProcessOptions<State> {
  readonly uid: number;
  readonly logs: RaftLogs;
  readonly machineOf: (name: string) => RaftMachine<State>;
  readonly world: GroupWorld;
}

/** One member; see the module's text. */
export class GroupProcess<State = unknown> implements RaftMember<State> {
  readonly group: string;
  readonly groupId: number;
  readonly node: string;
  readonly uid: number;
  readonly log: GroupLog;
  readonly #world: GroupWorld;
  readonly #machine: RaftMachine<State>;
  #raft: RaftState;
  #state: State;
  #appliedIndex = 0;
  #appliedTerm = 0;
  /** In force as of `#appliedIndex`. */
  #machineVersion = 0;
  #appliedMembership: Membership;
  /** Members as of the entries behind `#appliedIndex`, so that a snapshot knows those it stands for. */
  #commitIndex = 0;
  #closed = false;

  readonly #events: RaftEvent[] = [];
  readonly #effects: RaftEffect[] = [];
  #stepping = false;

  #proposals: Proposal[] = [];
  #proposalTargets: (RaftTarget<AppliedCommand> | undefined)[] = [];
  #lowPriority: {
    proposal: Proposal;
    target: RaftTarget<AppliedCommand> | undefined;
  }[] = [];
  #proposing = false;
  /** Targets of the proposals being stepped, in order. */
  #offered: (RaftTarget<AppliedCommand> | undefined)[] = [];
  readonly #pending = new Map<number, Pending>();

  #readers: RaftTarget<void>[] = [];
  #reading = false;
  #round = 0;
  readonly #rounds = new Map<number, readonly RaftTarget<void>[]>();
  #waiters: Waiter[] = [];

  #request = 0;
  readonly #requests = new Map<
    number,
    RaftTarget<{ index: number; term: number }>
  >();
  readonly #transfers = new Map<number, RaftTarget<void>>();

  #electionDueAt = Infinity;
  #electionTimer: TimerHandle | undefined;
  #electionTimerAt = Infinity;

  #applyingFromDisk = false;
  /** Peers whose entries are being read from the disk, and what they are to be sent afterwards. */
  readonly #laggards = new Map<string, SendEntries[]>();
  #snapshotting: Promise<void> | undefined;
  readonly #machineTimers = new Map<string, TimerHandle>();
  /** Who waits for this member to lead. */
  #hopefuls: { resolve(): void; reject(error: WhorlError): void }[] = [];
  readonly #listeners = new Set<
    (to: number, message: Uint8Array<ArrayBuffer>) => void
  >();

  private constructor(
    options: GroupProcessOptions<State>,
    log: GroupLog,
    machine: RaftMachine<State>,
    state: State,
  ) {
    const { config, recovered } = log;
    this.group = config.name;
    this.groupId = config.groupId;
    this.uid = config.uid;
    this.node = options.world.node;
    this.log = log;
    this.#world = options.world;
    this.#machine = machine;
    this.#state = state;
    this.#appliedIndex = recovered.snapshot?.index ?? 0;
    this.#appliedTerm = recovered.snapshot?.term ?? 0;
    this.#machineVersion = recovered.snapshot?.machineVersion ?? 0;
    this.#appliedMembership = recovered.snapshot?.membership ?? config.initial;
    this.#raft = createRaft(
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
        chance: options.world.chance.fork(`raft ${config.name}`),
      },
      this.#effects,
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
    });
    try {
      if (log.recovered.damaged) {
        throw new WhorlError(
          "tail_lost",
          `Cannot go on with group ${log.config.name} as part of what this member acknowledged is not in its log any more`,
          { details: { group: log.config.name, members: membersOf(log) } },
        );
      }
      const machine = options.machineOf(log.config.machine);
      const state = await storedState(log, machine);
      member = new GroupProcess(options, log, machine, state);
      await member.#applyKnown();
    } catch (error) {
      await log.close();
      throw error;
    }
    for (const { node } of member.membership.members) {
      if (node !== world.node && !world.isUp(node)) {
        member.#events.push({ type: "node_lost", node });
      }
    }
    member.#stepAll();
    return member;
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

  get membership(): Membership {
    return this.#raft.membership;
  }

  get commitIndex(): number {
    return this.#commitIndex;
  }

  get appliedIndex(): number {
    return this.#appliedIndex;
  }

  get state(): State {
    return this.#state;
  }

  /** Whether this member leads. */
  get leads(): boolean {
    return this.#raft.role === "leader";
  }

  propose(
    command: Uint8Array,
    target?: RaftTarget<AppliedCommand>,
    priority: "normal" | "low" = "normal",
  ): void {
    // One that is closed refuses likewise: "closed" would leave open whether it was carried out.
    if (this.#closed) return void target?.failed("not_leader", undefined);
    if (this.#raft.role !== "leader") {
      return void target?.failed("not_leader", this.#raft.leader);
    }
    if (
      this.#pending.size + this.#proposals.length + this.#lowPriority.length >=
        PENDING_MAX
    ) return void target?.failed("overload", this.node);
    const proposal: Proposal = {
      kind: EntryKind.command,
      body: entryBody(
        EntryKind.command,
        Math.max(0, Math.floor(this.#world.wallClock())),
        command,
      ),
    };
    if (priority === "low") this.#lowPriority.push({ proposal, target });
    else {
      this.#proposals.push(proposal);
      this.#proposalTargets.push(target);
    }
    this.#proposeSoon();
  }

  #proposeSoon(): void {
    if (this.#proposing) return;
    this.#proposing = true;
    this.#world.runtime.defer(this.#proposeAll);
  }

  readonly #proposeAll = (): void => {
    this.#proposing = false;
    for (
      const { proposal, target } of this.#lowPriority.splice(
        0,
        LOW_PRIORITY_BATCH,
      )
    ) {
      this.#proposals.push(proposal);
      this.#proposalTargets.push(target);
    }
    if (this.#proposals.length === 0) return;
    const proposals = this.#proposals;
    this.#proposals = [];
    this.deliver({ type: "propose", proposals });
  };

  consistentRead(target: RaftTarget<void>): void {
    if (this.#closed) return target.failed("closed", undefined);
    this.#readers.push(target);
    if (this.#reading) return;
    this.#reading = true;
    this.#world.runtime.defer(this.#readAll);
  }

  readonly #readAll = (): void => {
    this.#reading = false;
    const readers = this.#readers;
    this.#readers = [];
    if (this.#closed) return failAll(readers, "closed", undefined);
    const round = ++this.#round;
    this.#rounds.set(round, readers);
    this.deliver({ type: "read", round });
  };

  whenApplied(index: number, target: RaftTarget<void>): void {
    if (this.#closed) target.failed("closed", undefined);
    else if (index <= this.#appliedIndex) target.done();
    else this.#waiters.push({ index, target });
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
    if (this.#closed) return target.failed("closed", undefined);
    const request = ++this.#request;
    this.#requests.set(request, target);
    this.deliver({ type: "change_membership", request, change });
  }

  transferLeadership(to: string, target: RaftTarget<void>): void {
    if (this.#closed) return target.failed("closed", undefined);
    const request = ++this.#request;
    this.#transfers.set(request, target);
    this.deliver({ type: "transfer_leadership", request, to });
  }

  /** Does not wait for silence: stands now, unless a leader is known. A new group has its leader sooner. */
  standNow(): void {
    if (this.#raft.leader === undefined) {
      this.deliver({ type: "election_timeout" });
    }
  }

  /** Lets another member lead, and does not stand again: the disk fails, or the node is about to stop. */
  giveWay(): void {
    this.deliver({ type: "disk_failing" });
  }

  takeSnapshot(): Promise<void> {
    if (this.#snapshotting !== undefined) return this.#snapshotting;
    const { snapshot } = this.log;
    if (this.#appliedIndex <= (snapshot?.index ?? 0)) return Promise.resolve();
    // The state of this very moment: it changes with the next entry.
    const meta: SnapshotMeta = {
      index: this.#appliedIndex,
      term: this.#appliedTerm,
      membership: this.#appliedMembership,
      machineVersion: this.#machineVersion,
    };
    const pieces = [...this.#machine.encode(this.#state)];
    const live = [...this.#machine.liveIndexes?.(this.#state) ?? []];
    const taking = (async () => {
      try {
        await this.log.takeSnapshot(meta, pieces, live);
        if (!this.#closed) {
          this.deliver({ type: "snapshot_taken", snapshot: meta });
        }
      } finally {
        this.#snapshotting = undefined;
      }
    })();
    this.#snapshotting = taking;
    return taking;
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
    return this.#leading();
  }

  /** Resolves when this member leads. */
  #leading(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    if (this.#closed) reject(closedError(this.group));
    else if (this.leads) resolve();
    else this.#hopefuls.push({ resolve, reject });
    return promise;
  }

  /** A message of this group from the member at `from`. */
  message(from: string, uid: number, message: RaftMessage): void {
    this.deliver({ type: "message", from, uid, message });
  }

  /** Hands the core an event, now or when the step under way is done. */
  deliver(event: RaftEvent): void {
    if (this.#closed) return;
    this.#events.push(event);
    if (!this.#stepping) this.#stepAll();
  }

  #stepAll(): void {
    this.#stepping = true;
    try {
      // What the start of the core has asked for.
      this.#performAll();
      for (let i = 0; i < this.#events.length; i++) {
        const event = this.#events[i] as RaftEvent;
        if (event.type === "propose") {
          this.#offered = this.#proposalTargets;
          this.#proposalTargets = [];
        }
        stepRaft(this.#raft, event, this.#effects);
        this.#performAll();
      }
      this.#events.length = 0;
    } catch (error) {
      this.#events.length = 0;
      this.#effects.length = 0;
      this.#fail(
        isWhorlError(error) ? error : new WhorlError(
          "vnode_crashed",
          `Cannot go on with group ${this.group}: ${reasonOf(error)}`,
          { cause: error },
        ),
      );
    } finally {
      this.#stepping = false;
    }
  }

  #performAll(): void {
    for (let i = 0; i < this.#effects.length; i++) {
      this.#perform(this.#effects[i] as RaftEffect);
    }
    this.#effects.length = 0;
  }

  #perform(effect: RaftEffect): void {
    switch (effect.type) {
      case "set_election_timer":
        this.#electionDueAt = this.#world.runtime.now() + effect.afterMs;
        this.#armElectionTimer();
        return;
      case "clear_election_timer":
        this.#electionDueAt = Infinity;
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
        this.#append(effect.entries);
        return;
      case "send":
        this.#send(effect.to, effect.message);
        return;
      case "send_entries":
        this.#sendEntries(effect);
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
        this.#commitIndex = effect.index;
        this.#apply();
        return;
      case "role_changed":
        this.#roleChanged(effect.role);
        return;
      case "membership_changed":
        this.#world.changed(this.group);
        return;
      case "proposals_refused": {
        const offered = this.#offered;
        this.#offered = [];
        for (const target of offered) {
          target?.failed(effect.reason, this.#raft.leader);
        }
        return;
      }
      case "change_begun": {
        const target = this.#requests.get(effect.request);
        this.#requests.delete(effect.request);
        target?.done({ index: effect.index, term: effect.term });
        return;
      }
      case "request_refused": {
        const target = this.#requests.get(effect.request) ??
          this.#transfers.get(effect.request);
        this.#requests.delete(effect.request);
        this.#transfers.delete(effect.request);
        target?.failed(effect.reason, this.#raft.leader);
        return;
      }
      case "transfer_ended": {
        const target = this.#transfers.get(effect.request);
        this.#transfers.delete(effect.request);
        if (effect.ok) target?.done();
        else target?.failed("not_up_to_date", this.#raft.leader);
        return;
      }
      case "read_ready": {
        const readers = this.#rounds.get(effect.round);
        this.#rounds.delete(effect.round);
        for (const target of readers ?? []) {
          this.whenApplied(effect.index, target);
        }
        return;
      }
      case "read_refused": {
        const readers = this.#rounds.get(effect.round);
        this.#rounds.delete(effect.round);
        failAll(readers ?? [], effect.reason, this.#raft.leader);
        return;
      }
      default:
        return effect satisfies never;
    }
  }

  #append(entries: readonly RaftEntry[]): void {
    this.log.append(entries);
    if (this.#offered.length > 0) {
      // They are this event's proposals, in order; a leader's own entries come alone.
      const offered = this.#offered;
      this.#offered = [];
      for (let i = 0; i < entries.length; i++) {
        const target = offered[i];
        const { index, term } = entries[i] as RaftEntry;
        if (target !== undefined) this.#pending.set(index, { term, target });
      }
    }
  }

  #send(to: string, message: RaftMessage): void {
    const into = this.#world.beginMessage(to, this.groupId, this.uid);
    if (into === undefined) return;
    writeRaftMessage(into, message);
    this.#world.endMessage();
  }

  #sendEntries(effect: SendEntries): void {
    const waiting = this.#laggards.get(effect.to);
    if (waiting !== undefined) {
      waiting.push(effect);
      return;
    }
    for (let first = effect.first;;) {
      const entries = first > effect.last
        ? []
        : this.log.entries(first, effect.last, APPEND_BYTES_MAX);
      if (entries instanceof Promise) {
        this.#readThenSend({ ...effect, first }, entries);
        return;
      }
      this.#sendAppend(effect, first, entries);
      first += entries.length;
      if (first > effect.last) return;
    }
  }

  #sendAppend(
    effect: SendEntries,
    first: number,
    entries: readonly RaftEntry[],
  ): void {
    const prevTerm = first === effect.first
      ? effect.prevTerm
      : this.log.termAt(first - 1);
    if (prevTerm === undefined) return;
    const into = this.#world.beginMessage(effect.to, this.groupId, this.uid);
    if (into === undefined) return;
    writeAppend(
      into,
      effect.term,
      first - 1,
      prevTerm,
      effect.commitIndex,
      entries,
    );
    this.#world.endMessage();
  }

  async #readThenSend(
    effect: SendEntries,
    reading: Promise<readonly RaftEntry[]>,
  ): Promise<void> {
    const waiting: SendEntries[] = [];
    this.#laggards.set(effect.to, waiting);
    let { first } = effect;
    try {
      let entries = await reading;
      // The core may be a leader no more, or that of another term.
      while (!this.#closed && this.#raft.term === effect.term && this.leads) {
        this.#sendAppend(effect, first, entries);
        first += entries.length;
        if (first > effect.last) break;
        entries = await this.log.entries(first, effect.last, APPEND_BYTES_MAX);
      }
    } catch (error) {
      if (!isWhorlError(error)) throw error;
      waiting.length = 0;
      this.deliver({ type: "entries_missing", to: effect.to });
    } finally {
      this.#laggards.delete(effect.to);
    }
    for (const later of waiting) {
      if (later.term === this.#raft.term && this.leads) {
        this.#sendEntries(later);
      }
    }
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

  /** A snapshot from the leader is here, whole: it takes the place of log and state, durably. */
  async installSnapshot(
    snapshot: SnapshotMeta,
    receiver: SnapshotReceiver,
    pieces: readonly Uint8Array<ArrayBuffer>[],
  ): Promise<void> {
    const state = this.#machine.decode(pieces);
    await receiver.finish(this.#machine.liveIndexes?.(state) ?? []);
    if (this.#closed) return;
    this.#state = state;
    this.#appliedIndex = snapshot.index;
    this.#appliedTerm = snapshot.term;
    this.#appliedMembership = snapshot.membership;
    this.#machineVersion = snapshot.machineVersion;
    this.#commitIndex = Math.max(this.#commitIndex, snapshot.index);
    this.deliver({ type: "snapshot_received", snapshot, ok: true });
    this.#tellWaiters();
  }

  /** It did not come, or not whole. */
  snapshotAborted(snapshot: SnapshotMeta): void {
    this.deliver({ type: "snapshot_received", snapshot, ok: false });
  }

  #armElectionTimer(): void {
    // A timer that is due earlier looks again when it fires: setting one for
    // each message of the leader would cost more than the message.
    if (this.#electionTimerAt <= this.#electionDueAt) return;
    const { runtime } = this.#world;
    if (this.#electionTimer !== undefined) {
      runtime.clearTimer(this.#electionTimer);
    }
    this.#electionTimerAt = this.#electionDueAt;
    this.#electionTimer = runtime.setTimer(
      Math.max(0, this.#electionDueAt - runtime.now()),
      this.#electionTimerFired,
    );
  }

  readonly #electionTimerFired = (): void => {
    this.#electionTimer = undefined;
    this.#electionTimerAt = Infinity;
    if (this.#closed || this.#electionDueAt === Infinity) return;
    if (this.#world.runtime.now() < this.#electionDueAt) {
      this.#armElectionTimer();
      return;
    }
    this.#electionDueAt = Infinity;
    this.deliver({ type: "election_timeout" });
  };

  #roleChanged(role: RaftRole): void {
    if (role !== "leader") {
      const { leader } = this.#raft;
      const pending = [...this.#pending.values()];
      this.#pending.clear();
      for (const { target } of pending) target.failed("leader_lost", leader);
      for (const timer of this.#machineTimers.values()) {
        this.#world.runtime.clearTimer(timer);
      }
      this.#machineTimers.clear();
    } else {
      for (const { resolve } of this.#hopefuls.splice(0)) resolve();
    }
    const effects = this.#machine.enterRole?.(role === "leader", this.#state);
    if (effects !== undefined) this.#performMachine(effects);
    this.#world.changed(this.group);
  }

  /** Applies what is known to have been applied here before a restart. */
  async #applyKnown(): Promise<void> {
    const { recovered } = this.log;
    const until = Math.min(recovered.appliedIndex, recovered.lastIndex);
    while (this.#appliedIndex < until) {
      const entries = await this.log.entries(
        this.#appliedIndex + 1,
        until,
        APPLY_BYTES_MAX,
      );
      for (const entry of entries) this.#applyEntry(entry);
    }
    this.#commitIndex = Math.max(this.#commitIndex, this.#appliedIndex);
  }

  #apply(): void {
    if (this.#applyingFromDisk) return;
    while (this.#appliedIndex < this.#commitIndex) {
      const entry = this.log.entryInMemory(this.#appliedIndex + 1);
      if (entry === undefined) {
        this.#applyFromDisk();
        break;
      }
      this.#applyEntry(entry);
    }
    this.#applied();
  }

  async #applyFromDisk(): Promise<void> {
    this.#applyingFromDisk = true;
    try {
      const first = this.#appliedIndex + 1;
      const entries = await this.log.entries(
        first,
        Math.min(this.#commitIndex, first + APPLY_ENTRIES_MAX - 1),
        APPLY_BYTES_MAX,
      );
      // A snapshot may have been installed meanwhile.
      if (this.#closed) return;
      for (const entry of entries) {
        if (entry.index === this.#appliedIndex + 1) this.#applyEntry(entry);
      }
    } catch (error) {
      if (
        !this.#closed && this.log.snapshot !== undefined &&
        this.log.snapshot.index > this.#appliedIndex
      ) return;
      this.#fail(
        isWhorlError(error) ? error : new WhorlError(
          "store_corrupt",
          `Cannot read the log of group ${this.group}: ${reasonOf(error)}`,
          { cause: error },
        ),
      );
      return;
    } finally {
      this.#applyingFromDisk = false;
    }
    this.#apply();
  }

  #applied(): void {
    const index = this.#appliedIndex;
    this.log.noteApplied(index);
    const machineVersion = this.#machineVersion;
    this.deliver({ type: "applied", index, machineVersion });
    this.#tellWaiters();
    if (
      index - (this.log.snapshot?.index ?? 0) >= SNAPSHOT_ENTRIES_MIN &&
      this.#snapshotting === undefined
    ) this.#snapshotSoon();
  }

  #snapshotSoon(): void {
    this.takeSnapshot().catch((error) =>
      this.#world.log.error("Cannot take a snapshot", {
        group: this.group,
        reason: reasonOf(error),
      })
    );
  }

  #tellWaiters(): void {
    if (this.#waiters.length === 0) return;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) {
      if (waiter.index <= this.#appliedIndex) waiter.target.done();
      else this.#waiters.push(waiter);
    }
  }

  #applyEntry(entry: RaftEntry): void {
    const { index, term, body } = entry;
    this.#appliedIndex = index;
    this.#appliedTerm = term;
    switch (kindOfEntry(body)) {
      case EntryKind.command: {
        const meta: ApplyMeta = {
          index,
          term,
          timeMs: timeOfEntry(body),
          machineVersion: this.#machineVersion,
        };
        const applied = this.#machine.apply(
          meta,
          dataOfEntry(body),
          this.#state,
        );
        if (applied.effects !== undefined) {
          this.#performMachine(applied.effects);
        }
        this.#answer(meta, applied.reply);
        return;
      }
      case EntryKind.noop: {
        const version = (body[7] as number) * 256 + (body[8] as number);
        if (version > this.#machineVersion) {
          this.#machine.upgrade?.(this.#machineVersion, version, this.#state);
          this.#machineVersion = version;
        }
        return;
      }
      case EntryKind.membership:
        this.#appliedMembership = {
          ...readMembership(new ByteReader(dataOfEntry(body))),
          index,
        };
        return;
    }
  }

  #answer(meta: ApplyMeta, reply: Uint8Array<ArrayBuffer> | undefined): void {
    if (this.#pending.size === 0) return;
    const pending = this.#pending.get(meta.index);
    if (pending === undefined) return;
    this.#pending.delete(meta.index);
    if (pending.term === meta.term) pending.target.done({ meta, reply });
    else pending.target.failed("leader_lost", this.#raft.leader);
  }

  #performMachine(effects: readonly MachineEffect[]): void {
    for (const effect of effects) {
      switch (effect.type) {
        case "release_cursor":
          this.#snapshotSoon();
          break;
        case "timer":
          this.#setMachineTimer(effect.name, effect.afterMs, effect.command);
          break;
        case "notify":
          this.#notify(effect.to, effect.message);
          break;
        default:
          return effect satisfies never;
      }
    }
  }

  #setMachineTimer(
    name: string,
    afterMs: number | undefined,
    command: Uint8Array<ArrayBuffer>,
  ): void {
    if (!this.leads) return;
    const { runtime } = this.#world;
    const before = this.#machineTimers.get(name);
    if (before !== undefined) runtime.clearTimer(before);
    this.#machineTimers.delete(name);
    if (afterMs === undefined) return;
    this.#machineTimers.set(
      name,
      runtime.setTimer(afterMs, () => {
        this.#machineTimers.delete(name);
        this.propose(command, undefined, "low");
      }),
    );
  }

  #notify(to: number, message: Uint8Array<ArrayBuffer>): void {
    for (const listener of this.#listeners) listener(to, message);
  }

  /** Calls `listener` for each `notify` of the machine on this member, until the function it returns is called. */
  listen(
    listener: (to: number, message: Uint8Array<ArrayBuffer>) => void,
  ): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #fail(error: WhorlError): void {
    if (this.#closed) return;
    this.#world.log.error("A member of a group cannot go on", {
      group: this.group,
      reason: reasonOf(error),
    });
    this.#end();
    this.#world.failed(error);
  }

  /** Everybody who waits is told; nothing is done any more. */
  #end(): void {
    this.#closed = true;
    const { runtime } = this.#world;
    if (this.#electionTimer !== undefined) {
      runtime.clearTimer(this.#electionTimer);
    }
    for (const timer of this.#machineTimers.values()) runtime.clearTimer(timer);
    this.#machineTimers.clear();
    this.#world.forgetSnapshot(this.group);
    const waiting: RaftTarget<never>[] = [];
    for (const target of this.#proposalTargets) {
      if (target !== undefined) waiting.push(target);
    }
    for (const { target } of this.#lowPriority) {
      if (target !== undefined) waiting.push(target);
    }
    for (const { target } of this.#pending.values()) waiting.push(target);
    waiting.push(...this.#readers);
    for (const readers of this.#rounds.values()) waiting.push(...readers);
    for (const { target } of this.#waiters) waiting.push(target);
    waiting.push(...this.#requests.values(), ...this.#transfers.values());
    this.#proposals = [];
    this.#proposalTargets = [];
    this.#lowPriority = [];
    this.#pending.clear();
    this.#readers = [];
    this.#rounds.clear();
    this.#waiters = [];
    this.#requests.clear();
    this.#transfers.clear();
    failAll(waiting, "closed", undefined);
    for (const { reject } of this.#hopefuls.splice(0)) {
      reject(closedError(this.group));
    }
  }

  /** Ends the member; what is in the log becomes durable first. */
  async close(): Promise<void> {
    if (!this.#closed) this.#end();
    await this.#snapshotting?.catch(() => {});
    await this.log.close();
  }
}

function closedError(group: string): WhorlError {
  return new WhorlError(
    "closed",
    `The member of ${group} on this node is stopping`,
  );
}

function failAll(
  targets: readonly RaftTarget<never>[],
  reason: RaftFailure,
  leader: string | undefined,
): void {
  for (const target of targets) target.failed(reason, leader);
}

type SendEntries = Extract<RaftEffect, { readonly type: "send_entries" }>;

/** The members as far as a log knows. */
function membersOf({ recovered, config }: GroupLog): readonly Member[] {
  return (recovered.memberships.at(-1) ?? recovered.snapshot?.membership ??
    config.initial).members;
}

async function storedState<State>(
  log: GroupLog,
  machine: RaftMachine<State>,
): Promise<State> {
  const stored = await log.readSnapshot();
  if (stored === undefined) return machine.init();
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  for await (const piece of stored.state) pieces.push(piece);
  return machine.decode(pieces);
}
