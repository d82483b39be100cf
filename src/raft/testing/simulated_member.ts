/**
 * A member of a simulated group: the core under test, with a shell that does
 * what `raft_fsm.ts` requires, on a disk that loses what was not synced.
 *
 * @module
 */
import { entryBody, kindOfEntry } from "../entry_body.ts";
import {
  EntryKind,
  type Membership,
  type RaftEntry,
  type SnapshotMeta,
} from "../raft_entry.ts";
import {
  createRaft,
  type MembershipChange,
  type RaftEffect,
  type RaftEvent,
  type RaftState,
  stepRaft,
} from "../raft_fsm.ts";
import type { RaftMessage } from "../raft_message.ts";
import { membershipOf } from "../membership.ts";
import { dataOfEntry } from "../entry_body.ts";
import type { MemberWorld } from "./member_world.ts";
import { effectText, eventText } from "./raft_text.ts";
import type { EntryList, SimulatedDisk } from "./simulated_disk.ts";

type SendEntries = Extract<RaftEffect, { readonly type: "send_entries" }>;

interface Outgoing {
  readonly to: string;
  readonly snapshot: SnapshotMeta;
  readonly hash: number;
}

const VERSION_BYTES = 2;

function commandBody(number: number): Uint8Array<ArrayBuffer> {
  return entryBody(
    EntryKind.command,
    number,
    Uint8Array.of(number >>> 16, number >>> 8, number),
  );
}

/** One run of a member, from its start to its crash. */
export class SimulatedMember {
  readonly node: string;
  readonly disk: SimulatedDisk;
  readonly raft: RaftState;
  /** As the core has it, durable or not. */
  readonly log: EntryList;
  readonly #world: MemberWorld;
  #up = true;
  readonly #effects: RaftEffect[] = [];
  readonly #events: RaftEvent[] = [];
  #stepping = false;
  #timer = 0;
  #syncing = false;
  /** The disk does not sync for now. */
  stalled = false;
  #appliedIndex: number;
  #hash: number;
  #version: number;
  #membership: Membership;
  #offered: RaftEntry["body"][] = [];
  readonly #proposed = new Map<number, number>();
  #round = 0;
  readonly #reads = new Map<number, number>();
  reads = 0;
  #request = 0;
  #transfers = 0;
  readonly #outgoing = new Map<number, Outgoing>();
  receiving: { readonly transfer: number; aborted: boolean } | undefined;
  /** How requests came out, for those who wait for that. */
  readonly outcomes = new Map<number, string>();

