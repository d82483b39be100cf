import { assertEquals } from "@std/assert";
import { WhorlError } from "../base/errors.ts";
import {
  createPut,
  type PutEffect,
  type PutEvent,
  stepPut,
} from "./put_fsm.ts";
import type { Replica } from "./quorum.ts";
import { writeQuorum, type WriteQuorumOptions } from "./quorum_options.ts";

const OBJECT = new Uint8Array([1, 2, 3]);

/** A preference list: one letter per replica, its node; a star marks a fallback. */
function preflist(text: string): Replica[] {
  return text.split(" ").map((entry, partition) => ({
    partition,
    node: entry.charCodeAt(0) - 97,
    primary: !entry.endsWith("*"),
  }));
}

function show(effects: PutEffect[]): string {
  return effects.map((effect) => {
    switch (effect.type) {
      case "send_put":
        return `put ${effect.replica}`;
      case "send_merge":
        return `merge ${effect.replica}`;
      case "send_repair":
        return `repair ${effect.replica}`;
      case "respond":
        return `respond ${effect.result.ok ? "ok" : effect.result.error.code}`;
      case "set_deadline":
        return "deadline";
      case "set_grace":
        return "grace";
      case "finished":
        return "finished";
    }
  }).join(", ");
}

/** Steps a write on node `a` through the table. */
function run(
  list: string,
  options: WriteQuorumOptions,
  table: [PutEvent, string][],
): ReturnType<typeof createPut> {
  const put = createPut(preflist(list), writeQuorum(options, 64), 0);
  for (const [event, expected] of table) {
    const effects: PutEffect[] = [];
    stepPut(put, event, effects);
    assertEquals(show(effects), expected, JSON.stringify(event));
  }
  return put;
}

const start: PutEvent = { type: "start" };
const deadline: PutEvent = { type: "deadline" };
const graceOver: PutEvent = { type: "grace_over" };
const accepted = (replica: number): PutEvent => ({
  type: "accepted",
  replica,
  object: OBJECT,
});
const made = (replica: number): PutEvent => ({
  type: "reply",
  replica,
  object: OBJECT,
});
const stored = (replica: number): PutEvent => ({
  type: "reply",
  replica,
  object: undefined,
});
const failed = (
  replica: number,
  code: ConstructorParameters<typeof WhorlError>[0] = "connection_closed",
  details: Record<string, unknown> = {},
): PutEvent => ({
  type: "failed",
  replica,
  error: new WhorlError(code, "It failed", { details }),
});

Deno.test("stepPut() copies what the coordinator accepted and waits for durable answers", () => {
  const put = run("b a c", {}, [
    [start, "deadline, put 1"],
    [accepted(1), "merge 0, merge 2"],
    [stored(0), ""],
    [stored(1), "respond ok, grace"],
    [stored(2), "finished"],
    [stored(2), ""],
  ]);
  assertEquals(put.object, OBJECT);
});

Deno.test("stepPut() counts a durable answer of the coordinator as both", () => {
  run("a b c", {}, [
    [start, "deadline, put 0"],
    [made(0), "merge 1, merge 2"],
    [stored(2), "respond ok, grace"],
    [stored(1), "finished"],
  ]);
  run("a b c", { w: 1 }, [
    [start, "deadline, put 0"],
    [made(0), "merge 1, merge 2, respond ok, grace"],
    [graceOver, "finished"],
  ]);
  run("a", { n: 1 }, [
    [start, "deadline, put 0"],
    [made(0), "respond ok, finished"],
  ]);
});

Deno.test("stepPut() prefers a primary here, then any primary, then a fallback", () => {
  run("b c a", {}, [[start, "deadline, put 2"]]);
  run("b c d", {}, [[start, "deadline, put 0"]]);
  run("b* c a*", {}, [[start, "deadline, put 1"]]);
  run("b* c* a*", {}, [[start, "deadline, put 0"]]);
});

Deno.test("stepPut() asks the next candidate when a coordinator fails", () => {
  run("a b c", { w: 1 }, [
    [start, "deadline, put 0"],
    [failed(0), "put 1"],
    [failed(1, "vnode_crashed"), "put 2"],
    // The lost one is out of reach; the crashed one may come back.
    [accepted(2), "merge 1"],
    [stored(1), "respond ok, grace"],
    [stored(2), "repair 0, finished"],
  ]);
});

Deno.test("stepPut() waits no more for a coordinator that has left the cluster", () => {
  run("a b c*", { w: 2 }, [
    [start, "deadline, put 0"],
    [failed(0, "closed", { node: "a" }), "put 1"],
    [accepted(1), "merge 2"],
    [stored(2), ""],
    [stored(1), "respond ok, repair 0, finished"],
  ]);
  // The vnode alone stops, and may be back by then.
  run("a b c*", { w: 2 }, [
    [start, "deadline, put 0"],
    [failed(0, "closed"), "put 1"],
    [accepted(1), "merge 0, merge 2"],
  ]);
});

