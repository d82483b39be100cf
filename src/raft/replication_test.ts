import { assert, assertEquals } from "@std/assert";
import { TELL_AT_ONCE_ENTRIES } from "./leadership.ts";
import { PIPELINE_ENTRIES_MAX, PROBE_ENTRIES_MAX } from "./progress.ts";
import { UNCOMMITTED_ENTRIES_MAX } from "./raft_fsm.ts";
import type { SnapshotMeta } from "./raft_entry.ts";
import { memberOf, OneMember, votersOn } from "./testing/one_member.ts";

function to(node: string, lines: readonly string[]): string[] {
  return lines.filter((line) => line.startsWith(`to ${node}: `))
    .map((line) => line.slice(6));
}

Deno.test("stepRaft() starts to lead with an entry of its own, which it sends to all others at once (paper, 8)", () => {
  const a = new OneMember({ log: [1, 1] });
  assertEquals(a.lead().slice(2), [
    "leader in 2",
    "append 3/2",
    "to b: 3..3 behind 2/1 term=2 commit=0",
    "to c: 3..3 behind 2/1 term=2 commit=0",
  ]);
  assertEquals(a.timerMs, undefined, "a leader waits for none");
});

Deno.test("stepRaft() introduces the version of its machine with its first entry, and never lowers it", () => {
  const versionOf = (a: OneMember) => a.state.log.machineVersion;
  const newer = new OneMember({ machineVersion: 3 });
  newer.lead();
  assertEquals(versionOf(newer), 3);
  const snapshot: SnapshotMeta = {
    index: 2,
    term: 1,
    membership: votersOn("abc"),
    machineVersion: 5,
  };
  const older = new OneMember({ machineVersion: 3, snapshot });
  older.lead();
  assertEquals(versionOf(older), 5);
});

Deno.test("stepRaft() commits what is durable on a majority, including the leader's own disk (paper, 5.3)", () => {
  const a = new OneMember({ voters: "abcde" });
  a.lead("bc");
  assertEquals(a.acknowledge("b", 1), []);
  assertEquals(a.acknowledge("c", 1), [], "two of five, and not its own disk");
  assertEquals(a.written()[0], "commit 1");
});

Deno.test("stepRaft() commits without its own disk when a majority of others has the entry", () => {
  const a = new OneMember();
  a.lead();
  assertEquals(a.acknowledge("b", 1), []);
  assertEquals(a.acknowledge("c", 1)[0], "commit 1");
});

Deno.test("stepRaft() does not commit entries of older terms by counting (paper, 5.4.2, figure 8)", () => {
  const a = new OneMember({ log: [1, 2] });
  a.lead();
  a.written();
  a.from("b", {
    type: "append_reply",
    term: 3,
    success: true,
    index: 2,
    indexTerm: 2,
  });
  assertEquals(a.state.commitIndex, 0);
  assertEquals(a.acknowledge("b", 3)[0], "commit 3");
});

Deno.test("stepRaft() does not count members without a vote (thesis 4.2.1)", () => {
  const a = new OneMember({
    initial: {
      index: 0,
      members: [
        memberOf("a"),
        memberOf("b"),
        memberOf("c"),
        memberOf("d", "non_voter"),
        memberOf("e", "promotable", 99),
      ],
    },
  });
  a.lead();
  a.written();
  a.acknowledge("d", 1);
  a.acknowledge("e", 1);
  assertEquals(a.state.commitIndex, 0);
});

Deno.test("stepRaft() ignores acknowledgements of another incarnation of a member, or of another term", () => {
  const a = new OneMember();
  a.lead();
  a.written();
  assertEquals(a.acknowledge("b", 1, 99), []);
  assertEquals(
    a.from("b", {
      type: "append_reply",
      term: 0,
      success: true,
      index: 1,
      indexTerm: 1,
    }),
    [],
  );
  assertEquals(a.acknowledge("d", 1), []);
  assertEquals(a.state.commitIndex, 0);
});

Deno.test("stepRaft() announces a commit shortly afterwards, unless something is sent sooner", () => {
  const a = new OneMember();
  a.leadFirmly("bc");
  a.propose();
  a.written();
  assertEquals(a.acknowledge("b", 2), [
    "commit 2",
  ], "that it has committed its first entry is yet to be told");
  assertEquals(a.step({ type: "tell_commit" }), [
    "to b: heartbeat term=1 commitIndex=2",
    "to c: heartbeat term=1 commitIndex=2",
  ]);
  assertEquals(a.step({ type: "tell_commit" }), [], "once");
  a.propose();
  a.propose();
  a.written();
  assertEquals(a.acknowledge("b", 3), ["commit 3"], "more is to come");
  assertEquals(a.propose(), [
    "append 5/1",
    "to b: 5..5 behind 4/1 term=1 commit=3",
    "to c: 5..5 behind 4/1 term=1 commit=3",
  ]);
  a.written();
  assertEquals(a.acknowledge("c", 5), ["commit 5", "tell_commit_soon"]);
  assertEquals(a.propose().length, 3);
  assertEquals(a.step({ type: "tell_commit" }), [], "that has gone with 6");
});

