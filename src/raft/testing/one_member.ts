/**
 * One Raft member under test: events in, effects out as lines. Nodes are `a`,
 * `b`, `c` and so on, whose members have the uids 1, 2, 3.
 *
 * @module
 */
import { seededChance } from "../../base/chance.ts";
import { entryBody } from "../entry_body.ts";
import { noopBody } from "../known_log.ts";
import type { TermRun } from "../log_terms.ts";
import { membershipBody } from "../membership.ts";
import {
  EntryKind,
  type Member,
  type MemberKind,
  type Membership,
  type RaftEntry,
  type SnapshotMeta,
} from "../raft_entry.ts";
import {
  createRaft,
  type Proposal,
  type RaftEffect,
  type RaftEvent,
  type RaftState,
  stepRaft,
} from "../raft_fsm.ts";
import type { RaftMessage } from "../raft_message.ts";
import { effectText } from "./raft_text.ts";

/** The uid of the member on `node`, unless a test says otherwise. */
export function uidOf(node: string): number {
  return node.charCodeAt(0) - "a".charCodeAt(0) + 1;
}

/** A member on `node` with its usual uid. */
export function memberOf(
  node: string,
  kind: MemberKind = "voter",
  target = 0,
): Member {
  return { node, uid: uidOf(node), kind, target };
}

/** Voters on all of `nodes`, which are letters. */
export function votersOn(nodes: string, index = 0): Membership {
  return { index, members: [...nodes].map((node) => memberOf(node)) };
}

/** A command. */
export function command(): Proposal {
  return {
    kind: EntryKind.command,
    body: entryBody(EntryKind.command, 0, new Uint8Array(1)),
  };
}

/** Entries of `terms` from the one at `first` on. */
export function entriesOf(first: number, ...terms: number[]): RaftEntry[] {
  return terms.map((term, i) => ({
    index: first + i,
    term,
    body: command().body,
  }));
}

/** An entry that brings other members. */
export function membershipEntry(
  index: number,
  term: number,
  membership: Membership,
): RaftEntry {
  return { index, term, body: membershipBody({ ...membership, index }) };
}

/** A leader's first entry. */
export function noopEntry(
  index: number,
  term: number,
  version: number,
): RaftEntry {
  return { index, term, body: noopBody(version) };
}

/** How a member starts. */
export interface OneMemberOptions {
  readonly node?: string;
  readonly uid?: number;
  /** Letters of the voters. @default {"abc"} */
  readonly voters?: string;
  readonly initial?: Membership;
  /** Terms of its entries behind the snapshot. */
  readonly log?: readonly number[];
  /** By default that of its last entry. */
  readonly term?: number;
  readonly votedFor?: string;
  readonly snapshot?: SnapshotMeta;
  readonly memberships?: readonly Membership[];
  readonly commitIndex?: number;
  readonly machineVersion?: number;
  readonly seed?: number;
}

/** See the module comment. */
export class OneMember {
  readonly state: RaftState;
  /** What was asked for so far and is not in the lines: timers. */
  timerMs: number | undefined;
  /** All of the last step, as they are. */
  effects: RaftEffect[] = [];

  constructor(options: OneMemberOptions = {}) {
    const { snapshot, log = [], node = "a" } = options;
    const start = snapshot?.index ?? 0;
    const terms: TermRun[] = [];
    log.forEach((term, i) => {
      if (terms.at(-1)?.term === term) return;
      terms.push({ first: start + 1 + i, term });
    });
    this.state = createRaft({
      node,
      uid: options.uid ?? uidOf(node),
      term: options.term ?? log.at(-1) ?? snapshot?.term ?? 0,
      votedFor: options.votedFor,
      snapshot,
      initial: options.initial ?? votersOn(options.voters ?? "abc"),
      lastIndex: start + log.length,
      terms,
      memberships: options.memberships ?? [],
      ...options.commitIndex === undefined
        ? {}
        : { commitIndex: options.commitIndex },
      machineVersion: options.machineVersion ?? 0,
      chance: seededChance(options.seed ?? 1),
    }, this.effects);
    this.#lines();
  }

  /** What one event leads to, but for timers. */
  step(event: RaftEvent): string[] {
    this.effects = [];
    stepRaft(this.state, event, this.effects);
    return this.#lines();
  }

  #lines(): string[] {
    const lines: string[] = [];
    for (const effect of this.effects) {
      if (effect.type === "set_election_timer") this.timerMs = effect.afterMs;
      else if (effect.type === "clear_election_timer") this.timerMs = undefined;
      else lines.push(effectText(effect));
    }
    return lines;
  }

  /** A message of the member on `from`. */
  from(
    from: string,
    message: RaftMessage,
    uid: number = uidOf(from),
  ): string[] {
    return this.step({ type: "message", from, uid, message });
  }

  /** An append of `from` that leads in `term`. */
  append(
    from: string,
    term: number,
    prevIndex: number,
    prevTerm: number,
    entries: readonly RaftEntry[] = [],
    commitIndex = 0,
  ): string[] {
    const type = "append";
    return this.from(from, {
      type,
      term,
      prevIndex,
      prevTerm,
      commitIndex,
      entries,
    });
  }

  /** The member on `from` has acknowledged up to `index`. */
  acknowledge(from: string, index: number, uid?: number): string[] {
    const { term, log } = this.state;
    const indexTerm = log.terms.termAt(index) ?? 0;
    return this.from(
      from,
      { type: "append_reply", term, success: true, index, indexTerm },
      uid,
    );
  }

  /** The present term and vote are durable. */
  saved(): string[] {
    const { term, votedFor } = this.state;
    return this.step({ type: "vote_persisted", term, votedFor });
  }

  /** The log is durable up to its end, or to `index`. */
  written(index: number = this.state.lastIndex): string[] {
    const term = this.state.log.terms.termAt(index) as number;
    return this.step({ type: "written", index, term });
  }

  propose(count = 1): string[] {
    return this.step({
      type: "propose",
      proposals: Array.from({ length: count }, command),
    });
  }

  /** Becomes leader with the votes of `voters`; returns what that leads to. */
  lead(voters = "b"): string[] {
    this.step({ type: "election_timeout" });
    const term = this.state.term + 1;
    for (const voter of voters) {
      this.from(voter, { type: "pre_vote_reply", term, granted: true });
    }
    const lines = this.saved();
    for (const voter of voters) {
      lines.push(
        ...this.from(voter, { type: "vote_reply", term, granted: true }),
      );
    }
    return lines;
  }

  /** Becomes leader, and its first entry is committed by `voters`. */
  leadFirmly(voters = "b"): string[] {
    const lines = this.lead(voters);
    lines.push(...this.written());
    for (const voter of voters) {
      lines.push(...this.acknowledge(voter, this.state.lastIndex));
    }
    return lines;
  }
}
