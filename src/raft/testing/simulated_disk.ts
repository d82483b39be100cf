/**
 * The log of one member on a disk: what is written becomes durable in order,
 * with a later sync, and what was not synced may be lost in a crash.
 *
 * @module
 */
import type { Membership, RaftEntry, SnapshotMeta } from "../raft_entry.ts";
import { kindOfEntry } from "../entry_body.ts";
import type { TermRun } from "../log_terms.ts";
import { membershipOf } from "../membership.ts";
import { EntryKind } from "../raft_entry.ts";

type Write =
  | {
    readonly type: "vote";
    readonly term: number;
    readonly votedFor: string | undefined;
  }
  | { readonly type: "entries"; readonly entries: readonly RaftEntry[] };

/** What a snapshot holds besides what it is. */
export interface StoredSnapshot {
  readonly meta: SnapshotMeta;
  readonly hash: number;
}

/** The entries behind a snapshot. */
export class EntryList {
  start = 0;
  startTerm = 0;
  entries: RaftEntry[] = [];

  get last(): number {
    return this.start + this.entries.length;
  }

  at(index: number): RaftEntry | undefined {
    return index <= this.start
      ? undefined
      : this.entries[index - this.start - 1];
  }

  termAt(index: number): number | undefined {
    return index === this.start ? this.startTerm : this.at(index)?.term;
  }

  put(entries: readonly RaftEntry[]): void {
    const first = (entries[0] as RaftEntry).index;
    if (first > this.last + 1) throw new Error(`A gap before ${first}`);
    if (first <= this.start) throw new Error(`${first} is in the snapshot`);
    this.entries.length = first - this.start - 1;
    this.entries.push(...entries);
  }

  startBehind(index: number, term: number): void {
    const agrees = this.termAt(index) === term;
    this.entries = agrees ? this.entries.slice(index - this.start) : [];
    this.start = index;
    this.startTerm = term;
  }

  copy(): EntryList {
    const list = new EntryList();
    list.start = this.start;
    list.startTerm = this.startTerm;
    list.entries = [...this.entries];
    return list;
  }
}

/** See the module comment. */
export class SimulatedDisk {
  readonly uid: number;
  readonly initial: Membership;
  term = 0;
  votedFor: string | undefined;
  log = new EntryList();
  snapshot: StoredSnapshot | undefined;
  /** Written and not durable. */
  pending: Write[] = [];

  constructor(uid: number, initial: Membership) {
    this.uid = uid;
    this.initial = initial;
  }

  /** Makes the first `count` writes durable, and says which votes were among them. */
  sync(count: number): Extract<Write, { readonly type: "vote" }>[] {
    const votes: Extract<Write, { readonly type: "vote" }>[] = [];
    for (const write of this.pending.splice(0, count)) {
      if (write.type === "vote") {
        this.term = write.term;
        this.votedFor = write.votedFor;
        votes.push(write);
      } else {
        // A snapshot may have been stored since: it stands for the first of them.
        const entries = write.entries.filter(({ index }) =>
          index > this.log.start
        );
        if (entries.length > 0) this.log.put(entries);
      }
    }
    return votes;
  }

  /** The last index that is durable and that nothing pending will overwrite. */
  get settled(): number {
    let index = this.log.last;
    for (const write of this.pending) {
      if (write.type === "vote") continue;
      index = Math.min(index, (write.entries[0] as RaftEntry).index - 1);
    }
    return Math.max(index, this.log.start);
  }

  /** What is there after all that was not durable is gone. */
  get terms(): readonly TermRun[] {
    const runs: TermRun[] = [];
    for (const { index, term } of this.log.entries) {
      if (runs.at(-1)?.term !== term) runs.push({ first: index, term });
    }
    return runs;
  }

  /** The members as of the last entry. */
  get membership(): Membership {
    return this.memberships.at(-1) ?? this.snapshot?.meta.membership ??
      this.initial;
  }

  get memberships(): readonly Membership[] {
    return this.log.entries
      .filter(({ body }) => kindOfEntry(body) === EntryKind.membership)
      .map(membershipOf);
  }
}
