/**
 * What the core knows about its log without holding it: where it begins and
 * ends, the term of each entry, how far it is durable, and what takes effect as
 * soon as an entry is appended: the members (thesis 4.1) and the version of the
 * machine. Overwriting entries undoes their effect.
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

/** The body of a leader's first entry. No machine sees it, so it has no time. */
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
  /** The members at the start of the log, then those of each membership entry. Never empty. */
  #memberships: Membership[];
  /** The same for versions, each higher than the one before. */
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

  /** The members of the last membership entry. */
  get membership(): Membership {
    return this.#memberships.at(-1) as Membership;
  }

  /** The members before those, or the same if they are unknown. */
  get membershipBefore(): Membership {
    return this.#memberships.at(-2) ?? this.membership;
  }

  /** The highest known version of the machine in the log. */
  get machineVersion(): number {
    return (this.#versions.at(-1) as VersionFrom).version;
  }

  /**
   * Whether a log with this last entry is at least as up to date as this one
   * (paper, 5.4.1).
   */
  isNoNewerThan(lastIndex: number, lastTerm: number): boolean {
    return lastTerm > this.lastTerm ||
      lastTerm === this.lastTerm && lastIndex >= this.lastIndex;
  }

  /**
   * Appends `entries`, starting with the one at position `from`, and overwrites
   * what is there. Returns whether the members may have changed.
   *
   * @throws {WhorlError} `protocol_error` if they are out of order or
   * unreadable; then nothing has changed.
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

  /** The machine of this member runs version `version` as of `index`. */
  noteVersion(index: number, version: number): void {
    if (version > this.machineVersion) this.#raiseVersion({ index, version });
  }

  /** Marks entries up to `index` as durable, unless they have been overwritten. */
  written(index: number, term: number): boolean {
    if (index <= this.durableIndex || this.terms.termAt(index) !== term) {
      return false;
    }
    this.durableIndex = index;
    return true;
  }

  /** The log now begins behind `snapshot`, whether taken from this log or replacing it. */
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
