/**
 * The log of one group as it is kept: what of it is in memory and not in
 * segments yet, which segments there are, and its snapshot. The write-ahead log
 * makes durable what is put in here; the segments take it over later.
 *
 * @module
 */
import { ByteReader } from "../../base/byte_reader.ts";
import { WhorlError } from "../../base/errors.ts";
import { readMembership } from "../membership_codec.ts";
import {
  ENTRY_HEADER_BYTES,
  EntryKind,
  type Membership,
  type RaftEntry,
  type SnapshotMeta,
} from "../raft_entry.ts";
import type { GroupManifest } from "./group_manifest_codec.ts";
import { Memtable } from "./memtable.ts";
import type {
  GroupConfig,
  GroupLog,
  GroupLogEvents,
  GroupLogOverview,
  RecoveredGroup,
  SnapshotReceiver,
} from "./raft_log.ts";
import { TermRuns } from "./term_runs.ts";
import type { Wal, WalBatch, WalGroup } from "./wal.ts";

/** So many entries have to be applied before it is noted again. */
const APPLIED_NOTED_EVERY = 256;

/** Whether an entry is one of the kind `membership`. */
export function isMembership(body: Uint8Array, offset: number): boolean {
  return body[offset] === EntryKind.membership;
}

/** The members that an entry of the kind `membership` says. */
export function membershipOf({ index, body }: RaftEntry): Membership {
  const { members } = readMembership(
    new ByteReader(body, ENTRY_HEADER_BYTES),
  );
  return { index, members };
}

/** One group's log. */
export class StoredGroupLog implements GroupLog, WalGroup {
  readonly config: GroupConfig;
  readonly uid: number;
  batch: WalBatch | undefined;
  place = 0;
  readonly #wal: () => Wal;
  readonly #walFloor: number;
  #term: number;
  #votedFor: string | undefined;
  #appliedIndex: number;
  #appliedNoted: number;
  #damaged: boolean;
  #snapshot: SnapshotMeta | undefined;
  #runs = new TermRuns();
  #memtable = new Memtable();
  #memberships: number[] = [];
  #lastIndex: number;
  #durableIndex = 0;
  #events: GroupLogEvents | undefined;
  #recovered: RecoveredGroup | undefined;

  /** @param wal Where its records go, once that is open. */
  constructor(manifest: GroupManifest, wal: () => Wal) {
    this.config = manifest.config;
    this.uid = manifest.config.uid;
    this.#wal = wal;
    this.#walFloor = manifest.walFloor;
    this.#term = manifest.term;
    this.#votedFor = manifest.votedFor;
    this.#appliedIndex = this.#appliedNoted = manifest.appliedIndex;
    this.#damaged = manifest.damaged;
    this.#snapshot = manifest.snapshot;
    this.#lastIndex = this.#snapshotIndex;
  }

  // What was found on the disk.

