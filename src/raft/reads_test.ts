import { assertEquals } from "@std/assert";
import { memberOf, OneMember } from "./testing/one_member.ts";
import { READS_WAITING_MAX } from "./read_rounds.ts";

let rounds = 0;

/** The member's own reads; `round` in the effects is the returned number. */
function read(a: OneMember): { readonly round: number; lines: string[] } {
  const round = ++rounds;
  return { round, lines: a.step({ type: "read", round }) };
}

function confirm(a: OneMember, from: string, round: number): string[] {
  const { term } = a.state;
  return a.from(from, { type: "confirm_reply", term, round });
}

Deno.test("stepRaft() answers reads when a majority has confirmed that it leads (thesis 6.4)", () => {
  const a = new OneMember({ voters: "abcde" });
  a.leadFirmly("bc");
  const { round, lines } = read(a);
  assertEquals(
    lines,
    ["b", "c", "d", "e"].map((node) =>
      `to ${node}: confirm term=1 round=1 commitIndex=1`
    ),
  );
  assertEquals(confirm(a, "b", 1), []);
  assertEquals(confirm(a, "b", 1), [], "each counts once");
  assertEquals(confirm(a, "d", 1), [`read_ready round=${round} index=1`]);
});

Deno.test("stepRaft() answers reads with the commit index of the time they arrived, not an older one", () => {
  const a = new OneMember();
  a.leadFirmly("bc");
  a.propose();
  a.written();
  const first = read(a).round;
  a.acknowledge("b", 2);
  const second = read(a).round;
  assertEquals(confirm(a, "b", 2), [
    `read_ready round=${first} index=1`,
    `read_ready round=${second} index=2`,
  ]);
});

Deno.test("stepRaft() as the only voter answers reads at once", () => {
  const a = new OneMember({ voters: "a" });
  a.leadFirmly("");
  const { round, lines } = read(a);
  assertEquals(lines, [`read_ready round=${round} index=1`]);
});

Deno.test("stepRaft() holds reads until an entry of its own term is committed (thesis 6.4)", () => {
  const a = new OneMember();
  a.lead();
  const first = read(a);
  assertEquals(first.lines, []);
  const second = read(a);
  a.written();
  assertEquals(a.acknowledge("b", 1), [
    "commit 1",
    "to b: confirm term=1 round=1 commitIndex=1",
    "to c: confirm term=1 round=1 commitIndex=1",
  ]);
  assertEquals(confirm(a, "c", 1), [
    `read_ready round=${first.round} index=1`,
    `read_ready round=${second.round} index=1`,
  ]);
});

Deno.test("stepRaft() lets reads that arrive during a round share the next one", () => {
  const a = new OneMember();
  a.leadFirmly("bc");
  read(a);
  read(a);
  assertEquals(read(a).lines, []);
  assertEquals(read(a).lines, []);
  const lines = confirm(a, "b", 1);
  assertEquals(lines.slice(1), [
    "to b: confirm term=1 round=3 commitIndex=1",
    "to c: confirm term=1 round=3 commitIndex=1",
  ]);
  assertEquals(confirm(a, "b", 3).length, 3, "with the round before it");
});

Deno.test("stepRaft() counts no confirmation of a stranger, a non-voter, another incarnation or another term (ra issue 340)", () => {
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
  a.leadFirmly("b");
  assertEquals(read(a).lines.length, 2, "who has no vote is not asked");
  const reply = { type: "confirm_reply", term: 1, round: 1 } as const;
  assertEquals(a.from("d", reply), []);
  assertEquals(a.from("x", reply), []);
  assertEquals(a.from("b", reply, 99), []);
  assertEquals(a.from("b", { ...reply, term: 0 }), []);
  assertEquals(a.from("b", { ...reply, round: 7 }), [], "never asked");
});

Deno.test("stepRaft() refuses unconfirmed reads when it no longer leads, and starts over in another term (ra issue 340)", () => {
  const a = new OneMember();
  a.leadFirmly("bc");
  const out = read(a).round;
  read(a);
  const waiting = read(a).round;
  assertEquals(a.from("b", { type: "heartbeat_reply", term: 2 }), [
    "persist_vote term=2",
    `read_refused round=${out} reason=not_leader`,
    `read_refused round=${out + 1} reason=not_leader`,
    `read_refused round=${waiting} reason=not_leader`,
    "follower in 2",
  ]);
  a.saved();
  a.leadFirmly("bc");
  read(a);
  assertEquals(
    a.from("b", { type: "confirm_reply", term: 1, round: 1 }),
    [],
    "an answer to a round of the first term",
  );
});

