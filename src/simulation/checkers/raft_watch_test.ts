import { assertEquals } from "@std/assert";
import type { RaftMember } from "../../raft/raft_member.ts";
import type { RaftMessage } from "../../raft/raft_message.ts";
import type { Member, RaftEntry } from "../../raft/raft_entry.ts";
import type { RaftRole } from "../../raft/raft_fsm.ts";
import { RaftWatch } from "./raft_watch.ts";

const members = ["a", "b", "c"].map((node, at): Member => ({
  node,
  uid: at + 1,
  kind: "voter",
  target: 0,
}));

/**
 * A member whose log is a list of terms, and whose commands are their indexes
 * and terms.
 */
class Watched {
  readonly group = "g";
  readonly groupId = 1;
  membership = { index: 0, members };
  leader: string | undefined;
  role: RaftRole = "follower";
  term: number;
  commitIndex = 0;
  appliedIndex = 0;
  terms: number[] = [];
  durableIndex = 0;
  digest = "";
  votedFor: string | undefined;
  /** Terms of the entries it recovered, if different. */
  recovered: number[] | undefined;
  /** Text of the entry at an index, if unusual. */
  other: [number, string] | undefined;

  constructor(readonly node: string, readonly uid: number, term = 1) {
    this.term = term;
  }

  /** Sets its entries to these terms, all of them durable. */
  has(...terms: number[]): this {
    this.terms = terms;
    this.durableIndex = terms.length;
    return this;
  }

  /** Applies up to `index`. */
  applies(index: number, digest = `state ${index}`): void {
    this.commitIndex = Math.max(this.commitIndex, index);
    this.appliedIndex = index;
    this.digest = digest;
  }

  /** The member as the watch sees it. */
  get view(): RaftMember {
    // deno-lint-ignore no-this-alias -- the log looks into the member.
    const member = this;
    const log = {
      recovered: {
        term: member.term,
        votedFor: member.votedFor,
        snapshot: undefined,
        lastIndex: (member.recovered ?? member.terms).length,
        terms: (member.recovered ?? member.terms).map((term, i) => ({
          first: i + 1,
          term,
        })),
      },
      snapshot: undefined,
      get lastIndex() {
        return member.terms.length;
      },
      get lastTerm() {
        return member.terms.at(-1) ?? 0;
      },
      termAt: (index: number) => index === 0 ? 0 : member.terms[index - 1],
      entryInMemory: (index: number): RaftEntry => {
        const text = member.other?.[0] === index ? member.other[1] : `${index}`;
        const body = new TextEncoder().encode(text);
        return { index, term: member.terms[index - 1] as number, body };
      },
      overview: () => ({ durableIndex: member.durableIndex }),
    };
    return Object.assign(this, { log }) as unknown as RaftMember;
  }
}

function watching() {
  const watch = new RaftWatch(
    (member) => (member as unknown as Watched).digest,
    () => 0,
  );
  const look = (...watched: Watched[]): void => {
    for (const member of watched) watch.look(member.node, member.view);
  };
  const checks = () => [
    ...new Set(watch.violations.map(({ check }) => check)),
  ];
  return { watch, look, checks };
}

/** Three members that have committed three entries of term 1. */
function group() {
  const around = watching();
  const [a, b, c] = [
    new Watched("a", 1).has(1, 1, 1),
    new Watched("b", 2).has(1, 1, 1),
    new Watched("c", 3).has(1, 1, 1),
  ] as const;
  around.look(a, b, c);
  a.role = "leader";
  a.applies(3);
  around.look(a);
  b.applies(3);
  around.look(b);
  return { ...around, a, b, c };
}

Deno.test("RaftWatch passes a correct group", () => {
  const { a, b, c, look, watch, checks } = group();
  c.term = b.term = 2;
  b.role = "leader";
  b.has(1, 1, 1, 2);
  look(c, b);
  c.has(1, 1, 1, 2);
  c.applies(4);
  b.applies(4);
  look(c, b);
  // a, which does not know of that, has one of its own, and loses it.
  a.has(1, 1, 1, 1);
  look(a);
  a.role = "follower";
  a.term = 2;
  a.has(1, 1, 1, 2);
  a.applies(4);
  look(a);
  watch.ends("c");
  look(new Watched("c", 3, 2).has(1, 1, 1, 2));
  assertEquals([checks(), watch.commitIndex], [[], 4]);
});

