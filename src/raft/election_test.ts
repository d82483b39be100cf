import { assert, assertEquals } from "@std/assert";
import {
  ELECTION_TIMEOUT_MS_MAX,
  ELECTION_TIMEOUT_MS_MIN,
  LEADERLESS_TIMEOUT_MS_MAX,
  LEADERLESS_TIMEOUT_MS_MIN,
  ROUND_TIMEOUT_MS_MIN,
} from "./election_timeouts.ts";
import {
  memberOf,
  membershipEntry,
  noopEntry,
  OneMember,
  type OneMemberOptions,
  votersOn,
} from "./testing/one_member.ts";

/** A follower of `b` in term 1, which has its first entry. */
function followerOfB(options: OneMemberOptions = {}): OneMember {
  const member = new OneMember({ term: 1, ...options });
  member.append("b", 1, 0, 0, [noopEntry(1, 1, 0)]);
  member.written(1);
  return member;
}

function preVote(term: number, lastIndex: number, lastTerm: number) {
  const machineVersion = 0;
  return {
    type: "pre_vote",
    term,
    lastIndex,
    lastTerm,
    machineVersion,
  } as const;
}

function vote(
  term: number,
  lastIndex: number,
  lastTerm: number,
  transfer = false,
) {
  return { type: "vote", term, lastIndex, lastTerm, transfer } as const;
}

Deno.test("createRaft() starts a follower that waits for the timeout of a silent leader (paper, 5.2)", () => {
  for (let seed = 0; seed < 20; seed++) {
    const { state, timerMs = 0 } = new OneMember({ seed });
    assertEquals(state.role, "follower");
    assert(timerMs >= ELECTION_TIMEOUT_MS_MIN);
    assert(timerMs <= ELECTION_TIMEOUT_MS_MAX);
  }
});

Deno.test("createRaft() lets a single voter run at once, and lead when its vote is durable", () => {
  const a = new OneMember({ voters: "a" });
  assertEquals(a.state.role, "candidate");
  assertEquals(a.saved(), ["leader in 1", "append 1/1"]);
  assertEquals(a.written(), ["commit 1"]);
});

Deno.test("stepRaft() asks for pre-votes first, which change no term (thesis 9.6)", () => {
  const a = new OneMember({ log: [1, 2] });
  assertEquals(a.step({ type: "election_timeout" }), [
    "pre_candidate in 2",
    "to b: pre_vote term=3 lastIndex=2 lastTerm=2 machineVersion=0",
    "to c: pre_vote term=3 lastIndex=2 lastTerm=2 machineVersion=0",
  ]);
  assertEquals(a.state.term, 2);
});

Deno.test("stepRaft() asks for votes only after its own vote and term are durable (paper, figure 2)", () => {
  const a = new OneMember();
  a.step({ type: "election_timeout" });
  assertEquals(
    a.from("b", { type: "pre_vote_reply", term: 1, granted: true }),
    ["persist_vote term=1 votedFor=a", "candidate in 1"],
  );
  assertEquals(a.saved(), [
    "to b: vote term=1 lastIndex=0 lastTerm=0 transfer=false",
    "to c: vote term=1 lastIndex=0 lastTerm=0 transfer=false",
  ]);
});

Deno.test("stepRaft() leads with a majority of votes, each voter counted once (paper, 5.2)", () => {
  const a = new OneMember({ voters: "abcde" });
  a.step({ type: "election_timeout" });
  const granted = { type: "pre_vote_reply", term: 1, granted: true } as const;
  assertEquals(a.from("b", granted), []);
  assertEquals(a.from("b", granted), []);
  assertEquals(a.from("c", granted)[0], "persist_vote term=1 votedFor=a");
  a.saved();
  const reply = { type: "vote_reply", term: 1, granted: true } as const;
  assertEquals(a.from("d", reply), []);
  assertEquals(a.from("d", reply), []);
  assertEquals(a.from("e", reply).slice(0, 2), ["leader in 1", "append 1/1"]);
});

