/**
 * An entry of a Raft log, and the members it is agreed upon by.
 *
 * The body of an entry is encoded once, where it is proposed: the same bytes
 * travel to the other members and go to every disk.
 *
 *     body   u8 kind · u48 time, milliseconds since 1970 · data
 *
 * @module
 */

/** What an entry is. Numbers are part of the formats on the wire and on disk. */
export const EntryKind = {
  /** A leader's first entry; its data is `u16`, the version of the machine from here on. */
  noop: 1,
  /** A command to the machine, which alone knows what its data mean. */
  command: 2,
  /** The members from here on, as `membership_codec.ts` writes them. */
  membership: 3,
} as const;

/** One of {@linkcode EntryKind}. */
export type EntryKind = typeof EntryKind[keyof typeof EntryKind];

/** Bytes of a body before its data. */
export const ENTRY_HEADER_BYTES = 7;

/** A place in a log with what stands there. */
export interface RaftEntry {
  /** From 1. */
  readonly index: number;
  /** Term of the leader that proposed it. */
  readonly term: number;
  /** See the module's text; never changed. */
  readonly body: Uint8Array<ArrayBuffer>;
}

/** What a member counts for. */
export type MemberKind =
  /** Votes, and counts towards majorities. */
  | "voter"
  /** Becomes a voter when its log has reached `target`. */
  | "promotable"
  /** Gets the log and neither votes nor counts. */
  | "non_voter";

/** One member of a group. */
export interface Member {
  /** Name of its node; a node has at most one member of a group. */
  readonly node: string;
  /**
   * Number of this life of the member, below 2^48. A member whose log is lost
   * comes back under another number, and what it says does not count for the old one.
   */
  readonly uid: number;
  /** What it counts for. */
  readonly kind: MemberKind;
  /** Of a `promotable` one: the index from which on it votes. Otherwise 0. */
  readonly target: number;
}

/** The members of a group, ordered by node. */
export interface Membership {
  /** Index of the entry that made it so; 0 for the members a group starts with. */
  readonly index: number;
  readonly members: readonly Member[];
}

/** What stands for the log up to, and with, an index. */
export interface SnapshotMeta {
  readonly index: number;
  readonly term: number;
  /** The members as of `index`. */
  readonly membership: Membership;
  /** Version of the machine as of `index`. */
  readonly machineVersion: number;
}