  constructor(
    node: string,
    disk: SimulatedDisk,
    machineVersion: number,
    world: MemberWorld,
  ) {
    this.node = node;
    this.disk = disk;
    this.#world = world;
    this.log = disk.log.copy();
    const meta = disk.snapshot?.meta;
    this.#appliedIndex = meta?.index ?? 0;
    this.#hash = disk.snapshot?.hash ?? 0;
    this.#version = meta?.machineVersion ?? 0;
    this.#membership = meta?.membership ?? disk.initial;
    this.raft = createRaft({
      node,
      uid: disk.uid,
      term: disk.term,
      votedFor: disk.votedFor,
      snapshot: meta,
      initial: disk.initial,
      lastIndex: disk.log.last,
      terms: disk.terms,
      memberships: disk.memberships,
      machineVersion,
      chance: world.chance.fork(node),
    }, this.#effects);
    this.#performAll();
  }

  get isUp(): boolean {
    return this.#up;
  }

  get leads(): boolean {
    return this.#up && this.raft.role === "leader";
  }

  get appliedIndex(): number {
    return this.#appliedIndex;
  }

  /** Ends this run; part of what is not durable may survive. */
  crash(): void {
    this.#up = false;
    this.disk.sync(this.#world.chance.below(this.disk.pending.length + 1));
    this.disk.pending = [];
  }

  propose(count: number): void {
    this.#offered = Array.from(
      { length: count },
      () => commandBody(this.#world.nextCommand()),
    );
    this.deliver({
      type: "propose",
      proposals: this.#offered.map((body) => ({
        kind: EntryKind.command,
        body,
      })),
    });
  }

  read(): void {
    const round = ++this.#round;
    this.#reads.set(round, this.#world.rules.acknowledgedIndex);
    this.deliver({ type: "read", round });
  }

  change(change: MembershipChange): number {
    const request = ++this.#request;
    this.deliver({ type: "change_membership", request, change });
    return request;
  }

  transfer(to: string): number {
    const request = ++this.#request;
    this.deliver({ type: "transfer_leadership", request, to });
    return request;
  }

  takeSnapshot(): void {
    const term = this.log.termAt(this.#appliedIndex);
    if (this.#appliedIndex <= this.log.start || term === undefined) return;
    const meta: SnapshotMeta = {
      index: this.#appliedIndex,
      term,
      membership: this.#membership,
      machineVersion: this.#version,
    };
    this.#storeSnapshot(meta, this.#hash);
    this.deliver({ type: "snapshot_taken", snapshot: meta });
  }

  #storeSnapshot(meta: SnapshotMeta, hash: number): void {
    this.disk.snapshot = { meta, hash };
    this.disk.log.startBehind(meta.index, meta.term);
    this.log.startBehind(meta.index, meta.term);
  }

  deliver(event: RaftEvent): void {
    if (!this.#up) return;
    this.#events.push(event);
    if (this.#stepping) return;
    this.#stepping = true;
    for (let i = 0; i < this.#events.length && this.#up; i++) {
      const next = this.#events[i] as RaftEvent;
      this.#world.trace(() => `${this.node} < ${eventText(next)}`);
      stepRaft(this.raft, next, this.#effects);
      this.#performAll();
    }
    this.#events.length = 0;
    this.#stepping = false;
    this.#checkLog();
  }

  #checkLog(): void {
    const { raft, log, disk } = this;
    const { rules } = this.#world;
    rules.promise(
      raft.lastIndex === log.last && raft.log.lastTerm === log.termAt(log.last),
      "The core knows its log",
      `${this.node} takes ${raft.lastIndex} for ${log.last}`,
    );
    rules.promise(
      raft.log.durableIndex <= disk.log.last,
      "The core knows its disk",
      `${this.node} takes ${raft.log.durableIndex} for ${disk.log.last}`,
    );
  }

  #performAll(): void {
    for (let i = 0; i < this.#effects.length; i++) {
      const effect = this.#effects[i] as RaftEffect;
      this.#world.trace(() => `${this.node} > ${effectText(effect)}`);
      this.#perform(effect);
    }
    this.#effects.length = 0;
  }

  #perform(effect: RaftEffect): void {
    const { rules } = this.#world;
    switch (effect.type) {
      case "set_election_timer": {
        const timer = ++this.#timer;
        this.#world.electionTimer(effect.afterMs, () => {
          if (timer === this.#timer) this.deliver({ type: "election_timeout" });
        });
        return;
      }
      case "clear_election_timer":
        this.#timer++;
        return;
      case "persist_vote":
        this.disk.pending.push({
          type: "vote",
          term: effect.term,
          votedFor: effect.votedFor,
        });
        this.syncSoon();
        return;
      case "append":
        this.#append(effect.entries);
        return;
      case "send":
        rules.says(this.node, this.disk, effect.to, effect.message);
        this.#send(effect.to, effect.message);
        return;
      case "send_entries":
        this.#sendEntries(effect);
        return;
      case "send_snapshot":
        this.#offerSnapshot(effect.to, effect.term);
        return;
      case "receive_snapshot":
        this.receiving = { transfer: effect.transfer, aborted: false };
        this.#world.fetchSnapshot(effect.from, this.node, effect.transfer);
        return;
      case "abort_snapshot":
        if (this.receiving !== undefined) this.receiving.aborted = true;
        return;
      case "commit":
        this.#apply(effect.index);
        return;
      case "tell_commit_soon":
        this.#world.commitTimer(() => this.deliver({ type: "tell_commit" }));
        return;
      case "role_changed":
        this.#proposed.clear();
        if (effect.role === "leader") {
          rules.leads(`${this.node}/${this.disk.uid}`, effect.term, this.log);
        }
        return;
      case "membership_changed":
        return;
      case "proposals_refused":
        this.#offered = [];
        return;
      case "change_begun":
        this.outcomes.set(effect.request, "begun");
        return;
      case "request_refused":
        this.outcomes.set(effect.request, effect.reason);
        return;
      case "transfer_ended":
        this.outcomes.set(effect.request, effect.ok ? "transferred" : "kept");
        return;
      case "read_ready": {
        const since = this.#reads.get(effect.round);
        rules.promise(
          since !== undefined,
          "A read is answered once",
          `${this.node} ${effect.round}`,
        );
        this.#reads.delete(effect.round);
        rules.readAt(this.node, effect.index, since as number);
        this.reads++;
        return;
      }
      case "read_refused":
        rules.promise(
          this.#reads.delete(effect.round),
          "A read is answered once",
          `${this.node} ${effect.round}`,
        );
        return;
      default:
        return effect satisfies never;
    }
  }

  #send(to: string, message: RaftMessage): void {
    this.#world.send(this.node, this.disk.uid, to, message);
  }

  #append(entries: readonly RaftEntry[]): void {
    const { rules } = this.#world;
    const first = (entries[0] as RaftEntry).index;
    let prevTerm = this.log.termAt(first - 1);
    rules.promise(
      prevTerm !== undefined,
      "Logs have no gaps",
      `${this.node} appends ${first} behind ${this.log.last}`,
    );
    for (const entry of entries) {
      rules.appended(this.node, entry, prevTerm as number);
      prevTerm = entry.term;
    }
    if (this.leads) {
      rules.promise(
        first === this.log.last + 1,
        "A leader only appends",
        `${this.node} overwrites ${first}`,
      );
      this.#offered.forEach((body, i) => {
        const entry = entries[i] as RaftEntry;
        if (entry.body === body) this.#proposed.set(entry.index, entry.term);
      });
      this.#offered = [];
    }
    this.log.put(entries);
    this.disk.pending.push({ type: "entries", entries });
    this.syncSoon();
  }

  /** One sync for all that is written until it begins. */
  syncSoon(): void {
    if (this.#syncing || this.stalled) return;
    this.#syncing = true;
    const count = this.disk.pending.length;
    this.#world.sync(() => {
      if (!this.#up) return;
      this.#syncing = false;
      if (this.stalled) return;
      this.#synced(count);
      if (this.disk.pending.length > 0) this.syncSoon();
    });
  }

  #synced(count: number): void {
    const { disk } = this;
    const before = disk.log.last;
    const votes = disk.sync(count);
    const { settled } = disk;
    const term = disk.log.termAt(settled);
    if (
      settled > 0 && term !== undefined && (settled !== before || count > 0)
    ) {
      this.deliver({ type: "written", index: settled, term });
    }
    for (const { term, votedFor } of votes) {
      this.deliver({ type: "vote_persisted", term, votedFor });
    }
  }

  #sendEntries(effect: SendEntries): void {
    const { first, last, prevTerm } = effect;
    const { rules } = this.#world;
    rules.promise(
      this.log.termAt(first - 1) === prevTerm && last <= this.log.last,
      "A leader knows what it sends",
      `${this.node} sends ${first} behind ${prevTerm}`,
    );
    this.#world.readEntries(() => this.#sendRead(effect));
  }

  /** Sends what was asked for, if the term is still that one and the entries are still there. */
  #sendRead(
    { term, first, last, prevTerm, commitIndex, to }: SendEntries,
  ): void {
    if (this.raft.term !== term) return;
    if (first <= this.log.start) {
      this.deliver({ type: "entries_missing", to });
      return;
    }
    const entries: RaftEntry[] = [];
    for (let index = first; index <= last; index++) {
      entries.push(this.log.at(index) as RaftEntry);
    }
    // Entries go in as many messages as their size demands.
    let sent = 0;
    do {
      const part = entries.slice(sent, sent + this.#world.messageEntries());
      this.#send(to, {
        type: "append",
        term,
        prevIndex: first - 1 + sent,
        prevTerm: entries[sent - 1]?.term ?? prevTerm,
        commitIndex,
        entries: part,
      });
      sent += part.length;
    } while (sent < entries.length);
  }

  #offerSnapshot(to: string, term: number): void {
    const { snapshot } = this.disk;
    const transfer = ++this.#transfers;
    this.#world.transferTimer(() => this.snapshotSent(transfer, 0, false));
    if (snapshot === undefined) {
      throw new Error("What is gone from a log is in a snapshot");
    }
    const { meta, hash } = snapshot;
    this.#outgoing.set(transfer, { to, snapshot: meta, hash });
    this.#send(to, {
      type: "install_snapshot",
      term,
      snapshot: meta,
      transfer,
    });
  }

  outgoing(transfer: number): Outgoing | undefined {
    return this.#outgoing.get(transfer);
  }

  snapshotSent(transfer: number, index: number, ok: boolean): void {
    const outgoing = this.#outgoing.get(transfer);
    if (outgoing === undefined) return;
    this.#outgoing.delete(transfer);
    this.deliver({ type: "snapshot_sent", to: outgoing.to, index, ok });
  }

  /** A snapshot has arrived, or failed to; false if it is no longer wanted. */
  snapshotCame(
    transfer: number,
    meta: SnapshotMeta | undefined,
    hash: number,
  ): boolean {
    const { receiving } = this;
    if (receiving?.transfer !== transfer) return false;
    this.receiving = undefined;
    const snapshot = meta ?? NO_SNAPSHOT;
    if (meta === undefined || receiving.aborted) {
      this.deliver({ type: "snapshot_received", snapshot, ok: false });
      return false;
    }
    // What was appended before is durable or gone when the snapshot is.
    this.#synced(this.disk.pending.length);
    this.#storeSnapshot(meta, hash);
    this.#appliedIndex = meta.index;
    this.#hash = hash;
    this.#version = meta.machineVersion;
    this.#membership = meta.membership;
    this.#world.rules.applied(this.node, meta.index, hash);
    this.deliver({ type: "snapshot_received", snapshot: meta, ok: true });
    return true;
  }

  #apply(commitIndex: number): void {
    const { rules } = this.#world;
    while (this.#appliedIndex < commitIndex) {
      const index = ++this.#appliedIndex;
      const entry = this.log.at(index);
      if (entry === undefined) {
        throw new Error(`${this.node} commits ${index}, which it has not`);
      }
      rules.commits(this.node, this.raft.term, entry);
      this.#hash = hashed(this.#hash, entry);
      switch (kindOfEntry(entry.body)) {
        case EntryKind.membership:
          this.#membership = membershipOf(entry);
          break;
        case EntryKind.noop: {
          const data = dataOfEntry(entry.body);
          if (data.length !== VERSION_BYTES) throw new Error("No version");
          const version = (data[0] as number) * 256 + (data[1] as number);
          this.#version = Math.max(version, this.#version);
          break;
        }
      }
      rules.applied(this.node, index, this.#hash);
      if (this.#proposed.get(index) === entry.term) {
        this.#proposed.delete(index);
        rules.acknowledge(entry);
      }
    }
    this.deliver({
      type: "applied",
      index: this.#appliedIndex,
      machineVersion: this.#version,
    });
  }
}

const NO_SNAPSHOT: SnapshotMeta = {
  index: 0,
  term: 0,
  membership: { index: 0, members: [] },
  machineVersion: 0,
};

function hashed(hash: number, { term, body }: RaftEntry): number {
  let next = Math.imul(hash ^ term, 0x01000193);
  for (const byte of body) next = Math.imul(next ^ byte, 0x01000193);
  return next >>> 0;
}