  /** Takes an entry from the batch `number` of the write-ahead log. */
  replayEntry(
    number: number,
    index: number,
    term: number,
    bytes: Uint8Array<ArrayBuffer>,
    offset: number,
    length: number,
    crc: number,
  ): void {
    if (number < this.#walFloor) return;
    if (index > this.#lastIndex + 1) {
      this.#damaged = true;
      return;
    }
    this.#cutFrom(index);
    this.#push(index, term, bytes, offset, length, crc, undefined);
  }

  /** Takes a vote from there. */
  replayVote(number: number, term: number, votedFor: string | undefined): void {
    if (number < this.#walFloor) return;
    if (term > this.#term) this.#votedFor = votedFor;
    else if (term === this.#term) this.#votedFor ??= votedFor;
    else return;
    this.#term = term;
  }

  /** Takes note how far the machine had come. */
  replayApplied(index: number): void {
    this.#appliedIndex = Math.max(this.#appliedIndex, index);
    this.#appliedNoted = this.#appliedIndex;
  }

  /** Something that was acknowledged is not there. */
  noteDamage(): void {
    this.#damaged = true;
  }

  /** Whether something that was acknowledged is not there. */
  get damaged(): boolean {
    return this.#damaged;
  }

  /** Whether somebody has it open. */
  get isOpen(): boolean {
    return this.#events !== undefined;
  }

  /** Begins to tell `events`. Everything in it is durable. */
  open(events: GroupLogEvents): void {
    this.#events = events;
    this.#durableIndex = this.#lastIndex;
    this.#recovered = {
      term: this.#term,
      votedFor: this.#votedFor,
      snapshot: this.#snapshot,
      lastIndex: this.#lastIndex,
      terms: [...this.#runs.runs],
      memberships: this.#memberships.map((index) =>
        membershipOf(this.#memtable.entry(index) as RaftEntry)
      ),
      appliedIndex: Math.min(
        Math.max(this.#appliedIndex, this.#snapshotIndex),
        this.#lastIndex,
      ),
      damaged: this.#damaged,
    };
  }

  // What its user sees.

  get recovered(): RecoveredGroup {
    if (this.#recovered === undefined) throw this.#closedError();
    return this.#recovered;
  }

  get snapshot(): SnapshotMeta | undefined {
    return this.#snapshot;
  }

  get #snapshotIndex(): number {
    return this.#snapshot?.index ?? 0;
  }

  get lastIndex(): number {
    return this.#lastIndex;
  }

  get lastTerm(): number {
    return this.termAt(this.#lastIndex) ?? 0;
  }

  append(entries: readonly RaftEntry[]): void {
    const first = entries[0]?.index;
    if (first === undefined) return;
    this.#demandOpen();
    if (first > this.#lastIndex + 1 || first <= this.#snapshotIndex) {
      throw new RangeError(
        `Cannot append the entry at ${first} as it must follow the snapshot at ${this.#snapshotIndex} and leave no gap: the last one is at ${this.#lastIndex}`,
      );
    }
    if (first <= this.#lastIndex) this.#cutFrom(first);
    const wal = this.#wal();
    for (const entry of entries) {
      const { index, term, body } = entry;
      if (index !== this.#lastIndex + 1) {
        throw new RangeError(
          `Cannot append the entry at ${index} as entries must follow one another: the one before it is at ${this.#lastIndex}`,
        );
      }
      wal.putEntry(this, index, term, body);
      this.#push(
        index,
        term,
        wal.lastSlab,
        wal.lastOffset,
        body.length,
        wal.lastCrc,
        entry,
      );
    }
  }

  #push(
    index: number,
    term: number,
    slab: Uint8Array<ArrayBuffer>,
    offset: number,
    length: number,
    crc: number,
    entry: RaftEntry | undefined,
  ): void {
    this.#memtable.push(index, term, slab, offset, length, crc, entry);
    this.#runs.push(index, term);
    if (isMembership(slab, offset)) this.#memberships.push(index);
    this.#lastIndex = index;
  }

  /** The entries from `index` on are gone. */
  #cutFrom(index: number): void {
    if (index > this.#lastIndex) return;
    this.#memtable.cutFrom(index);
    this.#runs.cutFrom(index);
    while ((this.#memberships.at(-1) ?? 0) >= index) this.#memberships.pop();
    this.#lastIndex = index - 1;
    this.#durableIndex = Math.min(this.#durableIndex, index - 1);
  }

  onDurable(index: number, term: number): void {
    // What was put in its place since then is durable with a later batch.
    if (this.termAt(index) !== term || index <= this.#durableIndex) return;
    this.#durableIndex = index;
    this.#events?.onWritten(index, term);
  }

  /** Tells its user that the disk refuses. */
  onFailed(error: WhorlError): void {
    this.#events?.onFailed(error);
  }

  saveVote(term: number, votedFor: string | undefined, then: () => void): void {
    this.#demandOpen();
    this.#term = term;
    this.#votedFor = votedFor;
    const events = this.#events;
    this.#wal().putVote(this, term, votedFor, () => {
      if (this.#events === events) then();
    });
  }

  noteApplied(index: number): void {
    if (index <= this.#appliedIndex) return;
    this.#appliedIndex = index;
    if (index < this.#appliedNoted + APPLIED_NOTED_EVERY) return;
    this.#appliedNoted = index;
    this.#wal().putApplied(this, index);
  }

  termAt(index: number): number | undefined {
    if (index > this.#lastIndex) return undefined;
    if (index > this.#snapshotIndex) return this.#runs.at(index);
    return index === this.#snapshotIndex ? this.#snapshot?.term : undefined;
  }

  entryInMemory(index: number): RaftEntry | undefined {
    return this.#memtable.entry(index);
  }

  entries(
    first: number,
    last: number,
    bytesMax: number,
  ): readonly RaftEntry[] | Promise<readonly RaftEntry[]> {
    const end = Math.min(last, this.#lastIndex);
    const found: RaftEntry[] = [];
    let bytes = 0;
    for (let index = first; index <= end; index++) {
      const entry = this.#memtable.entry(index);
      if (entry === undefined) throw this.#compactedError(index);
      bytes += entry.body.length;
      if (bytes > bytesMax && found.length > 0) break;
      found.push(entry);
    }
    return found;
  }

  read(
    indexes: readonly number[],
  ): ReadonlyMap<number, RaftEntry> | Promise<ReadonlyMap<number, RaftEntry>> {
    const found = new Map<number, RaftEntry>();
    for (const index of indexes) {
      const entry = this.#memtable.entry(index);
      if (entry !== undefined) found.set(index, entry);
    }
    return found;
  }

  takeSnapshot(): Promise<void> {
    return Promise.reject(new Error("Snapshots are not here yet"));
  }

  readSnapshot(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  receiveSnapshot(): Promise<SnapshotReceiver> {
    return Promise.reject(new Error("Snapshots are not here yet"));
  }

  compact(): Promise<void> {
    return Promise.resolve();
  }

  overview(): GroupLogOverview {
    return {
      firstIndex: this.#snapshotIndex + 1,
      lastIndex: this.#lastIndex,
      durableIndex: this.#durableIndex,
      snapshotIndex: this.#snapshotIndex,
      entriesInMemory: this.#memtable.count,
      segments: 0,
      segmentBytes: 0,
      liveEntries: 0,
    };
  }

  async close(): Promise<void> {
    if (this.#events === undefined) return;
    const wal = this.#wal();
    if (this.#appliedNoted < this.#appliedIndex && wal.failure === undefined) {
      this.#appliedNoted = this.#appliedIndex;
      wal.putApplied(this, this.#appliedIndex);
    }
    try {
      await wal.written();
    } catch (error) {
      // It was told by `onFailed`, and there is nothing more to be done about it.
      if (wal.failure === undefined) throw error;
    }
    this.#events = undefined;
  }

  #demandOpen(): void {
    if (this.#events === undefined) throw this.#closedError();
  }

  #closedError(): WhorlError {
    return new WhorlError(
      "closed",
      `Cannot use the log of ${this.config.name} as it is not open`,
      { details: { group: this.config.name } },
    );
  }

  #compactedError(index: number): WhorlError {
    return new WhorlError(
      "compacted",
      `Cannot read the entry at ${index} of ${this.config.name} as it is not in its log any more`,
      { details: { group: this.config.name, index } },
    );
  }
}