Deno.test("stepPut() sends the object to a coordinator whose own copy was damaged", () => {
  const put = run("a b c", { w: "all" }, [
    [start, "deadline, put 0"],
    [failed(0, "vnode_error", { failure: "value_corrupt" }), "put 1"],
    [accepted(1), "merge 0, merge 2"],
    [stored(0), ""],
    [stored(1), ""],
    [stored(2), "respond ok, finished"],
  ]);
  assertEquals(put.failures?.[0], undefined);
});

Deno.test("stepPut() gives up when no candidate is left or W is out of reach", () => {
  run("a b c", { w: 1 }, [
    [start, "deadline, put 0"],
    [failed(0, "overload"), "put 1"],
    [failed(1, "overload"), "put 2"],
    [failed(2, "overload"), "respond overload, finished"],
  ]);
  run("a b c", { w: 2 }, [
    [start, "deadline, put 0"],
    [failed(0), "put 1"],
    [failed(1), "respond quorum_unavailable, finished"],
  ]);
});

Deno.test("stepPut() passes on a refusal without trying another coordinator", () => {
  run("a b c", {}, [
    [start, "deadline, put 0"],
    [failed(0, "value_too_large"), "respond value_too_large, finished"],
  ]);
  run("a b c", {}, [
    [start, "deadline, put 0"],
    [
      failed(0, "vnode_error", { failure: "too_many_siblings" }),
      "respond vnode_error, finished",
    ],
  ]);
});

Deno.test("stepPut() fails as soon as W cannot be met", () => {
  run("a b c", { w: "all" }, [
    [start, "deadline, put 0"],
    [accepted(0), "merge 1, merge 2"],
    [failed(1), "respond quorum_unavailable, grace"],
    [stored(0), ""],
    [stored(2), "repair 1, finished"],
  ]);
});

Deno.test("stepPut() takes back an accepted write when its commit fails", () => {
  run("a b c", { w: 2, dw: 1 }, [
    [start, "deadline, put 0"],
    [accepted(0), "merge 1, merge 2"],
    [failed(0, "store_unavailable"), ""],
    [stored(1), ""],
    [stored(2), "respond ok, repair 0, finished"],
  ]);
});

Deno.test("stepPut() counts early answers towards W when fewer need be durable", () => {
  const put = run("a b c", { w: 2, dw: 0 }, [
    [start, "deadline, put 0"],
    [accepted(0), "merge 1, merge 2"],
    [accepted(1), "respond ok, grace"],
  ]);
  assertEquals(put.wantsEarly, true);
  assertEquals(run("a b c", {}, []).wantsEarly, false);
  run("a b c", { w: 2, dw: 1 }, [
    [start, "deadline, put 0"],
    [accepted(0), "merge 1, merge 2"],
    [accepted(1), ""],
    [stored(1), "respond ok, grace"],
  ]);
});

Deno.test("stepPut() does not count two durable copies on one node as two", () => {
  run("a b a", {}, [
    [start, "deadline, put 0"],
    [accepted(0), "merge 1, merge 2"],
    [stored(0), ""],
    [stored(2), ""],
    [stored(1), "respond ok, finished"],
  ]);
  // An early answer of the other node is a second node, but not a durable copy.
  run("b a a", {}, [
    [start, "deadline, put 1"],
    [accepted(1), "merge 0, merge 2"],
    [accepted(0), ""],
    [stored(1), ""],
    [stored(2), ""],
    [stored(0), "respond ok, finished"],
  ]);
});

Deno.test("stepPut() replicates a write that its coordinator accepts after the deadline", () => {
  run("a b c", {}, [
    [start, "deadline, put 0"],
    [deadline, "respond timeout, grace"],
    [accepted(0), "merge 1, merge 2"],
    [stored(0), ""],
    [stored(1), ""],
    [stored(2), "finished"],
  ]);
  run("a b c", {}, [
    [start, "deadline, put 0"],
    [deadline, "respond timeout, grace"],
    [failed(0), "finished"],
  ]);
});

Deno.test("stepPut() answers timeout while replicas are silent", () => {
  run("a b c", {}, [
    [start, "deadline, put 0"],
    [made(0), "merge 1, merge 2"],
    [deadline, "respond timeout, grace"],
    [stored(1), ""],
    [graceOver, "finished"],
  ]);
});

Deno.test("stepPut() follows a moved vnode once, for the write and for the merge", () => {
  const moved = (replica: number, owner?: number): PutEvent => ({
    type: "wrong_owner",
    replica,
    owner,
  });
  run("a b c", {}, [
    [start, "deadline, put 0"],
    [moved(0, 3), "put 0"],
    [moved(0, 4), "put 1"],
    [accepted(1), "merge 2"],
    [moved(2, 3), "merge 2"],
    [stored(2), ""],
    [stored(1), "respond ok, repair 0, finished"],
  ]);
});

