/**
 * What must hold of a Raft group at all times (paper, figure 3), seen from
 * outside all of its members.
 *
 * @module
 */
import { kindOfEntry } from "../entry_body.ts";
import { EntryKind, type RaftEntry } from "../raft_entry.ts";
import type { RaftMessage } from "../raft_message.ts";
import type { EntryList, SimulatedDisk } from "./simulated_disk.ts";

interface Committed {
  readonly entry: RaftEntry;
  /** The term in which it was first known to be committed. */
  readonly inTerm: number;
}

/** A broken rule of Raft. */
export class BrokenRule extends Error {
  override name = "BrokenRule";
}

function ensure(condition: boolean, rule: string, what: string): void {
  if (!condition) throw new BrokenRule(`${rule}: ${what}`);
}

/** Watches one group. */
export class RaftRules {
  readonly #leaders = new Map<number, string>();
  readonly #entries = new Map<
    string,
    { readonly body: Uint8Array; readonly prevTerm: number }
  >();
  readonly committed: Committed[] = [];
  readonly #hashes = new Map<number, number>();
  /** The highest index of a command that a client knows to be done. */
  acknowledgedIndex = 0;
  readonly #acknowledged = new Map<number, RaftEntry>();

  /** Election safety: at most one leader in a term. Leader completeness: it has what was committed before. */
  leads(who: string, term: number, log: EntryList): void {
    const other = this.#leaders.get(term);
    ensure(
      other === undefined || other === who,
      "Election safety",
      `${other} and ${who} lead in term ${term}`,
    );
    this.#leaders.set(term, who);
    for (let i = log.start; i < this.committed.length; i++) {
      const { entry, inTerm } = this.committed[i] as Committed;
      if (inTerm >= term) continue;
      ensure(
        log.termAt(entry.index) === entry.term,
        "Leader completeness",
        `${who} leads in ${term} without ${entry.term} at ${entry.index}`,
      );
    }
  }

  /** Log matching: the same index and term is the same entry, behind the same entries. */
  appended(who: string, entry: RaftEntry, prevTerm: number): void {
    const place = `${entry.index}/${entry.term}`;
    const known = this.#entries.get(place);
    if (known === undefined) {
      this.#entries.set(place, { body: entry.body, prevTerm });
      return;
    }
    ensure(
      known.body === entry.body && known.prevTerm === prevTerm,
      "Log matching",
      `${who} has another entry at ${place}`,
    );
  }

  /** State machine safety: what is committed at an index is the same for all. */
  commits(who: string, term: number, entry: RaftEntry): void {
    const known = this.committed[entry.index - 1];
    if (known === undefined) {
      ensure(
        this.committed.length === entry.index - 1,
        "State machine safety",
        `${who} commits ${entry.index} after ${this.committed.length}`,
      );
      this.committed.push({ entry, inTerm: term });
      return;
    }
    ensure(
      known.entry.term === entry.term && known.entry.body === entry.body,
      "State machine safety",
      `${who} commits ${entry.term} at ${entry.index}, where ${known.entry.term} is committed`,
    );
  }

  /** All machines are the same at the same index. */
  applied(who: string, index: number, hash: number): void {
    const known = this.#hashes.get(index);
    ensure(
      known === undefined || known === hash,
      "State machine safety",
      `the machine of ${who} is another one at ${index}`,
    );
    this.#hashes.set(index, hash);
  }

  /** A client was told that its command is done. */
  acknowledge(entry: RaftEntry): void {
    this.#acknowledged.set(entry.index, entry);
    if (entry.index > this.acknowledgedIndex) {
      this.acknowledgedIndex = entry.index;
    }
  }

  /** A read that began when `since` was acknowledged is answered as of `index`. */
  readAt(who: string, index: number, since: number): void {
    ensure(
      index >= since,
      "Linearizable reads",
      `${who} reads at ${index} what was acknowledged at ${since} before`,
    );
  }

  /** Everything acknowledged is committed. */
  nothingLost(): void {
    for (const [index, entry] of this.#acknowledged) {
      const { entry: found } = this.committed[index - 1] as Committed;
      ensure(
        found.body === entry.body,
        "Acknowledged proposals",
        `${index} is lost`,
      );
    }
  }

  /** How many commands were acknowledged. */
  get acknowledgements(): number {
    return this.#acknowledged.size;
  }

  /** How many changes of the members are committed. */
  get membershipChanges(): number {
    return this.committed.filter(({ entry }) =>
      kindOfEntry(entry.body) === EntryKind.membership
    ).length;
  }

  /** What a member tells others must survive its crash. */
  says(
    who: string,
    disk: SimulatedDisk,
    to: string,
    message: RaftMessage,
  ): void {
    if (message.type === "pre_vote") return;
    if (message.type !== "pre_vote_reply" || !message.granted) {
      this.promise(
        disk.term === message.term,
        "A term is durable before anything is said in it",
        `${who} says ${message.type} of ${message.term} in ${disk.term}`,
      );
    }
    if (message.type === "vote_reply" && message.granted) {
      this.promise(
        disk.votedFor === to,
        "A vote is durable before it is given",
        `${who} votes for ${to} in ${message.term}`,
      );
    }
    if (message.type === "append_reply" && message.success) {
      this.promise(
        message.index <= disk.settled &&
          disk.log.termAt(message.index) === message.indexTerm,
        "An entry is durable before it is acknowledged",
        `${who} acknowledges ${message.index} of ${message.indexTerm}`,
      );
    }
  }

  /** Something that is to hold between the core and its shell. */
  promise(condition: boolean, rule: string, what: string): void {
    ensure(condition, rule, what);
  }
}