Deno.test("stepRaft() counts no vote of a stranger, or of another incarnation of a member", () => {
  const a = new OneMember();
  a.step({ type: "election_timeout" });
  const granted = { type: "pre_vote_reply", term: 1, granted: true } as const;
  assertEquals(a.from("d", granted), []);
  assertEquals(a.from("b", granted, 99), []);
  assertEquals(a.state.role, "pre_candidate");
  const refused = { type: "pre_vote_reply", term: 9, granted: false } as const;
  assertEquals(a.from("b", refused, 99), [], "its term does not count either");
});

Deno.test("stepRaft() counts no vote given in another term", () => {
  const a = new OneMember();
  a.step({ type: "election_timeout" });
  a.from("b", { type: "pre_vote_reply", term: 1, granted: true });
  a.saved();
  a.step({ type: "election_timeout" });
  a.from("b", { type: "pre_vote_reply", term: 2, granted: true });
  a.saved();
  assertEquals(a.state.term, 2);
  assertEquals(a.from("b", { type: "vote_reply", term: 1, granted: true }), []);
  assertEquals(a.state.role, "candidate");
});

Deno.test("stepRaft() counts no vote before its own is durable, so a late pre-vote elects nobody", () => {
  const a = new OneMember();
  a.step({ type: "election_timeout" });
  a.from("b", { type: "pre_vote_reply", term: 1, granted: true });
  assertEquals(a.from("b", { type: "vote_reply", term: 1, granted: true }), []);
  assertEquals(a.from("c", { type: "vote_reply", term: 1, granted: true }), []);
  assertEquals(a.state.role, "candidate");
});

Deno.test("stepRaft() sends a vote only when it is durable, and no other one in that term (paper, 5.2)", () => {
  const a = new OneMember();
  assertEquals(a.from("b", vote(1, 0, 0)), [
    "persist_vote term=1 votedFor=b",
    "follower in 1",
  ]);
  assertEquals(a.saved(), ["to b: vote_reply term=1 granted=true"]);
  assertEquals(a.from("c", vote(1, 5, 1)), [
    "to c: vote_reply term=1 granted=false",
  ]);
  assertEquals(a.from("b", vote(1, 0, 0)), [
    "to b: vote_reply term=1 granted=true",
  ], "the same one may ask again");
});

Deno.test("stepRaft() does not run against a candidate it has voted for", () => {
  const a = new OneMember({ term: 3 });
  a.step({ type: "election_timeout" });
  assertEquals(a.from("b", vote(3, 0, 0)), [
    "persist_vote term=3 votedFor=b",
    "follower in 3",
  ]);
  assertEquals(
    a.from("c", { type: "pre_vote_reply", term: 4, granted: true }),
    [],
  );
});

Deno.test("stepRaft() remembers its vote across a restart (paper, figure 2)", () => {
  const a = new OneMember({ term: 3, votedFor: "b" });
  assertEquals(a.from("c", vote(3, 9, 3)), [
    "to c: vote_reply term=3 granted=false",
  ]);
});

Deno.test("stepRaft() sends nothing in a new term before that term is durable", () => {
  const a = new OneMember({ log: [1, 1] });
  assertEquals(a.append("b", 5, 2, 1), [
    "persist_vote term=5",
    "follower of b in 5",
  ]);
  assertEquals(
    a.from("b", { type: "confirm", term: 5, round: 1, commitIndex: 0 }),
    [],
  );
  // A durable vote of an older term does not count for this one.
  assertEquals(
    a.step({ type: "vote_persisted", term: 1, votedFor: undefined }),
    [],
  );
  assertEquals(a.saved(), [
    "to b: append_reply term=5 success=true index=2 indexTerm=1",
    "to b: confirm_reply term=5 round=1",
  ]);
});