Deno.test("stepPut() resends neither to an overloaded replica nor to a slow one", () => {
  run("a b c", { w: 1 }, [
    [start, "deadline, put 0"],
    [made(0), "merge 1, merge 2, respond ok, grace"],
    [failed(1, "overload"), ""],
    [graceOver, "finished"],
  ]);
});

Deno.test("stepPut() asks no fallback for a strict quorum", () => {
  run("a b* c", { quorum: "strict" }, [
    [start, "deadline, put 0"],
    [made(0), "merge 2"],
    [stored(2), "respond ok, finished"],
  ]);
  run("a b* c*", { quorum: "strict" }, [
    [start, "respond insufficient_vnodes, finished"],
  ]);
});

Deno.test("stepPut() fails at once if PW cannot be met", () => {
  run("a b* c*", { pw: 2 }, [
    [start, "respond insufficient_vnodes, finished"],
  ]);
});

Deno.test("stepPut() stops when cancelled", () => {
  run("a b c", {}, [
    [start, "deadline, put 0"],
    [{ type: "cancel" }, "respond cancelled, finished"],
    [accepted(0), ""],
  ]);
});

Deno.test("stepPut() keeps no view into the bytes of an event", () => {
  const put = createPut(preflist("a b c"), writeQuorum({}, 64), 0);
  const object = new Uint8Array([7]);
  stepPut(put, start, []);
  stepPut(put, { type: "accepted", replica: 0, object }, []);
  object[0] = 9;
  assertEquals(put.object, new Uint8Array([7]));
});

Deno.test("stepPut() asks another coordinator when one answers with something other than an object", () => {
  const put = createPut(preflist("a b c"), writeQuorum({ w: 1 }, 64), 0, {
    check(bytes) {
      if (bytes.length > 0) return;
      throw new WhorlError("protocol_error", "Cannot read that");
    },
  });
  const step = (event: PutEvent) => {
    const effects: PutEffect[] = [];
    stepPut(put, event, effects);
    return show(effects);
  };
  const nothing = new Uint8Array(0);
  assertEquals(step(start), "deadline, put 0");
  assertEquals(
    step({ type: "accepted", replica: 0, object: nothing }),
    "put 1",
  );
  assertEquals(step(stored(1)), "put 2");
  assertEquals(step(made(2)), "merge 0, merge 1, respond ok, grace");
  // The answers to a merge are not checked.
  assertEquals(step({ type: "reply", replica: 0, object: nothing }), "");
  assertEquals(step(stored(1)), "finished");
});

Deno.test("stepPut() reports what PW needed and got, as riak_test's pr_pw expects", () => {
  const put = createPut(preflist("a b c*"), writeQuorum({ pw: 3 }, 64), 0);
  const effects: PutEffect[] = [];
  stepPut(put, start, effects);
  const [respond] = effects;
  if (respond?.type !== "respond" || respond.result.ok) throw new Error();
  const { code, message, details } = respond.result.error;
  assertEquals(code, "insufficient_vnodes");
  assertEquals(message, "Cannot write as pw must be 3: current value is 2");
  assertEquals([details.option, details.needed, details.got], ["pw", 3, 2]);
});

Deno.test("stepPut() fails with overload only while no replica has accepted the write", () => {
  run("a b c", { w: 2 }, [
    [start, "deadline, put 0"],
    [accepted(0), "merge 1, merge 2"],
    [failed(1, "overload"), ""],
    [failed(2, "overload"), "respond quorum_unavailable, grace"],
  ]);
});

Deno.test("stepPut() asks the next candidate when the coordinator falls silent, and takes no late answer for one to a merge", () => {
  const put = run("b c d", {}, [
    [start, "deadline, put 0"],
    [failed(0, "node_suspected"), "put 1"],
    [made(1), "merge 2"],
    // It is back and answers the first request: its own version is a different
    // one.
    [made(0), ""],
    [stored(2), "respond ok, repair 0, finished"],
  ]);
  assertEquals(put.object, OBJECT);
});

Deno.test("stepPut() does not wait for a replica that falls silent", () => {
  run("a b c", { w: "all" }, [
    [start, "deadline, put 0"],
    [made(0), "merge 1, merge 2"],
    [stored(1), ""],
    [
      failed(2, "node_suspected"),
      "respond quorum_unavailable, repair 2, finished",
    ],
    [stored(2), ""],
  ]);
});