Deno.test("stepRaft() announces a commit of many entries at once", () => {
  const a = new OneMember();
  a.leadFirmly("bc");
  a.step({ type: "tell_commit" });
  a.propose(TELL_AT_ONCE_ENTRIES - 1);
  a.written();
  assertEquals(a.acknowledge("b", 32), ["commit 32", "tell_commit_soon"]);
  a.propose(TELL_AT_ONCE_ENTRIES);
  a.written();
  assertEquals(a.acknowledge("b", 64), [
    "commit 64",
    "to b: heartbeat term=1 commitIndex=64",
    "to c: heartbeat term=1 commitIndex=64",
  ]);
});

Deno.test("stepRaft() sends proposals while earlier ones are in flight", () => {
  const a = new OneMember();
  a.leadFirmly("bc");
  assertEquals(to("b", a.propose(3)), ["2..4 behind 1/1 term=1 commit=1"]);
  assertEquals(to("b", a.propose(2)), ["5..6 behind 4/1 term=1 commit=1"]);
});

Deno.test("stepRaft() sends one message at a time to a member whose log it does not know", () => {
  const a = new OneMember();
  a.lead();
  assertEquals(to("c", a.propose()), []);
  a.written();
  assertEquals(to("c", a.acknowledge("c", 1)), [
    "2..2 behind 1/1 term=1 commit=1",
  ]);
});

Deno.test("stepRaft() finds where a log differs, with one refusal per term (paper, end of 5.3)", () => {
  const a = new OneMember({ log: [1, 1, 1, 4, 4, 5] });
  a.lead();
  const refusal = { type: "append_reply", term: 6, success: false } as const;
  assertEquals(a.from("b", { ...refusal, index: 6, indexTerm: 2 }), [
    "to b: 4..7 behind 3/1 term=6 commit=0",
  ]);
  assertEquals(
    a.from("b", { ...refusal, index: 6, indexTerm: 2 }),
    [],
    "the same again",
  );
  assertEquals(a.acknowledge("b", 3), [
    "to b: 4..7 behind 3/1 term=6 commit=0",
  ]);
  assertEquals(
    a.from("b", { ...refusal, index: 2, indexTerm: 1 }),
    [],
    "it has acknowledged more than that",
  );
});

Deno.test("stepRaft() sends few entries while it only guesses what a member has", () => {
  const a = new OneMember({ log: new Array(100).fill(1) });
  a.lead();
  assertEquals(
    a.from("b", {
      type: "append_reply",
      term: 2,
      success: false,
      index: 10,
      indexTerm: 1,
    }),
    [`to b: 11..${10 + PROBE_ENTRIES_MAX} behind 10/1 term=2 commit=0`],
  );
  assertEquals(a.acknowledge("b", 10 + PROBE_ENTRIES_MAX), [
    `to b: ${11 + PROBE_ENTRIES_MAX}..101 behind ${
      10 + PROBE_ENTRIES_MAX
    }/1 term=2 commit=0`,
  ]);
});

Deno.test("stepRaft() has at most PIPELINE_ENTRIES_MAX entries in flight to a member", () => {
  const a = new OneMember();
  a.leadFirmly("bc");
  const last = 1 + PIPELINE_ENTRIES_MAX;
  assertEquals(to("b", a.propose(PIPELINE_ENTRIES_MAX + 10)), [
    `2..${last} behind 1/1 term=1 commit=1`,
  ]);
  assertEquals(to("b", a.propose()), []);
  a.acknowledge("c", 5);
  assertEquals(to("b", a.acknowledge("b", 5)), [
    `${last + 1}..${last + 4} behind ${last}/1 term=1 commit=5`,
  ]);
});

Deno.test("stepRaft() refuses proposals when too many wait for a majority, and accepts them again later", () => {
  const a = new OneMember();
  a.leadFirmly("bc");
  a.propose(UNCOMMITTED_ENTRIES_MAX);
  assertEquals(a.propose(), ["refuse 1 proposals: overload"]);
  a.acknowledge("b", 3);
  a.acknowledge("c", 3);
  assertEquals(a.state.commitIndex, 3);
  assertEquals(
    a.propose(2)[0],
    `append ${UNCOMMITTED_ENTRIES_MAX + 2}/1 ${UNCOMMITTED_ENTRIES_MAX + 3}/1`,
  );
  assertEquals(a.propose(), ["refuse 1 proposals: overload"]);
});

