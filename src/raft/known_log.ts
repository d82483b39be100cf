/**
 * What the core knows of its log without having it: where it begins and ends,
 * the term of each entry, how far it is durable, and what the entries say that
 * counts as soon as they are there: who the members are (thesis 4.1) and which
 * version of the machine is in force. When entries are overwritten, what they
 * said no longer holds.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import { dataOfEntry, entryBody, kindOfEntry } from "./entry_body.ts";
import { LogTerms } from "./log_terms.ts";
import { membershipOf } from "./membership.ts";
import {
  EntryKind,
  type Membership,
  type RaftEntry,
  type SnapshotMeta,
} from "./raft_entry.ts";
import type { RaftStart } from "./raft_events.ts";

interface VersionFrom {
  readonly index: number;
  readonly version: number;
}

/** The body of a leader's first entry. No machine sees it, so it tells no time. */
export function noopBody(machineVersion: number): Uint8Array<ArrayBuffer> {
  return entryBody(
    EntryKind.noop,
    0,
    Uint8Array.of(machineVersion >>> 8, machineVersion),
  );
}

/** The log of one member; changes in place. */
export class KnownLog {
  readonly terms: LogTerms;
  /** All entries up to here survive a crash. */
  durableIndex: number;
  /** Those as of the start, then each that an entry brought. Never empty. */
  #memberships: Membership[];
  /** The same of versions, each higher than the one before. */
  #versions: VersionFrom[];

  constructor(start: RaftStart) {
    const { snapshot, initial, lastIndex, terms, memberships } = start;
    this.terms = new LogTerms(
      snapshot?.index,
      snapshot?.term,
      lastIndex,
      terms,
    );
    this.durableIndex = lastIndex;
    this.#memberships = [snapshot?.membership ?? initial, ...memberships];
    this.#versions = [{
      index: snapshot?.index ?? 0,
      version: snapshot?.machineVersion ?? 0,
    }];
  }

  get lastIndex(): number {
    return this.terms.lastIndex;
  }

  get lastTerm(): number {
    return this.terms.lastTerm;
  }

  /** The members of the last entry that brought some. */
  get membership(): Membership {
    return this.#memberships.at(-1) as Membership;
  }

  /** Those before them, or the same if nothing is known of any. */
  get membershipBefore(): Membership {
    return this.#memberships.at(-2) ?? this.membership;
  }

  /** The highest version that an entry has brought, as far as is known. */
  get machineVersion(): number {
    return (this.#versions.at(-1) as VersionFrom).version;
  }

  /**
   * Whether a log with such a last entry has all that this one has, as far as a
   * vote goes (paper, 5.4.1).
   */
  isNoNewerThan(lastIndex: number, lastTerm: number): boolean {
    return lastTerm > this.lastTerm ||
      lastTerm === this.lastTerm && lastIndex >= this.lastIndex;
  }

  /**
   * Puts `entries` from the one at `from` on into the log, over what stands
   * there. Says whether the members may be others now.
   *
   * @throws {WhorlError} `protocol_error` if they are no log, or one says nothing readable; then nothing has changed.
   */
  append(entries: readonly RaftEntry[], from: number): boolean {
    let memberships: Membership[] | undefined;
    let versions: VersionFrom[] | undefined;
    const first = entries[from] as RaftEntry;
    let index = first.index;
    let term = this.terms.termAt(index - 1) ?? Infinity;
    for (let i = from; i < entries.length; i++) {
      const entry = entries[i] as RaftEntry;
      if (entry.index !== index++ || entry.term < term) throw outOfOrder(entry);
      term = entry.term;
      const kind = kindOfEntry(entry.body);
      if (kind === EntryKind.command) continue;
      if (kind === EntryKind.membership) {
        (memberships ??= []).push(membershipOf(entry));
      } else if (kind === EntryKind.noop) {
        (versions ??= []).push(versionFrom(entry));
      } else {
        throw new WhorlError(
          "protocol_error",
          `Cannot take entry ${entry.index}: its kind is ${kind}`,
        );
      }
    }
    let changed = first.index <= this.terms.lastIndex &&
      this.#truncate(first.index);
    for (let i = from; i < entries.length; i++) {
      this.terms.push((entries[i] as RaftEntry).term);
    }
    if (memberships !== undefined) {
      this.#memberships.push(...memberships);
      changed = true;
    }
    for (const version of versions ?? []) this.#raiseVersion(version);
    return changed;
  }

  /** The machine of this member runs by `version` as of `index`: entries up to there have brought it. */
  noteVersion(index: number, version: number): void {
    if (version > this.machineVersion) this.#raiseVersion({ index, version });
  }

  /** Entries up to `index` are durable, if it is still this log's. */
  written(index: number, term: number): boolean {
    if (index <= this.durableIndex || this.terms.termAt(index) !== term) {
      return false;
    }
    this.durableIndex = index;
    return true;
  }

  /** A snapshot of this log, or one that took its place, stands for what is up to its index. */
  startBehind(snapshot: SnapshotMeta): void {
    const { index, term, membership, machineVersion } = snapshot;
    const agrees = this.terms.termAt(index) === term;
    const behind = (fact: { readonly index: number }): boolean =>
      agrees && fact.index > index;
    this.terms.startBehind(index, term);
    this.#memberships = [membership, ...this.#memberships.filter(behind)];
    this.#versions = [
      { index, version: machineVersion },
      ...this.#versions.filter(behind),
    ];
    this.durableIndex = agrees ? Math.max(this.durableIndex, index) : index;
  }

  #truncate(index: number): boolean {
    this.terms.truncate(index);
    this.durableIndex = Math.min(this.durableIndex, index - 1);
    const before = this.#memberships.length;
    while (this.#memberships.length > 1 && this.membership.index >= index) {
      this.#memberships.pop();
    }
    while (
      this.#versions.length > 1 &&
      (this.#versions.at(-1) as VersionFrom).index >= index
    ) this.#versions.pop();
    return this.#memberships.length < before;
  }

  #raiseVersion(from: VersionFrom): void {
    if (from.version > this.machineVersion) this.#versions.push(from);
  }
}

function outOfOrder({ index, term }: RaftEntry): WhorlError {
  return new WhorlError(
    "protocol_error",
    `Cannot take entry ${index}: it is of term ${term} and does not follow those before it`,
  );
}

function versionFrom(entry: RaftEntry): VersionFrom {
  const data = dataOfEntry(entry.body);
  if (data.length < 2) {
    throw new WhorlError(
      "protocol_error",
      `Cannot take entry ${entry.index}: it tells no version`,
    );
  }
  const version = (data[0] as number) << 8 | (data[1] as number);
  return { index: entry.index, version };
}
