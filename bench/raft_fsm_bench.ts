/**
 * What a proposal costs in the cores of a Raft group alone: a leader and two
 * followers, from `propose` until all three have it committed. Each measurement
 * is 256 proposals, so a proposal costs a 256th of it, for all three members
 * together. At 45,000 a second a node has 22 µs for each, most of it for sockets,
 * disks and the machine: its core must stay under a tenth of that even when
 * proposals come alone.
 *
 *     deno bench bench/raft_fsm_bench.ts
 */
import { seededChance } from "../src/base/chance.ts";
import { entryBody } from "../src/raft/entry_body.ts";
import { EntryKind, type RaftEntry } from "../src/raft/raft_entry.ts";
import {
  createRaft,
  type Proposal,
  type RaftEffect,
  type RaftEvent,
  type RaftState,
  stepRaft,
} from "../src/raft/raft_fsm.ts";
import type { RaftMessage } from "../src/raft/raft_message.ts";

const NODES = ["a", "b", "c"];
const PROPOSALS = 256;

/** Cores that hear each other at once, with disks that never wait. */
class Group {
  readonly #cores = new Map<string, RaftState>();
  readonly #effects: RaftEffect[] = [];
  readonly #messages: {
    readonly from: string;
    readonly to: string;
    readonly message: RaftMessage;
  }[] = [];
  #appended: readonly RaftEntry[] = [];

  constructor() {
    const members = NODES.map((node, i) => ({
      node,
      uid: i + 1,
      kind: "voter" as const,
      target: 0,
    }));
    for (const { node, uid } of members) {
      this.#cores.set(
        node,
        createRaft({
          node,
          uid,
          term: 0,
          votedFor: undefined,
          snapshot: undefined,
          initial: { index: 0, members },
          lastIndex: 0,
          terms: [],
          memberships: [],
          machineVersion: 0,
          chance: seededChance(uid),
        }, this.#effects),
      );
    }
    this.#effects.length = 0;
    this.step("a", { type: "election_timeout" });
  }

  /** One event, and all that it leads to. */
  step(node: string, event: RaftEvent): void {
    this.#stepOne(node, event);
    for (let i = 0; i < this.#messages.length; i++) {
      const { from, to, message } = this.#messages[i]!;
      const uid = NODES.indexOf(from) + 1;
      this.#stepOne(to, { type: "message", from, uid, message });
    }
    this.#messages.length = 0;
  }

  #stepOne(node: string, event: RaftEvent): void {
    const core = this.#cores.get(node)!;
    const first = this.#effects.length;
    stepRaft(core, event, this.#effects);
    const last = this.#effects.length;
    for (let i = first; i < last; i++) this.#perform(node, this.#effects[i]!);
    this.#effects.length = first;
  }

  #perform(node: string, effect: RaftEffect): void {
    switch (effect.type) {
      case "append": {
        this.#appended = effect.entries;
        const { index, term } = effect.entries.at(-1)!;
        this.#stepOne(node, { type: "written", index, term });
        return;
      }
      case "persist_vote": {
        const { term, votedFor } = effect;
        this.#stepOne(node, { type: "vote_persisted", term, votedFor });
        return;
      }
      case "send":
        this.#messages.push({
          from: node,
          to: effect.to,
          message: effect.message,
        });
        return;
      case "send_entries": {
        const { to, term, prevTerm, first, last, commitIndex } = effect;
        this.#messages.push({
          from: node,
          to,
          message: {
            type: "append",
            term,
            prevIndex: first - 1,
            prevTerm,
            commitIndex,
            // Followers keep up, so what is sent is what was appended last.
            entries: last < first ? [] : this.#appended,
          },
        });
      }
    }
  }

  commitIndexes(): number[] {
    return [...this.#cores.values()].map((core) => core.commitIndex);
  }
}

const proposal: Proposal = {
  kind: EntryKind.command,
  body: entryBody(EntryKind.command, 0, new Uint8Array(100)),
};

for (const batch of [1, 16, 256]) {
  const group = new Group();
  const proposals = new Array<Proposal>(batch).fill(proposal);
  const event: RaftEvent = { type: "propose", proposals };
  group.step("a", event);
  if (new Set(group.commitIndexes()).size !== 1) {
    throw new Error("Cannot measure a group that does not agree");
  }
  Deno.bench(`${PROPOSALS} proposals, ${batch} at a time`, () => {
    for (let sent = 0; sent < PROPOSALS; sent += batch) group.step("a", event);
  });
}

{
  const group = new Group();
  let round = 0;
  Deno.bench(`${PROPOSALS} linearizable reads, one at a time`, () => {
    for (let i = 0; i < PROPOSALS; i++) {
      group.step("a", { type: "read", round: ++round });
    }
  });
}