Deno.test("RaftWatch reports two leaders of a term", () => {
  const { b, look, checks } = group();
  b.role = "leader";
  look(b);
  assertEquals(checks(), ["raft_election_safety"]);
});

Deno.test("RaftWatch reports an entry that differs elsewhere, or follows a different one", () => {
  const { c, look, checks } = group();
  c.has(1, 1, 1, 1);
  look(c);
  const { a, watch } = group();
  a.other = [4, "something else"];
  a.has(1, 1, 1, 1);
  look(a);
  assertEquals([checks(), watch.violations], [["raft_log_matching"], []]);
  const behind = group();
  behind.b.has(1, 1, 1, 2, 3);
  behind.look(behind.b);
  behind.c.has(1, 1, 1, 1, 3);
  behind.look(behind.c);
  assertEquals(behind.checks(), ["raft_log_matching"]);
});

Deno.test("RaftWatch reports a leader without an entry that was committed before its term", () => {
  const { c, look, checks } = group();
  c.has(1, 1);
  c.term = 2;
  c.role = "leader";
  look(c);
  assertEquals(checks(), ["raft_leader_completeness"]);
});

Deno.test("RaftWatch allows a leader of an older term to lack what a newer one has committed", () => {
  const { b, c, look, checks } = group();
  b.term = c.term = 3;
  b.has(1, 1, 1, 3);
  c.has(1, 1, 1, 3);
  look(b, c);
  b.role = "leader";
  b.applies(4);
  look(b);
  const late = new Watched("a", 1, 2).has(1, 1, 1);
  late.role = "leader";
  look(late);
  assertEquals(checks(), []);
});

Deno.test("RaftWatch reports two entries committed at one index, and different states", () => {
  const { c, look, checks } = group();
  c.term = 2;
  c.has(1, 2, 2);
  c.applies(3);
  look(c);
  assertEquals(checks(), ["raft_committed_twice"]);
  const other = group();
  other.c.applies(3, "another state");
  other.look(other.c);
  assertEquals(other.checks(), ["raft_states_differ"]);
});

Deno.test("RaftWatch reports a leader that commits an entry of an older term by counting replicas", () => {
  const { b, look, checks } = group();
  b.term = 2;
  look(b);
  b.has(1, 1, 1, 1);
  b.role = "leader";
  look(b);
  b.commitIndex = 4;
  look(b);
  assertEquals(checks().includes("raft_commit_of_old_term"), true);
});

Deno.test("RaftWatch reports a membership change before the previous one, or an entry of the term, is committed", () => {
  const { a, look, checks } = group();
  a.has(1, 1, 1, 1);
  a.membership = { index: 4, members };
  look(a);
  assertEquals(checks(), []);
  a.has(1, 1, 1, 1, 1);
  a.membership = { index: 5, members };
  look(a);
  assertEquals(checks(), ["raft_change_too_early"]);
  const { b, ...next } = group();
  b.term = 2;
  b.role = "leader";
  next.look(b);
  b.has(1, 1, 1, 2);
  b.membership = { index: 4, members };
  next.look(b);
  assertEquals(next.checks(), ["raft_change_too_early"]);
});

Deno.test("RaftWatch reports a member that votes right after it lost its log", () => {
  const { a, look, checks } = group();
  const again = (kind: "voter" | "promotable", index: number) => {
    a.has(1, 1, 1, ...Array<number>(index - 3).fill(1));
    a.commitIndex = index - 1;
    const back: Member = { node: "b", uid: 9, kind, target: 0 };
    a.membership = { index, members: members.with(1, back) };
    look(a);
  };
  again("promotable", 4);
  again("voter", 5);
  assertEquals(checks().includes("raft_lost_log_votes"), false);
  const hasty = group();
  hasty.a.has(1, 1, 1, 1);
  const back: Member = { node: "b", uid: 9, kind: "voter", target: 0 };
  hasty.a.membership = { index: 4, members: members.with(1, back) };
  hasty.look(hasty.a);
  assertEquals(hasty.checks(), ["raft_lost_log_votes"]);
});

Deno.test("RaftWatch reports indexes and terms that decrease", () => {
  const { a, b, look, checks } = group();
  b.commitIndex = 2;
  look(b);
  assertEquals(checks(), ["raft_commit_falls", "raft_applied_uncommitted"]);
  a.term = 0;
  look(a);
  assertEquals(checks().at(-1), "raft_term_falls");
});