/** Steps a write on node `a`; a put that may be declined is shown as an offer. */
function offers(list: string, table: [PutEvent, string][]): void {
  const put = createPut(preflist(list), writeQuorum({}, 64), 0);
  for (const [event, expected] of table) {
    const effects: PutEffect[] = [];
    stepPut(put, event, effects);
    const shown = effects.map((effect) =>
      effect.type === "send_put" && effect.mayDecline
        ? `offer ${effect.replica}`
        : show([effect])
    ).join(", ");
    assertEquals(shown, expected, JSON.stringify(event));
  }
}

const declined = (replica: number): PutEvent =>
  failed(replica, "overload", { declined: true });

Deno.test("stepPut() lets a primary decline while there is another, and sends it the object later", () => {
  offers("b a c", [
    [start, "deadline, offer 1"],
    [declined(1), "offer 0"],
    [made(0), "merge 1, merge 2"],
    [stored(1), "respond ok, grace"],
    // A declined write is not resent: the replica has the object by now.
    [stored(2), "finished"],
  ]);
});

Deno.test("stepPut() asks the first primary again, which must do it, when all have declined", () => {
  offers("b a c", [
    [start, "deadline, offer 1"],
    [declined(1), "offer 0"],
    [declined(0), "offer 2"],
    [declined(2), "put 1"],
    [made(1), "merge 0, merge 2"],
  ]);
});

Deno.test("stepPut() asks those that declined before it asks a fallback", () => {
  offers("a b c*", [
    [start, "deadline, offer 0"],
    [declined(0), "offer 1"],
    [failed(1, "vnode_crashed"), "put 0"],
    [failed(0, "vnode_crashed"), "put 2"],
    [failed(2, "vnode_crashed"), "respond quorum_unavailable, finished"],
  ]);
});

Deno.test("stepPut() lets neither the only primary nor a fallback decline", () => {
  offers("a b* c*", [
    [start, "deadline, put 0"],
    [failed(0, "vnode_crashed"), "put 1"],
  ]);
});

Deno.test("stepPut() fails with overload when those that declined are overloaded when they must do it", () => {
  offers("a b c", [
    [start, "deadline, offer 0"],
    [declined(0), "offer 1"],
    [declined(1), "offer 2"],
    [declined(2), "put 0"],
    [failed(0, "overload"), "put 1"],
    [failed(1, "overload"), "put 2"],
    [failed(2, "overload"), "respond overload, finished"],
  ]);
});

Deno.test("stepPut() asks no other candidate when one declines after the caller was answered", () => {
  offers("a b c", [
    [start, "deadline, offer 0"],
    [deadline, "respond timeout, grace"],
    [declined(0), "finished"],
  ]);
});

/** Steps a write on node `a`; requests for an early answer are shown. */
function early(
  list: string,
  options: WriteQuorumOptions,
  table: [PutEvent, string][],
): void {
  const put = createPut(preflist(list), writeQuorum(options, 64), 0);
  for (const [event, expected] of table) {
    const effects: PutEffect[] = [];
    stepPut(put, event, effects);
    const shown = effects.flatMap((effect) =>
      effect.type !== "send_put"
        ? []
        : `${effect.mayDecline ? "offer" : "put"} ${effect.replica}${
          effect.early ? " early" : ""
        }`
    ).join(", ");
    assertEquals(shown, expected, JSON.stringify(event));
  }
}

Deno.test("stepPut() asks for an early answer only if another replica waits for it, or if it counts", () => {
  early("a b c", {}, [[start, "offer 0 early"]]);
  early("a", { n: 1 }, [[start, "put 0"]]);
  // Here the caller wants to know what was accepted but is not durable.
  early("a", { n: 1, w: 1, dw: 0 }, [[start, "put 0 early"]]);
});

Deno.test("stepPut() does not ask the last replica in reach for an early answer", () => {
  early("a b", { n: 2, w: 1 }, [
    [start, "offer 0 early"],
    [failed(0), "put 1"],
  ]);
});

Deno.test("stepPut() asks the only primary for an early answer when fallbacks wait for it", () => {
  early("a b* c*", {}, [
    [start, "put 0 early"],
    [failed(0, "vnode_crashed"), "put 1 early"],
  ]);
});

Deno.test("stepPut() asks a replica that declined for an early answer when it must do it", () => {
  early("b a c", {}, [
    [start, "offer 1 early"],
    [declined(1), "offer 0 early"],
    [declined(0), "offer 2 early"],
    [declined(2), "put 1 early"],
  ]);
});

Deno.test("stepPut() asks a moved vnode for an early answer if another replica waits for it", () => {
  const moved: PutEvent = { type: "wrong_owner", replica: 0, owner: 3 };
  early("a b c", {}, [
    [start, "offer 0 early"],
    [moved, "put 0 early"],
  ]);
  early("a", { n: 1 }, [
    [start, "put 0"],
    [moved, "put 0"],
  ]);
});
