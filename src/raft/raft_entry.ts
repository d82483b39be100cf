/**
 * Entries of a Raft log, and the members of a group.
 *
 * The body of an entry is encoded once, where it is proposed: the same bytes
 * are sent to the other members and stored on every disk.
 *
 *     body   u8 kind · u48 time, milliseconds since 1970 · data
 *
 * @module
 */

/** Kinds of entries. The numbers are part of the wire and disk formats. */
export const EntryKind = {
  /** A leader's first entry; its data is a `u16`, the version of the machine from here on. */
  noop: 1,
  /** A command to the machine; its data are opaque to Raft. */
  command: 2,
  /** The members from here on, encoded by `membership_codec.ts`. */
  membership: 3,
} as const;

/** One of {@linkcode EntryKind}. */
export type EntryKind = typeof EntryKind[keyof typeof EntryKind];

/** Bytes of a body before its data. */
export const ENTRY_HEADER_BYTES = 7;

/** An entry with its position in the log. */
export interface RaftEntry {
  /** From 1. */
  readonly index: number;
  /** Term of the leader that proposed it. */
  readonly term: number;
  /** See the module comment; never changed. */
  readonly body: Uint8Array<ArrayBuffer>;
}

/** A member's part in elections and majorities. */
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
   * Identifies this incarnation of the member; below 2^48. A member that lost
   * its log comes back with another uid, and its messages do not count for the
   * old one.
   */
  readonly uid: number;
  /** Whether it votes. */
  readonly kind: MemberKind;
  /** For a `promotable` member, the log index at which it becomes a voter. Otherwise 0. */
  readonly target: number;
}

/** The members of a group, ordered by node. */
export interface Membership {
  /** Index of its entry; 0 for the members a group starts with. */
  readonly index: number;
  readonly members: readonly Member[];
}

/** Describes a snapshot, which replaces the log up to and including `index`. */
export interface SnapshotMeta {
  readonly index: number;
  readonly term: number;
  /** The members as of `index`. */
  readonly membership: Membership;
  /** Version of the machine as of `index`. */
  readonly machineVersion: number;
}
