import { assertEquals } from "@std/assert";
import type { MembershipChange } from "./raft_fsm.ts";
import {
  entriesOf,
  memberOf,
  OneMember,
  uidOf,
  votersOn,
} from "./testing/one_member.ts";

let requests = 0;

function change(a: OneMember, change: MembershipChange): string[] {
  const request = ++requests;
  return a.step({ type: "change_membership", request, change })
    .map((line) => line.replace(` request=${request}`, ""));
}

function add(
  a: OneMember,
  node: string,
  kind: "voter" | "promotable" | "non_voter" = "voter",
  uid: number = uidOf(node),
): string[] {
  return change(a, { type: "add", node, uid, kind });
}

function remove(a: OneMember, node: string): string[] {
  return change(a, { type: "remove", node });
}

function transfer(a: OneMember, to: string): string[] {
  const request = ++requests;
  return a.step({ type: "transfer_leadership", request, to })
    .map((line) => line.replace(` request=${request}`, ""));
}

Deno.test("stepRaft() adds a member that counts as soon as it is in the log (thesis 4.1)", () => {
  const a = new OneMember();
  a.leadFirmly("bc");
  assertEquals(add(a, "d"), [
    "change_begun index=2 term=1",
    "append 2/1",
    "members a/1 b/2 c/3 d/4",
    "to b: 2..2 behind 1/1 term=1 commit=1",
    "to c: 2..2 behind 1/1 term=1 commit=1",
    "to d: nothing behind 2/1 term=1 commit=1",
  ]);
  a.written();
  a.acknowledge("b", 2);
  assertEquals(a.state.commitIndex, 1, "two of four are no majority");
  a.acknowledge("c", 2);
  assertEquals(a.state.commitIndex, 2);
});

Deno.test("stepRaft() removes a member, which is sent nothing more and no longer counts (thesis 4.1)", () => {
  const a = new OneMember();
  a.leadFirmly("bc");
  assertEquals(remove(a, "c"), [
    "change_begun index=2 term=1",
    "append 2/1",
    "members a/1 b/2",
    "to b: 2..2 behind 1/1 term=1 commit=1",
  ]);
  a.written();
  assertEquals(a.acknowledge("c", 2), []);
  assertEquals(a.acknowledge("b", 2)[0], "commit 2");
});

Deno.test("stepRaft() allows no change while another is not committed (thesis 4.1)", () => {
  const a = new OneMember();
  a.leadFirmly("bc");
  add(a, "d");
  assertEquals(add(a, "e"), [
    "request_refused reason=cluster_change_not_permitted",
  ]);
  a.written();
  a.acknowledge("b", 2);
  a.acknowledge("c", 2);
  assertEquals(add(a, "e")[0], "change_begun index=3 term=1");
});

Deno.test("stepRaft() allows no change before an entry of its own term is committed (raft-dev, 2015)", () => {
  const a = new OneMember();
  a.lead();
  assertEquals(add(a, "d"), [
    "request_refused reason=cluster_change_not_permitted",
  ]);
  a.written();
  a.acknowledge("b", 1);
  assertEquals(add(a, "d")[0], "change_begun index=2 term=1");
});

Deno.test("stepRaft() refuses changes that would change nothing, or leave no voter", () => {
  const a = new OneMember({
    initial: { index: 0, members: [memberOf("a"), memberOf("b", "non_voter")] },
  });
  a.leadFirmly("");
  assertEquals(add(a, "b"), ["request_refused reason=already_member"]);
  assertEquals(remove(a, "c"), ["request_refused reason=not_member"]);
  assertEquals(remove(a, "a"), [
    "request_refused reason=cluster_change_not_permitted",
  ]);
  assertEquals(add(a, "a", "voter", 99), [
    "request_refused reason=already_member",
  ], "it lives");
  assertEquals(add(new OneMember(), "d"), [
    "request_refused reason=not_leader",
  ]);
});