Deno.test("stepRaft() does not vote for a candidate whose log is behind its own (paper, 5.4.1)", () => {
  const logs = [
    { lastIndex: 3, lastTerm: 2, granted: true },
    { lastIndex: 2, lastTerm: 2, granted: false },
    { lastIndex: 9, lastTerm: 1, granted: false },
    { lastIndex: 1, lastTerm: 3, granted: true },
  ];
  for (const { lastIndex, lastTerm, granted } of logs) {
    const a = new OneMember({ log: [1, 1, 2] });
    const asked = a.from("b", preVote(4, lastIndex, lastTerm));
    assertEquals(asked, [
      `to b: pre_vote_reply term=${granted ? 4 : 2} granted=${granted}`,
    ]);
    a.from("b", vote(4, lastIndex, lastTerm));
    assertEquals(a.saved(), [`to b: vote_reply term=4 granted=${granted}`]);
  }
});

Deno.test("stepRaft() adopts a higher term even from a candidate it does not vote for (paper, 5.1)", () => {
  const a = new OneMember({ log: [1, 1, 2] });
  assertEquals(a.from("b", vote(7, 1, 1)), [
    "persist_vote term=7",
    "follower in 7",
  ]);
  assertEquals(a.state.term, 7);
});

Deno.test("stepRaft() refuses votes and pre-votes while it believes its leader is alive (thesis 4.2.3, 9.6)", () => {
  const a = followerOfB();
  assertEquals(a.from("c", preVote(2, 9, 1)), [
    "to c: pre_vote_reply term=1 granted=false",
  ]);
  assertEquals(a.from("c", vote(2, 9, 1)), [
    "to c: vote_reply term=1 granted=false",
  ]);
  assertEquals(a.state.term, 1);
});

Deno.test("stepRaft() votes despite a live leader if the asker is that leader, or was asked by it to run (thesis 3.10)", () => {
  assertEquals(followerOfB().from("b", preVote(2, 1, 1)), [
    "to b: pre_vote_reply term=2 granted=true",
  ]);
  const a = followerOfB();
  assertEquals(a.from("c", vote(2, 1, 1, true)), [
    "persist_vote term=2 votedFor=c",
    "follower in 2",
  ]);
});

Deno.test("stepRaft() as a leader is deposed by a vote only after a transfer (thesis 4.2.3)", () => {
  const a = new OneMember();
  a.leadFirmly();
  assertEquals(a.from("c", vote(9, 9, 9)), [
    "to c: vote_reply term=1 granted=false",
  ]);
  assertEquals(a.state.role, "leader");
  a.from("c", vote(2, 9, 1, true));
  assertEquals(a.state.role, "follower");
});

Deno.test("stepRaft() waits briefly when its leader is known to be lost, and long when it is silent", () => {
  const events = [
    { type: "node_lost", node: "b" },
    { type: "leader_silent" },
  ] as const;
  for (const event of events) {
    for (let seed = 0; seed < 20; seed++) {
      const a = followerOfB({ seed });
      assert((a.timerMs ?? 0) >= ELECTION_TIMEOUT_MS_MIN);
      assertEquals(a.step(event), ["follower in 1"]);
      assert((a.timerMs ?? 0) >= LEADERLESS_TIMEOUT_MS_MIN);
      assert((a.timerMs ?? 0) <= LEADERLESS_TIMEOUT_MS_MAX);
    }
  }
  const a = followerOfB();
  assertEquals(a.step({ type: "node_lost", node: "c" }), []);
});

Deno.test("stepRaft() restarts its timer with each message of its leader, with the same timeout", () => {
  const a = followerOfB();
  const { timerMs } = a;
  const words = [
    { type: "heartbeat", term: 1, commitIndex: 0 },
    { type: "confirm", term: 1, round: 1, commitIndex: 0 },
  ] as const;
  for (const word of words) {
    a.timerMs = undefined;
    a.from("b", word);
    assertEquals(a.timerMs, timerMs);
  }
  a.timerMs = undefined;
  a.from("c", preVote(2, 1, 1));
  assertEquals(a.timerMs, undefined);
});

