import { assertEquals, assertThrows } from "@std/assert";
import { WhorlError } from "../base/errors.ts";
import { InvariantError } from "../base/invariant.ts";
import { EntryKind, type SnapshotMeta } from "./raft_entry.ts";
import {
  entriesOf,
  membershipEntry,
  noopEntry,
  OneMember,
  votersOn,
} from "./testing/one_member.ts";

function snapshotAt(
  index: number,
  term: number,
  machineVersion = 0,
): SnapshotMeta {
  return { index, term, membership: votersOn("abc"), machineVersion };
}

/** Messages only. */
function sent(lines: readonly string[]): string[] {
  return lines.filter((line) => line.startsWith("to "));
}

Deno.test("stepRaft() acknowledges entries only once they are durable (paper, 5.3)", () => {
  const a = new OneMember({ term: 1 });
  assertEquals(a.append("b", 1, 0, 0, entriesOf(1, 1, 1, 1)), [
    "follower of b in 1",
    "append 1/1 2/1 3/1",
  ]);
  assertEquals(a.written(2), [
    "to b: append_reply term=1 success=true index=2 indexTerm=1",
  ]);
  assertEquals(a.written(3), [
    "to b: append_reply term=1 success=true index=3 indexTerm=1",
  ]);
  assertEquals(a.written(3), [], "nothing has changed");
});

Deno.test("stepRaft() answers an append without entries at once, with what is durable", () => {
  const a = new OneMember({ log: [1] });
  a.append("b", 1, 1, 1, entriesOf(2, 1, 1));
  assertEquals(a.append("b", 1, 3, 1), [
    "to b: append_reply term=1 success=true index=1 indexTerm=1",
  ]);
});

Deno.test("stepRaft() acknowledges only what it knows to equal the leader's log (paper, 5.3)", () => {
  const a = new OneMember({ log: [1, 1, 1, 1] });
  assertEquals(a.append("b", 2, 2, 1).slice(2), []);
  assertEquals(a.saved(), [
    "to b: append_reply term=2 success=true index=2 indexTerm=1",
  ]);
});

Deno.test("stepRaft() refuses entries after one that it lacks, or that is of another term (paper, 5.3)", () => {
  const short = new OneMember({ log: [1, 1] });
  assertEquals(sent(short.append("b", 1, 5, 1, entriesOf(6, 1))), [
    "to b: append_reply term=1 success=false index=2 indexTerm=1",
  ]);
  assertEquals(short.state.lastIndex, 2);
});

Deno.test("stepRaft() skips a whole term with one refusal (paper, end of 5.3)", () => {
  const a = new OneMember({ log: [1, 1, 2, 2, 2, 2] });
  // The leader's entry 6 is of term 1: no entry of term 2 can be the same.
  a.append("b", 3, 6, 1);
  assertEquals(a.saved(), [
    "to b: append_reply term=3 success=false index=2 indexTerm=1",
  ]);
});

Deno.test("stepRaft() overwrites entries that differ, and only those (paper, 5.3)", () => {
  const a = new OneMember({ log: [1, 1, 2, 2] });
  a.append("b", 3, 0, 0);
  a.saved();
  assertEquals(a.append("b", 3, 1, 1, entriesOf(2, 1, 3)), ["append 3/3"]);
  assertEquals(a.state.lastIndex, 3);
  assertEquals(a.state.log.durableIndex, 2, "what was durable there is gone");
  assertEquals(a.written(), [
    "to b: append_reply term=3 success=true index=3 indexTerm=3",
  ]);
});

Deno.test("stepRaft() keeps entries after those of a late append (paper, 5.3)", () => {
  const a = new OneMember({ term: 1 });
  a.append("b", 1, 0, 0, entriesOf(1, 1, 1, 1));
  a.written();
  assertEquals(a.append("b", 1, 0, 0, entriesOf(1, 1)), [
    "to b: append_reply term=1 success=true index=3 indexTerm=1",
  ]);
  assertEquals(a.state.lastIndex, 3);
});