Deno.test("stepRaft() makes a promotable member a voter when it has reached its target (thesis 4.2.1)", () => {
  const a = new OneMember();
  a.leadFirmly("bc");
  add(a, "d", "promotable");
  assertEquals(a.state.membership.members.at(-1), {
    node: "d",
    uid: 4,
    kind: "promotable",
    target: 2,
  });
  a.written();
  a.acknowledge("b", 2);
  a.acknowledge("d", 1);
  assertEquals(a.state.membership.index, 2);
  assertEquals(a.acknowledge("d", 2), [
    "append 3/1",
    "members a/1 b/2 c/3 d/4",
    "to b: 3..3 behind 2/1 term=1 commit=2",
    "to c: 3..3 behind 2/1 term=1 commit=2",
    "to d: 3..3 behind 2/1 term=1 commit=2",
  ]);
});

Deno.test("stepRaft() promotes voters one at a time, each when the previous change is committed", () => {
  const a = new OneMember({
    initial: {
      index: 0,
      members: [
        memberOf("a"),
        memberOf("b", "promotable", 1),
        memberOf("c", "promotable", 1),
      ],
    },
  });
  a.lead("");
  assertEquals(
    a.acknowledge("b", 1),
    [],
    "its own first entry is not committed",
  );
  a.acknowledge("c", 1);
  assertEquals(a.written().filter((line) => line.startsWith("members")), [
    "members a/1 b/2 c/3 (promotable)",
  ]);
  a.written();
  assertEquals(
    a.acknowledge("b", 2).filter((line) => line.startsWith("members")),
    ["members a/1 b/2 c/3"],
  );
});

Deno.test("stepRaft() re-adds a member that has lost its log under a new uid, without a vote until it has caught up", () => {
  const a = new OneMember();
  a.leadFirmly("bc");
  assertEquals(add(a, "c", "voter", 9).slice(0, 3), [
    "change_begun index=2 term=1",
    "append 2/1",
    "members a/1 b/2 c/9 (promotable)",
  ]);
  a.written();
  assertEquals(
    a.acknowledge("c", 2),
    [],
    "what its old life says is not heard",
  );
  assertEquals(a.acknowledge("c", 2, 9), [], "its new one has no vote");
  assertEquals(a.acknowledge("b", 2).slice(0, 3), [
    "commit 2",
    "append 3/1",
    "members a/1 b/2 c/9",
  ]);
});

Deno.test("stepRaft() leads until its own removal is committed, without counting itself, and then steps down (thesis 4.2.2)", () => {
  const a = new OneMember();
  a.leadFirmly("bc");
  assertEquals(remove(a, "a").slice(0, 3), [
    "change_begun index=2 term=1",
    "append 2/1",
    "members b/2 c/3",
  ]);
  a.propose();
  a.written();
  assertEquals(a.acknowledge("b", 3), [], "one of two, its own disk apart");
  const lines = a.acknowledge("c", 2);
  assertEquals([lines[0], lines.at(-1)], ["commit 2", "follower in 1"]);
  assertEquals(a.timerMs, undefined);
  assertEquals(a.step({ type: "election_timeout" }), []);
});

Deno.test("stepRaft() after removing itself asks an up-to-date voter to run, so that nobody waits (thesis 4.2.2)", () => {
  const a = new OneMember();
  a.leadFirmly("bc");
  remove(a, "a");
  a.acknowledge("b", 2);
  assertEquals(a.acknowledge("c", 2), [
    "commit 2",
    "to b: heartbeat term=1 commitIndex=2",
    "to c: heartbeat term=1 commitIndex=2",
    "to b: timeout_now term=1",
    "follower in 1",
  ]);
});

Deno.test("stepRaft() after removing itself looks for a majority of the others", () => {
  const a = new OneMember({ voters: "abcde" });
  a.leadFirmly("bcde");
  remove(a, "a");
  a.step({ type: "quorum_check" });
  a.step({ type: "heard_from", node: "b" });
  a.step({ type: "heard_from", node: "c" });
  assertEquals(a.step({ type: "quorum_check" }), ["follower in 1"]);
});

Deno.test("stepRaft() commits entries for which fewer voters suffice after a removal", () => {
  const a = new OneMember({ voters: "ab" });
  a.leadFirmly();
  a.propose();
  a.written();
  assertEquals(remove(a, "b"), [
    "change_begun index=3 term=1",
    "append 3/1",
    "members a/1",
    "commit 2",
  ]);
});