Deno.test("stepRaft() waits longer after each failed attempt, so that ties end", () => {
  const longest = [0, 0, 0, 0, 0, 0];
  for (let seed = 0; seed < 200; seed++) {
    const a = followerOfB({ seed });
    a.step({ type: "node_lost", node: "b" });
    for (let attempt = 0; attempt < longest.length; attempt++) {
      longest[attempt] = Math.max(longest[attempt] ?? 0, a.timerMs ?? 0);
      a.step({ type: "election_timeout" });
      a.from("b", { type: "pre_vote_reply", term: 1, granted: false });
      a.from("c", { type: "pre_vote_reply", term: 1, granted: false });
      assertEquals(a.state.role, "follower");
    }
  }
  [150, 300, 600, 1200, 2000, 2000].forEach((limitMs, attempt) => {
    const ms = longest[attempt] ?? 0;
    assert(ms <= limitMs && ms > 0.9 * limitMs, `${ms} of ${limitMs}`);
  });
});

Deno.test("stepRaft() loses a round when refusals and lost members leave no majority", () => {
  const a = followerOfB();
  a.step({ type: "node_lost", node: "b" });
  a.step({ type: "election_timeout" });
  const refused = { type: "pre_vote_reply", term: 1, granted: false } as const;
  assertEquals(a.from("c", refused), ["follower in 1"]);
  a.step({ type: "node_back", node: "b" });
  a.step({ type: "election_timeout" });
  assertEquals(a.from("c", refused), [], "b may still answer");
});

Deno.test("stepRaft() loses no round before a member has refused, whichever are said to be lost", () => {
  const a = new OneMember({ voters: "ab" });
  a.step({ type: "election_timeout" });
  a.from("b", { type: "pre_vote_reply", term: 1, granted: true });
  a.step({ type: "node_lost", node: "b" });
  assertEquals(a.saved(), [
    "to b: vote term=1 lastIndex=0 lastTerm=0 transfer=false",
  ]);
  assertEquals(a.state.role, "candidate");
});

Deno.test("stepRaft() gives way when two ask each other: to the more recent log, or the smaller name", () => {
  const rounds = [
    { node: "b", from: "a", lastIndex: 2, givesWay: true },
    { node: "a", from: "b", lastIndex: 2, givesWay: false },
    { node: "a", from: "b", lastIndex: 3, givesWay: true },
    { node: "b", from: "a", lastIndex: 1, givesWay: false },
    { node: "d", from: "c", lastIndex: 2, uid: 99, givesWay: false },
  ];
  for (const { node, from, lastIndex, uid, givesWay } of rounds) {
    const member = new OneMember({ node, voters: "abcde", log: [1, 1] });
    member.step({ type: "election_timeout" });
    member.from(from, preVote(2, lastIndex, 1), uid);
    const role = givesWay ? "follower" : "pre_candidate";
    assertEquals(member.state.role, role);
    assert((member.timerMs ?? 0) >= ROUND_TIMEOUT_MS_MIN);
  }
});

Deno.test("stepRaft() starts no new term while its own disk does not have this one", () => {
  const a = new OneMember();
  a.step({ type: "election_timeout" });
  a.from("b", { type: "pre_vote_reply", term: 1, granted: true });
  assertEquals(a.step({ type: "election_timeout" }), []);
  assertEquals(a.state.role, "candidate");
  assert((a.timerMs ?? 0) >= ROUND_TIMEOUT_MS_MIN);
  a.saved();
  assertEquals(a.step({ type: "election_timeout" })[0], "pre_candidate in 1");
});

Deno.test("stepRaft() adopts the term of a refusal, and asks again for a higher one (paper, 5.1)", () => {
  const a = new OneMember({ log: [1] });
  a.step({ type: "election_timeout" });
  assertEquals(
    a.from("b", { type: "pre_vote_reply", term: 6, granted: false }),
    ["persist_vote term=6", "follower in 6"],
  );
  assertEquals(
    a.step({ type: "election_timeout" })[1],
    "to b: pre_vote term=7 lastIndex=1 lastTerm=1 machineVersion=0",
  );
});