Deno.test("stepRaft() ignores writes of entries that were overwritten", () => {
  const a = new OneMember({ term: 1 });
  a.append("b", 1, 0, 0, entriesOf(1, 1, 1));
  a.append("c", 2, 0, 0, entriesOf(1, 2));
  a.saved();
  assertEquals(a.step({ type: "written", index: 1, term: 1 }), []);
  assertEquals(a.step({ type: "written", index: 2, term: 1 }), []);
  assertEquals(a.state.log.durableIndex, 0);
  assertEquals(a.step({ type: "written", index: 1, term: 2 }).length, 1);
});

Deno.test("stepRaft() never overwrites committed entries (paper, 5.4)", () => {
  const a = new OneMember({ term: 1 });
  a.append("b", 1, 0, 0, entriesOf(1, 1, 1), 2);
  assertThrows(
    () => a.append("c", 2, 1, 1, entriesOf(2, 2)),
    InvariantError,
    "what is committed is not overwritten",
  );
});

Deno.test("stepRaft() commits no further than its log is known to equal the leader's (paper, figure 2)", () => {
  const a = new OneMember({ log: [1, 1, 1] });
  assertEquals(
    a.from("b", { type: "heartbeat", term: 2, commitIndex: 3 }).slice(2),
    [],
    "these entries may not be the leader's",
  );
  assertEquals(a.append("b", 2, 2, 1, [], 3), ["commit 2"]);
  assertEquals(
    a.from("b", { type: "confirm", term: 2, round: 1, commitIndex: 3 }),
    [],
  );
  assertEquals(a.append("b", 2, 3, 1, [], 3), ["commit 3"]);
});

Deno.test("stepRaft() forgets how far its log equals the leader's when the leader changes (paper, figure 2)", () => {
  const a = new OneMember({ term: 1 });
  a.append("b", 1, 0, 0, entriesOf(1, 1, 1, 1));
  a.append("c", 2, 0, 0);
  const heartbeat = { type: "heartbeat", term: 2, commitIndex: 3 } as const;
  assertEquals(a.from("c", heartbeat), [], "c may have others at 1 to 3");
});

Deno.test("stepRaft() asks the leader how far its log matches if it may match up to the commit index", () => {
  const a = new OneMember({ log: [1, 1, 1] });
  const heartbeat = { type: "heartbeat", term: 1, commitIndex: 3 } as const;
  assertEquals(a.from("b", heartbeat).slice(1), [
    "to b: heartbeat_reply term=1",
  ]);
  assertEquals(a.append("b", 1, 3, 1, [], 3)[0], "commit 3");
  assertEquals(a.from("b", heartbeat), []);
});

Deno.test("stepRaft() does not ask if it can follow the commit index, or if that is beyond its log", () => {
  const a = new OneMember({ log: [1, 1, 1], term: 2 });
  a.append("b", 2, 3, 1, [], 2);
  const heartbeat = { type: "heartbeat", term: 2, commitIndex: 3 } as const;
  assertEquals(a.from("b", heartbeat), ["commit 3"]);
  assertEquals(a.from("b", heartbeat), []);
  assertEquals(a.from("b", { ...heartbeat, commitIndex: 5 }), []);
});

Deno.test("stepRaft() commits before its own disk has the entry, if a majority of others has it", () => {
  const a = new OneMember({ term: 1 });
  assertEquals(a.append("b", 1, 0, 0, entriesOf(1, 1), 1), [
    "follower of b in 1",
    "append 1/1",
    "commit 1",
  ]);
});

