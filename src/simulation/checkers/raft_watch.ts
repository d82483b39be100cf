/**
 * Properties that a Raft group has at every moment (Ongaro and Ousterhout, "In
 * Search of an Understandable Consensus Algorithm", 2014, figure 3), and what
 * its members must have on their disks. Checked from outside after every event
 * of a simulation, on the members' own objects and the messages that arrive,
 * independently of clients.
 *
 * - Election safety: at most one leader per term, over all members that ever
 *   existed.
 * - Log matching: entries with the same index and term are equal everywhere,
 *   and so are the logs before them.
 * - Leader completeness: a committed entry is in the log of each later leader.
 * - State machine safety: all members commit the same entry at an index, and
 *   all machines that have applied the same entries have equal states.
 * - A leader counts replicas only for entries of its own term, and changes the
 *   members only when the previous change and an entry of its term are
 *   committed. A member that has lost its log does not vote until it has it
 *   again.
 * - A commit index never decreases within an incarnation of a member.
 * - What is committed is durable on a majority of voters; what a member
 *   acknowledges is durable on it; what was durable, including a term and a
 *   vote it has sent, is there in its next incarnation.
 *
 * @module
 */
import type { RecoveredGroup } from "../../raft/log/raft_log.ts";
import type { Membership } from "../../raft/raft_entry.ts";
import type { RaftMember } from "../../raft/raft_member.ts";
import type { RaftMessage } from "../../raft/raft_message.ts";
import type { RaftRole } from "../../raft/raft_fsm.ts";
import { memberOn, votersOf } from "../../raft/membership.ts";
import type { Violation } from "./violation.ts";

/** The last observed state of one incarnation of a member. */
interface Sighting {
  readonly member: RaftMember;
  role: RaftRole;
  term: number;
  commitIndex: number;
  appliedIndex: number;
  lastIndex: number;
  lastTerm: number;
  membership: Membership;
}

/** What a member has, across all its incarnations. */
interface Holding {
  readonly node: string;
  /** Term of the entry at each index, as far as observed. */
  terms: number[];
  /** A snapshot replaces the log up to here. */
  snapshotIndex: number;
  /** The durable index when the member was last observed. */
  durableIndex: number;
  /** The highest term in which it sent a message. */
  spokenTerm: number;
  /** The latest vote it granted. */
  vote: { readonly term: number; readonly to: string } | undefined;
}

/** What a member sent in an incarnation that was not observed yet. */
interface Said {
  readonly to: string;
  readonly message: RaftMessage;
}

/** An entry observed in some log. */
interface SeenEntry {
  readonly prevTerm: number | undefined;
  readonly hash: number;
}

/** An entry that was committed. */
interface Committed {
  readonly term: number;
  /** The term of the member that first committed it. */
  readonly inTerm: number;
}

/** Most violations kept; a broken invariant tends to stay broken. */
const VIOLATIONS_MAX = 20;

/**
 * Term of an entry after the snapshot that was found when the log was opened.
 */
function recoveredTermAt(
  { terms, lastIndex }: RecoveredGroup,
  index: number,
): number | undefined {
  if (index > lastIndex) return undefined;
  return terms.findLast(({ first }) => first <= index)?.term;
}

/** Watches one group. */
export class RaftWatch {
  readonly violations: Violation[] = [];
  readonly #digestOf: (member: RaftMember) => string;
  readonly #now: () => number;
  readonly #sightings = new Map<string, Sighting>();
  readonly #holdings = new Map<number, Holding>();
  /** By uid of the sender, which may never have been observed. */
  readonly #unseen = new Map<number, Said[]>();
  readonly #leaders = new Map<number, { node: string; uid: number }>();
  readonly #entries = new Map<string, SeenEntry>();
  readonly #committed: (Committed | undefined)[] = [];
  readonly #states = new Map<
    number,
    { readonly digest: string; readonly node: string }
  >();
  readonly #said = new Set<string>();

  /**
   * @param digestOf A text that is equal for equal states of a member's
   * machine.
   */
  constructor(digestOf: (member: RaftMember) => string, now: () => number) {
    this.#digestOf = digestOf;
    this.#now = now;
  }