Deno.test("stepRaft() transfers leadership to an up-to-date member, and accepts no proposals until then (thesis 3.10)", () => {
  const a = new OneMember();
  a.leadFirmly("bc");
  a.propose();
  assertEquals(transfer(a, "b"), [], "it lacks an entry");
  assertEquals(a.propose(), ["refuse 1 proposals: transferring"]);
  assertEquals(add(a, "d"), ["request_refused reason=transferring"]);
  assertEquals(transfer(a, "c"), ["request_refused reason=transferring"]);
  assertEquals(a.acknowledge("b", 2), ["to b: timeout_now term=1"]);
  assertEquals(a.acknowledge("b", 2), [], "once");
});

Deno.test("stepRaft() reports how a transfer ended when it knows who leads", () => {
  for (
    const { leader, ok } of [{ leader: "b", ok: true }, {
      leader: "c",
      ok: false,
    }]
  ) {
    const a = new OneMember();
    a.leadFirmly("bc");
    assertEquals(transfer(a, "b"), ["to b: timeout_now term=1"]);
    a.from("b", {
      type: "vote",
      term: 2,
      lastIndex: 1,
      lastTerm: 1,
      transfer: true,
    });
    const lines = a.append(leader, 2, 1, 1, entriesOf(2, 2));
    assertEquals(lines[0], `follower of ${leader} in 2`);
    assertEquals(lines[1], `transfer_ended request=${requests} ok=${ok}`);
  }
});

Deno.test("stepRaft() refuses to transfer leadership to itself, a stranger or a member without a vote", () => {
  const a = new OneMember({
    initial: { index: 0, members: [memberOf("a"), memberOf("b", "non_voter")] },
  });
  assertEquals(transfer(a, "b"), ["request_refused reason=not_leader"]);
  a.leadFirmly("");
  assertEquals(transfer(a, "a"), ["request_refused reason=already_leader"]);
  assertEquals(transfer(a, "b"), ["request_refused reason=non_voter"]);
  assertEquals(transfer(a, "x"), ["request_refused reason=unknown_member"]);
});

Deno.test("stepRaft() gives up a transfer after a time, and accepts proposals again (thesis 3.10)", () => {
  const behind = new OneMember();
  behind.leadFirmly("bc");
  behind.propose();
  transfer(behind, "b");
  assertEquals(behind.step({ type: "quorum_check" }), []);
  behind.step({ type: "heard_from", node: "c" });
  assertEquals(behind.step({ type: "quorum_check" }), [
    `request_refused request=${requests} reason=not_up_to_date`,
  ]);
  assertEquals(behind.propose()[0], "append 3/1");

  const asked = new OneMember();
  asked.leadFirmly("bc");
  transfer(asked, "b");
  asked.step({ type: "quorum_check" });
  asked.step({ type: "heard_from", node: "c" });
  assertEquals(asked.step({ type: "quorum_check" }), [
    `transfer_ended request=${requests} ok=false`,
  ]);
  assertEquals(asked.propose()[0], "append 2/1");
});

Deno.test("stepRaft() gives up a transfer at once when the target's node is lost", () => {
  const a = new OneMember();
  a.leadFirmly("bc");
  transfer(a, "b");
  assertEquals(a.step({ type: "node_lost", node: "b" }), [
    `transfer_ended request=${requests} ok=false`,
  ]);
});

Deno.test("stepRaft() with a failing disk transfers to the most up-to-date voter, or else just steps down", () => {
  const a = new OneMember();
  a.leadFirmly("bc");
  a.propose();
  a.acknowledge("c", 2);
  assertEquals(a.step({ type: "disk_failing" }), ["to c: timeout_now term=1"]);
  assertEquals(a.propose(), ["refuse 1 proposals: transferring"]);
  a.step({ type: "quorum_check" });
  a.step({ type: "heard_from", node: "b" });
  assertEquals(a.step({ type: "quorum_check" }), ["follower in 1"]);
  assertEquals(a.timerMs, undefined);

  const alone = new OneMember({ voters: "a" });
  alone.leadFirmly("");
  assertEquals(alone.step({ type: "disk_failing" }), ["follower in 1"]);
});

Deno.test("changes of members survive a change of leader or are reverted by it (thesis 4.1)", () => {
  const a = new OneMember();
  a.leadFirmly("bc");
  add(a, "d");
  assertEquals(a.state.membership, { ...votersOn("abcd"), index: 2 });
  // The other leader never had it.
  a.append("b", 2, 1, 1, entriesOf(2, 2));
  assertEquals(a.state.membership, votersOn("abc"));
});