Deno.test("stepRaft() adopts members as soon as they are in the log, and reverts them with it (thesis 4.1)", () => {
  const a = new OneMember({ term: 1 });
  const four = membershipEntry(2, 1, votersOn("abcd"));
  assertEquals(a.append("b", 1, 0, 0, [noopEntry(1, 1, 0), four]), [
    "follower of b in 1",
    "append 1/1 2/1",
    "members a/1 b/2 c/3 d/4",
  ]);
  assertEquals(a.state.membership.index, 2);
  assertEquals(a.append("c", 2, 1, 1, entriesOf(2, 2)), [
    "persist_vote term=2",
    "follower of c in 2",
    "append 2/2",
    "members a/1 b/2 c/3",
  ]);
});

Deno.test("createRaft() finds the members in the log, and those to revert to", () => {
  const a = new OneMember({
    log: [1, 1, 1],
    memberships: [votersOn("abcd", 2), votersOn("abcde", 3)],
  });
  assertEquals(a.state.membership, votersOn("abcde", 3));
  a.append("b", 2, 2, 1, entriesOf(3, 2));
  assertEquals(a.state.membership, votersOn("abcd", 2));
});

Deno.test("createRaft() commits at its start what is known to be committed", () => {
  const a = new OneMember({ log: [1, 1, 1], commitIndex: 2 });
  assertEquals(a.state.commitIndex, 2);
});

Deno.test("stepRaft() refuses unreadable entries and does not change", () => {
  const a = new OneMember({ term: 1 });
  const kinds = [EntryKind.membership, EntryKind.noop, 9];
  for (const kind of kinds) {
    const body = Uint8Array.of(kind, 0, 0, 0, 0, 0, 0);
    const bad = { index: 2, term: 1, body };
    assertThrows(
      () => a.append("b", 1, 0, 0, [...entriesOf(1, 1), bad]),
      WhorlError,
    );
    assertEquals(a.state.lastIndex, 0);
  }
});

Deno.test("stepRaft() refuses entries that are not consecutive, or whose terms decrease", () => {
  const a = new OneMember({ term: 1 });
  const apart = [...entriesOf(1, 1), ...entriesOf(3, 1)];
  assertThrows(() => a.append("b", 1, 0, 0, apart), WhorlError);
  assertThrows(() => a.append("b", 1, 0, 0, entriesOf(1, 1, 0)), WhorlError);
  assertEquals(a.append("b", 1, 0, 0, entriesOf(2, 1)), []);
  assertEquals(a.append("b", 1, 0, 0, entriesOf(1, 2)), []);
  assertEquals(a.state.lastIndex, 0);
});

Deno.test("stepRaft() skips entries covered by its snapshot", () => {
  const a = new OneMember({ snapshot: snapshotAt(4, 1), log: [1] });
  assertEquals(a.append("b", 1, 2, 1, entriesOf(3, 1, 1)), [
    "follower of b in 1",
    "to b: append_reply term=1 success=true index=4 indexTerm=1",
  ]);
  assertEquals(a.append("b", 1, 2, 1, entriesOf(3, 1, 1, 1, 1)), [
    "append 6/1",
  ]);
});

Deno.test("stepRaft() accepts a snapshot in place of entries that it lacks (paper, 7)", () => {
  const a = new OneMember({ log: [1, 1] });
  const snapshot = snapshotAt(9, 1);
  const offer = {
    type: "install_snapshot",
    term: 1,
    snapshot,
    transfer: 7,
  } as const;
  assertEquals(a.from("b", offer), [
    "follower of b in 1",
    "receiving_snapshot of b in 1",
    "receive_snapshot from=b transfer=7 9/1",
  ]);
  assertEquals(a.from("b", offer), [], "one at a time");
  assertEquals(
    a.append("b", 1, 2, 1, entriesOf(3, 1)),
    [],
    "its log is about to change",
  );
  assertEquals(a.step({ type: "snapshot_received", snapshot, ok: true }), [
    "members a/1 b/2 c/3",
    "follower of b in 1",
    "to b: append_reply term=1 success=true index=9 indexTerm=1",
  ]);
  assertEquals(a.state.commitIndex, 9);
  assertEquals(a.state.lastIndex, 9);
  assertEquals(a.append("b", 1, 9, 1, entriesOf(10, 1)), ["append 10/1"]);
});