  /** The highest index that any member has committed. */
  get commitIndex(): number {
    return this.#committed.length === 0 ? 0 : this.#committed.length - 1;
  }

  #fail(check: string, message: string): void {
    const text = `${message} (at ${this.#now().toFixed(3)} ms)`;
    // Repetitions add nothing.
    if (this.violations.length >= VIOLATIONS_MAX || this.#said.has(message)) {
      return;
    }
    this.#said.add(message);
    this.violations.push({ check, message: text });
  }

  /**
   * Checks the member on `host`, or that there is none; returns how its role
   * changed.
   */
  look(
    host: string,
    member: RaftMember | undefined,
  ): "nothing" | "role" | "term" {
    const seen = this.#sightings.get(host);
    if (seen?.member !== member) {
      if (seen !== undefined) this.#noteDurable(seen.member);
      if (member === undefined) {
        this.#sightings.delete(host);
        return "nothing";
      }
      this.#begins(host, member);
      return "role";
    }
    if (seen === undefined || member === undefined) return "nothing";
    const { log, role, term, commitIndex, appliedIndex } = member;
    const { lastIndex, lastTerm } = log;
    if (
      seen.role === role && seen.term === term &&
      seen.commitIndex === commitIndex && seen.appliedIndex === appliedIndex &&
      seen.lastIndex === lastIndex && seen.lastTerm === lastTerm
    ) return "nothing";
    return this.#changed(member, seen);
  }

  /** The member on `host` is about to end, with its machine or process. */
  ends(host: string): void {
    const seen = this.#sightings.get(host);
    if (seen === undefined) return;
    this.look(host, seen.member);
    this.#noteDurable(seen.member);
    this.#sightings.delete(host);
  }

  #begins(host: string, member: RaftMember): void {
    const { node, uid, log, term } = member;
    const { recovered } = log;
    const before = this.#holdings.get(uid);
    const snapshotIndex = log.snapshot?.index ?? 0;
    if (before !== undefined) this.#checkReturn(member, before);
    // A vote for itself that was not durable was sent to nobody.
    const isVoteKept = before?.vote?.to !== node ||
      recovered.term === before.vote.term && recovered.votedFor === node;
    this.#holdings.set(uid, {
      node,
      terms: [],
      snapshotIndex,
      durableIndex: 0,
      spokenTerm: before?.spokenTerm ?? 0,
      vote: isVoteKept ? before?.vote : undefined,
    });
    const seen: Sighting = {
      member,
      role: "follower",
      term: recovered.term,
      commitIndex: 0,
      appliedIndex: 0,
      lastIndex: 0,
      lastTerm: 0,
      membership: member.membership,
    };
    this.#sightings.set(host, seen);
    if (term < recovered.term) {
      this.#fail(
        "raft_term_lost",
        `${node} is at term ${term} though its log says ${recovered.term}`,
      );
    }
    this.#changed(member, seen);
    const unseen = this.#unseen.get(uid) ?? [];
    this.#unseen.delete(uid);
    for (const { to, message } of unseen) this.heard(uid, to, message);
  }

  /** What a member must have in its next incarnation. */
  #checkReturn(member: RaftMember, before: Holding): void {
    const { node, log } = member;
    const { recovered } = log;
    const { spokenTerm, vote, durableIndex, terms } = before;
    if (recovered.term < spokenTerm) {
      this.#fail(
        "raft_term_lost",
        `${node} has spoken in term ${spokenTerm} and comes back with term ${recovered.term}`,
      );
    }
    if (
      vote?.term === recovered.term && vote.to !== node &&
      recovered.votedFor !== vote.to
    ) {
      this.#fail(
        "raft_vote_lost",
        `${node} has voted for ${vote.to} in term ${vote.term} and comes back with a vote for ${recovered.votedFor}`,
      );
    }
    // Checks what was recovered: a leader may have replaced it before the node
    // could be observed.
    const snapshotIndex = recovered.snapshot?.index ?? 0;
    for (let index = durableIndex; index > snapshotIndex; index--) {
      if (index <= before.snapshotIndex) break;
      const term = recoveredTermAt(recovered, index);
      if (term === terms[index]) continue;
      this.#fail(
        "raft_entry_lost",
        `${node} had entry ${index} of term ${
          terms[index]
        } durably and comes back with ${
          term === undefined ? "none there" : `one of term ${term}`
        }`,
      );
      break;
    }
  }

  #noteDurable(member: RaftMember): void {
    const holding = this.#holdings.get(member.uid);
    if (holding === undefined) return;
    holding.durableIndex = member.log.overview().durableIndex;
  }

  #changed(member: RaftMember, seen: Sighting): "nothing" | "role" | "term" {
    const { node, log, role, term, commitIndex, appliedIndex } = member;
    const { lastIndex, lastTerm } = log;
    const before = { ...seen };
    Object.assign(seen, {
      role,
      term,
      commitIndex,
      appliedIndex,
      lastIndex,
      lastTerm,
      membership: member.membership,
    });
    if (term < before.term) {
      this.#fail(
        "raft_term_falls",
        `The term of ${node} falls from ${before.term} to ${term}`,
      );
    }
    if (before.lastIndex !== lastIndex || before.lastTerm !== lastTerm) {
      this.#checkLog(member);
    }
    if (
      role === "leader" && (before.role !== "leader" || before.term !== term)
    ) this.#checkLeader(member);
    if (role === "candidate" && before.term !== term) {
      // A candidate votes for itself.
      this.#voted(this.#holdings.get(member.uid) as Holding, term, node);
    }
    if (commitIndex < before.commitIndex) {
      this.#fail(
        "raft_commit_falls",
        `The commit index of ${node} falls from ${before.commitIndex} to ${commitIndex}`,
      );
    } else if (commitIndex > before.commitIndex) {
      this.#checkCommit(member, before);
    }
    if (
      role === "leader" && before.role === "leader" && before.term === term
    ) this.#checkReign(member, before);
    if (appliedIndex > commitIndex) {
      this.#fail(
        "raft_applied_uncommitted",
        `${node} has applied entry ${appliedIndex} and committed only ${commitIndex}`,
      );
    }
    if (appliedIndex < before.appliedIndex) {
      this.#fail(
        "raft_applied_falls",
        `The applied index of ${node} falls from ${before.appliedIndex} to ${appliedIndex}`,
      );
    }
    if (appliedIndex !== before.appliedIndex) this.#checkState(member);
    if (before.role !== role) return "role";
    return before.term === term ? "nothing" : "term";
  }

  /** Log matching, for the new part of the log of `member`. */
  #checkLog(member: RaftMember): void {
    const { node, log, uid } = member;
    const holding = this.#holdings.get(uid) as Holding;
    const { terms } = holding;
    const snapshotIndex = log.snapshot?.index ?? 0;
    holding.snapshotIndex = Math.max(snapshotIndex, holding.snapshotIndex);
    const isFirst = terms.length === 0;
    for (let index = log.lastIndex; index > snapshotIndex; index--) {
      const term = log.termAt(index);
      if (term === undefined) {
        this.#fail(
          "raft_log_gap",
          `${node} has no term of entry ${index} behind snapshot ${snapshotIndex}`,
        );
        return;
      }
      const known = terms[index] === term;
      const prevTerm = index === 1 ? 0 : log.termAt(index - 1);
      this.#checkEntry(member, index, term, prevTerm);
      terms[index] = term;
      if (known && !isFirst) break;
    }
    terms.length = Math.max(log.lastIndex, snapshotIndex) + 1;
  }

  #checkEntry(
    { node, log }: RaftMember,
    index: number,
    term: number,
    prevTerm: number | undefined,
  ): void {
    const entry = log.entryInMemory(index);
    // It is in a segment; what is read from there shows in the machine's state.
    if (entry === undefined) return;
    if (entry.term !== term) {
      this.#fail(
        "raft_log_matching",
        `The log of ${node} gives entry ${index} the terms ${term} and ${entry.term}`,
      );
    }
    const hash = hashOf(entry.body);
    const name = `${index} ${term}`;
    const seen = this.#entries.get(name);
    if (seen === undefined) {
      this.#entries.set(name, { prevTerm, hash });
      return;
    }
    if (
      seen.hash !== hash ||
      prevTerm !== undefined && seen.prevTerm !== undefined &&
        seen.prevTerm !== prevTerm
    ) {
      this.#fail(
        "raft_log_matching",
        `Entry ${index} of term ${term} is another on ${node} than elsewhere, or stands behind one of another term: ${prevTerm} instead of ${seen.prevTerm}`,
      );
    }
  }

  #checkLeader({ node, uid, term, log }: RaftMember): void {
    const known = this.#leaders.get(term);
    if (known !== undefined && (known.node !== node || known.uid !== uid)) {
      this.#fail(
        "raft_election_safety",
        `Term ${term} has two leaders: ${known.node} and ${node}`,
      );
    }
    this.#leaders.set(term, { node, uid });
    const snapshotIndex = log.snapshot?.index ?? 0;
    for (let index = this.commitIndex; index > snapshotIndex; index--) {
      const committed = this.#committed[index];
      if (committed === undefined || committed.inTerm >= term) continue;
      if (log.termAt(index) === committed.term) continue;
      this.#fail(
        "raft_leader_completeness",
        `${node} leads in term ${term} without entry ${index} of term ${committed.term}, which was committed in term ${committed.inTerm}: it has one of term ${
          log.termAt(index)
        }`,
      );
      break;
    }
  }

  /** A leader that was leader of the same term before. */
  #checkReign(
    { node, term, log, commitIndex, membership }: RaftMember,
    before: Sighting,
  ): void {
    const committedTerm = log.termAt(commitIndex);
    if (commitIndex > before.commitIndex && committedTerm !== term) {
      this.#fail(
        "raft_commit_of_old_term",
        `${node} leads in term ${term} and commits up to entry ${commitIndex}, which is of term ${committedTerm}`,
      );
    }
    if (membership.index <= before.membership.index) return;
    for (const { node: other, uid, kind } of membership.members) {
      const was = memberOn(before.membership, other);
      if (was === undefined || was.uid === uid || kind !== "voter") continue;
      this.#fail(
        "raft_lost_log_votes",
        `${node} lets ${other} vote by entry ${membership.index}, which has begun anew and has yet to get the log`,
      );
    }
    if (before.membership.index <= commitIndex && committedTerm === term) {
      return;
    }
    this.#fail(
      "raft_change_too_early",
      `${node} leads in term ${term} and changes the members by entry ${membership.index}, while only ${commitIndex} of term ${committedTerm} is committed, and the change before is entry ${before.membership.index}`,
    );
  }

  #checkCommit(member: RaftMember, before: Sighting): void {
    const { node, term, commitIndex, log } = member;
    const snapshotIndex = log.snapshot?.index ?? 0;
    let isNew = false;
    for (
      let index = Math.max(before.commitIndex, snapshotIndex) + 1;
      index <= commitIndex;
      index++
    ) {
      const entryTerm = log.termAt(index);
      const known = this.#committed[index];
      if (entryTerm === undefined) {
        this.#fail(
          "raft_commit_without_entry",
          `${node} has committed up to ${commitIndex} and has no entry ${index}`,
        );
        return;
      }
      if (known === undefined) {
        isNew = true;
        this.#committed[index] = { term: entryTerm, inTerm: term };
      } else if (known.term !== entryTerm) {
        this.#fail(
          "raft_committed_twice",
          `${node} has committed entry ${index} of term ${entryTerm}, another member one of term ${known.term}`,
        );
        return;
      }
    }
    if (isNew) this.#checkMajority(member, before.membership);
  }

  /**
   * What `member` has committed is durable on a majority of the voters; of
   * those `before`, if the members changed at the same moment.
   */
  #checkMajority(
    { node, commitIndex, log, membership }: RaftMember,
    before: Membership,
  ): void {
    const term = log.termAt(commitIndex) as number;
    for (const { member } of this.#sightings.values()) {
      this.#noteDurable(member);
    }
    const holds = (uid: number): boolean => {
      // A member whose node is still starting has acknowledged it, or leads and
      // has committed it, and cannot be observed yet.
      const isSaid = this.#unseen.get(uid)?.some(({ message }) =>
        saidIndex(message) >= commitIndex
      );
      if (isSaid) return true;
      const holding = this.#holdings.get(uid);
      if (holding === undefined) return false;
      const { durableIndex, snapshotIndex, terms } = holding;
      return snapshotIndex >= commitIndex ||
        durableIndex >= commitIndex && terms[commitIndex] === term;
    };
    const isSafe = (members: Membership): boolean => {
      const voters = votersOf(members);
      return voters.filter(({ uid }) => holds(uid)).length * 2 > voters.length;
    };
    if (isSafe(membership) || isSafe(before)) return;
    this.#fail(
      "raft_commit_not_durable",
      `${node} has committed entry ${commitIndex} of term ${term}, which is durable on ${
        membership.members.filter(({ uid }) => holds(uid))
          .map(({ node }) => node).join(", ") || "nobody"
      } of ${votersOf(membership).map(({ node }) => node).join(", ")}`,
    );
  }

  #checkState(member: RaftMember): void {
    const { node, appliedIndex } = member;
    const digest = this.#digestOf(member);
    const seen = this.#states.get(appliedIndex);
    if (seen === undefined) {
      this.#states.set(appliedIndex, { digest, node });
    } else if (seen.digest !== digest) {
      this.#fail(
        "raft_states_differ",
        `The state of ${node} at index ${appliedIndex} is another than that of ${seen.node}: ${digest} instead of ${seen.digest}`,
      );
    }
  }

  /**
   * A message from the member `uid` has reached `to`.
   *
   * @param isStarting Whether that member's process runs but the member was not
   * observed in it yet: a member acts before its node is available.
   */
  heard(
    uid: number,
    to: string,
    message: RaftMessage,
    isStarting = false,
  ): void {
    const { type, term } = message;
    // These carry a term that nobody is in yet.
    if (type === "pre_vote" || type === "pre_vote_reply") return;
    if (isStarting) {
      const unseen = this.#unseen.get(uid) ?? [];
      unseen.push({ to, message });
      this.#unseen.set(uid, unseen);
      return;
    }
    const holding = this.#holdings.get(uid);
    if (holding === undefined) return;
    holding.spokenTerm = Math.max(holding.spokenTerm, term);
    if (type === "vote_reply" && message.granted) {
      this.#voted(holding, term, to);
    }
    if (type === "append_reply" && message.success) {
      this.#acknowledged(uid, term, message.index);
    }
  }

  #voted(holding: Holding, term: number, to: string): void {
    const { vote, node } = holding;
    if (vote?.term === term && vote.to !== to) {
      this.#fail(
        "raft_voted_twice",
        `${node} has voted for ${vote.to} and for ${to} in term ${term}`,
      );
    }
    if (vote === undefined || vote.term < term) holding.vote = { term, to };
  }

  /** What is acknowledged stays durable during that term. */
  #acknowledged(uid: number, term: number, index: number): void {
    for (const { member } of this.#sightings.values()) {
      if (member.uid !== uid || member.term !== term) continue;
      const { durableIndex } = member.log.overview();
      if (durableIndex >= index) continue;
      this.#fail(
        "raft_acknowledged_before_durable",
        `${member.node} has acknowledged entry ${index} in term ${term}, and only ${durableIndex} is durable there`,
      );
    }
  }
}

/** FNV-1a. */
function hashOf(bytes: Uint8Array): number {
  let hash = 0x811c_9dc5;
  for (let i = 0; i < bytes.length; i++) {
    hash = Math.imul(hash ^ (bytes[i] as number), 0x0100_0193);
  }
  return hash >>> 0;
}

/**
 * The index up to which the sender has the log: durably, or committed if it
 * leads.
 */
function saidIndex(message: RaftMessage): number {
  switch (message.type) {
    case "append_reply":
      return message.success ? message.index : 0;
    case "read_index_reply":
      return message.index;
    case "append":
    case "heartbeat":
    case "confirm":
      return message.commitIndex;
    default:
      return 0;
  }
}