Deno.test("stepRaft() as a candidate follows the leader of its term (paper, 5.2)", () => {
  const a = new OneMember();
  a.step({ type: "election_timeout" });
  a.from("b", { type: "pre_vote_reply", term: 1, granted: true });
  a.saved();
  assertEquals(a.append("c", 1, 0, 0, [noopEntry(1, 1, 0)]), [
    "follower of c in 1",
    "append 1/1",
  ]);
});

Deno.test("stepRaft() does not elect a candidate that cannot run the machine version in the log", () => {
  const a = new OneMember({ machineVersion: 2 });
  a.append("b", 1, 0, 0, [noopEntry(1, 1, 2)]);
  a.saved();
  a.step({ type: "leader_silent" });
  const asked = preVote(2, 1, 1);
  assertEquals(a.from("c", { ...asked, machineVersion: 1 }), [
    "to c: pre_vote_reply term=1 granted=false",
  ]);
  assertEquals(a.from("c", { ...asked, machineVersion: 2 }), [
    "to c: pre_vote_reply term=2 granted=true",
  ]);
  // After a restart it knows the version from its machine.
  const again = new OneMember({ log: [1], machineVersion: 2, commitIndex: 1 });
  again.step({ type: "applied", index: 1, machineVersion: 2 });
  assertEquals(again.from("c", { ...asked, machineVersion: 1 }), [
    "to c: pre_vote_reply term=1 granted=false",
  ]);
});

Deno.test("stepRaft() does not run as a non-voter, as another incarnation of a voter, or as no member (thesis 4.2.1)", () => {
  const others = [
    new OneMember({
      initial: {
        index: 0,
        members: [memberOf("a", "non_voter"), memberOf("b")],
      },
    }),
    new OneMember({
      initial: {
        index: 0,
        members: [memberOf("a", "promotable", 5), memberOf("b")],
      },
    }),
    new OneMember({ voters: "bc" }),
    new OneMember({ uid: 77 }),
  ];
  for (const a of others) {
    assertEquals(a.step({ type: "election_timeout" }), []);
    assertEquals(a.from("b", { type: "timeout_now", term: 0 }), [
      "follower of b in 0",
    ]);
    assertEquals(a.step({ type: "leader_silent" }), ["follower in 0"]);
    assertEquals(a.timerMs, undefined);
  }
});

Deno.test("stepRaft() votes even for a candidate that is not a member as far as it knows (thesis 4.1)", () => {
  const a = new OneMember();
  assertEquals(a.from("d", vote(1, 0, 0)), [
    "persist_vote term=1 votedFor=d",
    "follower in 1",
  ]);
});

Deno.test("stepRaft() runs although its removal is in its log, until that is committed, and does not count itself (thesis 4.2.2)", () => {
  const a = new OneMember({ log: [1] });
  a.append("b", 1, 1, 1, [membershipEntry(2, 1, votersOn("bc"))]);
  a.written();
  a.step({ type: "leader_silent" });
  assertEquals(a.step({ type: "election_timeout" })[0], "pre_candidate in 1");
  assertEquals(
    a.from("b", { type: "pre_vote_reply", term: 2, granted: true }),
    [],
    "one of b and c is no majority",
  );
  assertEquals(
    a.from("c", { type: "pre_vote_reply", term: 2, granted: true })[0],
    "persist_vote term=2 votedFor=a",
  );

  const gone = new OneMember({ log: [1] });
  gone.append("b", 1, 1, 1, [membershipEntry(2, 1, votersOn("bc"))], 2);
  gone.step({ type: "leader_silent" });
  assertEquals(gone.step({ type: "election_timeout" }), []);
});

Deno.test("stepRaft() runs at once, without pre-votes, when its leader asks it to (thesis 3.10)", () => {
  const a = followerOfB();
  assertEquals(a.from("b", { type: "timeout_now", term: 1 }), [
    "persist_vote term=2 votedFor=a",
    "candidate in 2",
  ]);
  assertEquals(a.saved(), [
    "to b: vote term=2 lastIndex=1 lastTerm=1 transfer=true",
    "to c: vote term=2 lastIndex=1 lastTerm=1 transfer=true",
  ]);
  assertEquals(
    followerOfB().from("b", { type: "timeout_now", term: 0 }),
    ["to b: heartbeat_reply term=1"],
    "the wish of a leader that is none any more does not count",
  );
});