Deno.test("stepRaft() asks a responsive voter again for what it has not confirmed", () => {
  const a = new OneMember();
  a.leadFirmly("bc");
  read(a);
  assertEquals(a.step({ type: "heard_from", node: "b" }), [
    "to b: confirm term=1 round=1 commitIndex=1",
  ]);
  confirm(a, "b", 1);
  assertEquals(a.step({ type: "heard_from", node: "c" }), []);
});

Deno.test("stepRaft() passes a follower's reads to its leader, and returns the answer (thesis 6.4)", () => {
  const a = new OneMember({ log: [1] });
  const lost = read(a);
  assertEquals(lost.lines, [
    `read_refused round=${lost.round} reason=not_leader`,
  ]);
  a.append("b", 1, 1, 1);
  const { round } = read(a);
  const asked = a.effects[0];
  const number = asked?.type === "send" && asked.message.type === "read_index"
    ? asked.message.round
    : 0;
  const reply = { type: "read_index_reply", term: 1, round: number } as const;
  assertEquals(a.from("c", { ...reply, index: 9 }), [], "not its leader");
  assertEquals(a.from("b", { ...reply, index: 7 }), [
    "commit 1",
    `read_ready round=${round} index=7`,
  ]);
  assertEquals(a.from("b", { ...reply, index: 7 }), [], "once");
});

Deno.test("stepRaft() numbers a follower's reads differently in each incarnation, because answers may be late", () => {
  const numbers = [1, 2].map((seed) => {
    const a = new OneMember({ log: [1], seed });
    a.append("b", 1, 1, 1);
    a.step({ type: "read", round: 1 });
    const [asked] = a.effects;
    return asked?.type === "send" && asked.message.type === "read_index" &&
      asked.message.round;
  });
  assertEquals(numbers[0] === numbers[1], false);
});

Deno.test("stepRaft() refuses a follower's reads that were lost before answered ones, and all when its leader is lost", () => {
  const a = new OneMember({ log: [1] });
  a.append("b", 1, 1, 1);
  const first = read(a).round;
  const second = read(a).round;
  const third = read(a).round;
  const { lastForwarded } = a.state;
  assertEquals(
    a.from("b", {
      type: "read_index_reply",
      term: 1,
      round: lastForwarded - 1,
      index: -1,
    }),
    [
      `read_refused round=${first} reason=not_leader`,
      `read_refused round=${second} reason=not_leader`,
    ],
  );
  assertEquals(a.step({ type: "leader_silent" }), [
    `read_refused round=${third} reason=not_leader`,
    "follower in 1",
  ]);
});

Deno.test("stepRaft() answers a follower's reads like its own, and says so when it cannot", () => {
  const a = new OneMember();
  const ask = { type: "read_index", term: 1, round: 5 } as const;
  assertEquals(a.from("c", ask), [
    "to c: read_index_reply term=0 round=5 index=-1",
  ]);
  a.leadFirmly("bc");
  assertEquals(a.from("c", ask).length, 2);
  assertEquals(confirm(a, "b", 1), [
    "to c: read_index_reply term=1 round=5 index=1",
  ]);
});

Deno.test("stepRaft() refuses reads when too many wait", () => {
  const a = new OneMember();
  a.lead();
  for (let i = 0; i < READS_WAITING_MAX; i++) read(a);
  const { round, lines } = read(a);
  assertEquals(lines, [`read_refused round=${round} reason=overload`]);
  assertEquals(a.from("c", { type: "read_index", term: 1, round: 3 }), [
    "to c: read_index_reply term=1 round=3 index=-1",
  ]);
  const follower = new OneMember({ log: [1] });
  follower.append("b", 1, 1, 1);
  for (let i = 0; i < 1024; i++) read(follower);
  assertEquals(read(follower).lines[0]?.endsWith("reason=overload"), true);
});