Deno.test("stepRaft() keeps the entries after a snapshot that agrees with its log, and no others (paper, 7)", () => {
  const agreeing = new OneMember({ log: [1, 1, 1] });
  agreeing.append("b", 1, 0, 0);
  // It was offered when the log was shorter.
  agreeing.step({
    type: "snapshot_received",
    snapshot: snapshotAt(2, 1),
    ok: true,
  });
  assertEquals(agreeing.state.lastIndex, 3);
  const other = new OneMember({ log: [1, 1, 1] });
  other.append("b", 2, 0, 0);
  other.step({
    type: "snapshot_received",
    snapshot: snapshotAt(2, 2),
    ok: true,
  });
  assertEquals(other.state.lastIndex, 2);
});

Deno.test("stepRaft() refuses a snapshot of entries that it has, and says so", () => {
  const a = new OneMember({ log: [1, 1, 1], commitIndex: 1 });
  const offer = (index: number) =>
    a.from("b", {
      type: "install_snapshot",
      term: 1,
      snapshot: snapshotAt(index, 1),
      transfer: 1,
    });
  assertEquals(offer(1).slice(1), [
    "to b: append_reply term=1 success=true index=1 indexTerm=1",
  ]);
  // It is not known to be committed here, but has the same term.
  assertEquals(offer(3), [
    "commit 3",
    "to b: append_reply term=1 success=true index=3 indexTerm=1",
  ]);
});

Deno.test("stepRaft() refuses a snapshot that its machine could not read", () => {
  const a = new OneMember({ machineVersion: 1 });
  const snapshot = snapshotAt(9, 1, 2);
  const type = "install_snapshot";
  const lines = a.from("b", { type, term: 1, snapshot, transfer: 1 });
  assertEquals(lines.slice(2), []);
  assertEquals(a.state.role, "follower");
});

Deno.test("stepRaft() continues as a follower when a snapshot did not arrive", () => {
  const a = new OneMember({ log: [1] });
  const snapshot = snapshotAt(9, 1);
  a.from("b", { type: "install_snapshot", term: 1, snapshot, transfer: 1 });
  assertEquals(a.step({ type: "snapshot_received", snapshot, ok: false }), [
    "follower of b in 1",
  ]);
  assertEquals(a.state.lastIndex, 1);
});

Deno.test("stepRaft() aborts a snapshot of a silent leader, and runs only when its end is reported", () => {
  const a = new OneMember({ log: [1] });
  const snapshot = snapshotAt(9, 1);
  a.from("b", { type: "install_snapshot", term: 1, snapshot, transfer: 1 });
  assertEquals(a.step({ type: "election_timeout" }), [
    "abort_snapshot",
    "receiving_snapshot in 1",
  ]);
  assertEquals(a.timerMs, undefined);
  assertEquals(a.from("b", { type: "timeout_now", term: 1 }), [
    "receiving_snapshot of b in 1",
  ]);
  a.step({ type: "leader_silent" });
  // The snapshot had already arrived: then it counts.
  assertEquals(a.step({ type: "snapshot_received", snapshot, ok: true }), [
    "members a/1 b/2 c/3",
    "follower in 1",
  ]);
  assertEquals(a.state.lastIndex, 9);
  assertEquals(a.step({ type: "election_timeout" })[0], "pre_candidate in 1");
});

Deno.test("stepRaft() drops entries for a snapshot of its own, and still knows the term before the rest", () => {
  const a = new OneMember({ log: [1, 1, 2], commitIndex: 2 });
  a.step({ type: "snapshot_taken", snapshot: snapshotAt(2, 1) });
  assertEquals(a.append("b", 2, 2, 1, entriesOf(3, 2)), [
    "follower of b in 2",
    "to b: append_reply term=2 success=true index=3 indexTerm=2",
  ]);
});