Deno.test("stepRaft() tells a leader of an older term about its own (paper, 5.1)", () => {
  const messages = [
    {
      type: "append",
      term: 1,
      prevIndex: 0,
      prevTerm: 0,
      commitIndex: 0,
      entries: [],
    },
    { type: "heartbeat", term: 1, commitIndex: 0 },
    { type: "confirm", term: 1, round: 1, commitIndex: 0 },
    { type: "timeout_now", term: 1 },
  ] as const;
  for (const message of messages) {
    const a = new OneMember({ term: 4 });
    assertEquals(a.from("b", message), ["to b: heartbeat_reply term=4"]);
    assertEquals(a.state.leader, undefined);
  }
});

Deno.test("stepRaft() as a leader steps down for a higher term (paper, 5.1)", () => {
  const a = new OneMember();
  a.leadFirmly();
  assertEquals(a.from("b", { type: "heartbeat_reply", term: 5 }), [
    "persist_vote term=5",
    "follower in 5",
  ]);
});

Deno.test("stepRaft() as a leader that hears no majority steps down, and says so (thesis 6.2)", () => {
  const a = new OneMember({ voters: "abcde" });
  a.leadFirmly("bc");
  assertEquals(a.step({ type: "quorum_check" }), [], "it has only just begun");
  a.step({ type: "heard_from", node: "b" });
  a.acknowledge("c", 1);
  assertEquals(a.step({ type: "quorum_check" }), []);
  a.step({ type: "heard_from", node: "b" });
  assertEquals(a.step({ type: "quorum_check" }), ["follower in 1"]);
});

Deno.test("stepRaft() does not count non-voters when it looks for a majority", () => {
  const a = new OneMember({
    initial: {
      index: 0,
      members: [
        memberOf("a"),
        memberOf("b"),
        memberOf("c"),
        memberOf("d", "non_voter"),
      ],
    },
  });
  a.leadFirmly();
  a.step({ type: "quorum_check" });
  a.step({ type: "heard_from", node: "d" });
  assertEquals(a.step({ type: "quorum_check" }), ["follower in 1"]);
});

Deno.test("stepRaft() never runs again once its disk fails, and gives no vote", () => {
  const a = followerOfB();
  a.step({ type: "disk_failing" });
  assertEquals(a.from("b", { type: "timeout_now", term: 1 }), []);
  a.step({ type: "leader_silent" });
  assertEquals(a.timerMs, undefined);
  assertEquals(a.step({ type: "election_timeout" }), []);
  assertEquals(a.from("c", preVote(2, 9, 9)), [
    "to c: pre_vote_reply term=1 granted=false",
  ]);
  assertEquals(a.from("c", vote(2, 9, 9)), [
    "persist_vote term=2",
    "follower in 2",
  ]);
});

Deno.test("stepRaft() with forced members runs for these alone, and puts them into its log", () => {
  const a = new OneMember({ log: [1, 1] });
  assertEquals(
    a.step({ type: "force_membership", members: [memberOf("a")] }),
    ["members a/1", "persist_vote term=2 votedFor=a", "candidate in 2"],
  );
  assertEquals(a.saved(), ["leader in 2", "append 3/2 4/2", "members a/1"]);
  assertEquals(a.written(), ["commit 4"]);
  assertEquals(a.state.membership, { index: 4, members: [memberOf("a")] });
});

Deno.test("stepRaft() forgets forced members when there is a leader after all", () => {
  const a = new OneMember({ log: [1, 1] });
  a.step({ type: "force_membership", members: [memberOf("a"), memberOf("d")] });
  assertEquals(a.state.role, "pre_candidate");
  assertEquals(a.append("b", 1, 2, 1), [
    "members a/1 b/2 c/3",
    "follower of b in 1",
    "to b: append_reply term=1 success=true index=2 indexTerm=1",
  ]);
});