Deno.test("RaftWatch reports a commit that is durable on too few members", () => {
  const { a, b, look, checks } = group();
  a.has(1, 1, 1, 1);
  b.has(1, 1, 1, 1).durableIndex = 3;
  look(b);
  a.commitIndex = 4;
  look(a);
  assertEquals(checks(), ["raft_commit_not_durable"]);
});

Deno.test("RaftWatch trusts an unobserved member while its node starts, and checks it later", () => {
  const believed: RaftMessage[] = [
    { type: "append_reply", term: 1, success: true, index: 4, indexTerm: 1 },
    { type: "heartbeat", term: 1, commitIndex: 4 },
    { type: "confirm", term: 1, round: 1, commitIndex: 4 },
    { type: "read_index_reply", term: 1, round: 1, index: 4 },
  ];
  const others: RaftMessage[] = [
    { type: "append_reply", term: 1, success: false, index: 4, indexTerm: 1 },
    { type: "confirm", term: 1, round: 4, commitIndex: 3 },
    { type: "confirm_reply", term: 1, round: 4 },
  ];
  for (const message of [...believed, ...others]) {
    for (const isStarting of [true, false]) {
      const { watch, a, look, checks } = group();
      a.has(1, 1, 1, 1);
      const back: Member = { node: "b", uid: 9, kind: "voter", target: 0 };
      a.membership = { index: 0, members: a.membership.members.with(1, back) };
      watch.heard(9, "a", message, isStarting);
      a.commitIndex = 4;
      look(a);
      assertEquals(
        checks().includes("raft_commit_not_durable"),
        !isStarting || others.includes(message),
        `${message.type}, ${isStarting}`,
      );
    }
  }
});

Deno.test("RaftWatch reports a member that comes back without what it had or sent", () => {
  const lost = group();
  lost.watch.ends("b");
  lost.look(new Watched("b", 2).has(1, 1));
  assertEquals(lost.checks(), ["raft_entry_lost"]);
  const other = group();
  other.watch.ends("b");
  other.look(new Watched("b", 2, 2).has(1, 1, 2));
  assertEquals(other.checks()[0], "raft_entry_lost");
  const term = group();
  term.watch.heard(2, "a", { type: "heartbeat_reply", term: 5 });
  term.watch.ends("b");
  term.look(new Watched("b", 2, 4).has(1, 1, 1));
  assertEquals(term.checks(), ["raft_term_lost"]);
  const vote = group();
  vote.watch.heard(2, "a", { type: "vote_reply", term: 5, granted: true });
  vote.watch.ends("b");
  const back = new Watched("b", 2, 5).has(1, 1, 1);
  back.votedFor = "c";
  vote.look(back);
  assertEquals(vote.checks(), ["raft_vote_lost"]);
});

Deno.test("RaftWatch allows entries of a restarted member to be replaced before its node could be observed", () => {
  const { a, b, c, watch, look, checks } = group();
  b.has(1, 1, 1, 1);
  look(b);
  watch.ends("b");
  c.term = 2;
  c.role = "leader";
  c.has(1, 1, 1, 2);
  a.role = "follower";
  a.term = 2;
  a.has(1, 1, 1, 2);
  look(a, c);
  const back = new Watched("b", 2, 2).has(1, 1, 1, 2);
  back.recovered = [1, 1, 1, 1];
  look(back);
  assertEquals(checks(), []);
});

Deno.test("RaftWatch reports two votes of a member in a term, and messages sent before their state is durable", () => {
  const { watch, checks, b } = group();
  watch.heard(2, "a", { type: "vote_reply", term: 5, granted: true });
  watch.heard(2, "a", { type: "vote_reply", term: 5, granted: true });
  assertEquals(checks(), []);
  watch.heard(2, "c", { type: "vote_reply", term: 5, granted: true });
  assertEquals(checks(), ["raft_voted_twice"]);
  const standing = group();
  standing.c.term = 6;
  standing.c.role = "candidate";
  standing.look(standing.c);
  standing.watch.heard(3, "a", {
    type: "vote_reply",
    term: 6,
    granted: true,
  });
  assertEquals(standing.checks(), ["raft_voted_twice"]);
  b.durableIndex = 2;
  watch.heard(2, "a", {
    type: "append_reply",
    term: 1,
    success: true,
    index: 3,
    indexTerm: 1,
  });
  assertEquals(checks().at(-1), "raft_acknowledged_before_durable");
});