Deno.test("stepRaft() refuses proposals when it does not lead, and ignores an empty batch", () => {
  const a = new OneMember();
  assertEquals(a.propose(2), ["refuse 2 proposals: not_leader"]);
  a.leadFirmly();
  assertEquals(a.propose(0), []);
});

Deno.test("stepRaft() asks a responsive member again for what may have been lost", () => {
  const a = new OneMember();
  a.leadFirmly("b");
  a.propose();
  assertEquals(a.step({ type: "heard_from", node: "b" }), [
    "to b: nothing behind 2/1 term=1 commit=1",
  ]);
  a.acknowledge("b", 2);
  assertEquals(a.step({ type: "heard_from", node: "b" }), []);
  assertEquals(a.step({ type: "heard_from", node: "c" }), [
    "to c: 1..2 behind 0/0 term=1 commit=1",
  ]);
  assertEquals(a.step({ type: "heard_from", node: "x" }), []);
});

Deno.test("stepRaft() answers a member that asks how far its log matches, even if it has everything", () => {
  const a = new OneMember();
  a.lead();
  a.written();
  a.acknowledge("b", 1);
  assertEquals(a.from("b", { type: "heartbeat_reply", term: 1 }), [
    "to b: nothing behind 1/1 term=1 commit=1",
  ]);
});

Deno.test("stepRaft() goes back to the acknowledged index when entries were lost", () => {
  const a = new OneMember();
  a.leadFirmly("bc");
  a.propose(3);
  // It has only the first of them.
  assertEquals(
    a.from("b", {
      type: "append_reply",
      term: 1,
      success: false,
      index: 2,
      indexTerm: 1,
    }),
    ["to b: 3..4 behind 2/1 term=1 commit=1"],
  );
});

Deno.test("stepRaft() sends nothing to a member whose connection has ended, and everything missing when it is back", () => {
  const a = new OneMember();
  a.leadFirmly("bc");
  a.propose();
  a.step({ type: "node_lost", node: "b" });
  assertEquals(to("b", a.propose()), []);
  assertEquals(a.step({ type: "node_back", node: "b" }), [
    "to b: 2..3 behind 1/1 term=1 commit=1",
  ]);
});

Deno.test("stepRaft() sends a snapshot for entries that are gone, and then the entries after it (paper, 7)", () => {
  const snapshot: SnapshotMeta = {
    index: 4,
    term: 1,
    membership: votersOn("abc"),
    machineVersion: 0,
  };
  const a = new OneMember({ snapshot, log: [1, 1] });
  a.lead();
  assertEquals(
    a.from("b", {
      type: "append_reply",
      term: 2,
      success: false,
      index: 1,
      indexTerm: 1,
    }),
    ["send_snapshot to=b term=2"],
  );
  assertEquals(to("b", a.propose()), []);
  assertEquals(a.step({ type: "heard_from", node: "b" }), []);
  assertEquals(
    a.step({ type: "snapshot_sent", to: "b", index: 4, ok: true }),
    ["to b: 5..8 behind 4/1 term=2 commit=4"],
  );
});

Deno.test("stepRaft() tries a snapshot again when the member next answers", () => {
  const a = new OneMember({ log: [1] });
  a.lead();
  assertEquals(a.step({ type: "entries_missing", to: "b" }), [
    "send_snapshot to=b term=2",
  ]);
  assertEquals(a.step({ type: "entries_missing", to: "b" }), []);
  assertEquals(
    a.step({ type: "snapshot_sent", to: "b", index: 0, ok: false }),
    [],
  );
  assertEquals(a.step({ type: "heard_from", node: "b" }).length, 1);
});

Deno.test("stepRaft() needs no snapshot for a member that caught up without it", () => {
  const a = new OneMember();
  a.leadFirmly("bc");
  a.step({ type: "entries_missing", to: "b" });
  a.propose();
  assertEquals(to("b", a.acknowledge("b", 1)), [
    "2..2 behind 1/1 term=1 commit=1",
  ]);
  assertEquals(
    a.step({ type: "snapshot_sent", to: "b", index: 1, ok: true }),
    [],
  );
});

Deno.test("stepRaft() allocates one effect for each member and batch, whatever its size", () => {
  const a = new OneMember();
  a.leadFirmly("bc");
  a.propose(500);
  assert(a.effects.length === 3);
});
