import { assertEquals } from "@std/assert";
import { WhorlError } from "../base/errors.ts";
import { createOp, type OpEffect, type OpEvent, stepOp } from "./op_fsm.ts";
import type { Replica } from "./quorum.ts";
import {
  readQuorum,
  type ReadQuorumOptions,
  writeQuorum,
} from "./quorum_options.ts";
import { answerState } from "./request_outcome.ts";

const BYTES = new Uint8Array([1]);
const LOST = new WhorlError("connection_closed", "The connection was lost");

/** A preference list: one letter per replica, its node; a star marks a fallback. */
function preflist(text: string): Replica[] {
  return text.split(" ").map((entry, partition) => ({
    partition,
    node: entry.charCodeAt(0) - 97,
    primary: !entry.endsWith("*"),
  }));
}

/** Effects in short: "send 0", "respond ok", "respond timeout", … */
function show(effects: OpEffect[]): string {
  return effects.map((effect) => {
    switch (effect.type) {
      case "send":
        return `send ${effect.replica}`;
      case "respond":
        return `respond ${effect.result.ok ? "ok" : effect.result.error.code}`;
      case "set_deadline":
      case "set_grace":
        return `${effect.type} ${effect.afterMs}`;
      case "finished":
        return "finished";
    }
  }).join(", ");
}

function run(
  list: string,
  options: ReadQuorumOptions,
  table: [OpEvent, string][],
): ReturnType<typeof createOp> {
  const op = createOp(preflist(list), readQuorum(options, 64), 1000);
  for (const [event, expected] of table) {
    const effects: OpEffect[] = [];
    stepOp(op, event, effects);
    assertEquals(show(effects), expected, JSON.stringify(event));
  }
  return op;
}

const start: OpEvent = { type: "start" };
const deadline: OpEvent = { type: "deadline" };
const graceOver: OpEvent = { type: "grace_over" };
const reply = (replica: number): OpEvent => ({
  type: "reply",
  replica,
  bytes: BYTES,
});
const failed = (replica: number, error = LOST): OpEvent => ({
  type: "failed",
  replica,
  error,
});
const SENT = "set_deadline 5000, send 0, send 1, send 2";

Deno.test("stepOp() answers at R and finishes when all have answered", () => {
  run("a b c", {}, [
    [start, SENT],
    [reply(1), ""],
    [reply(0), "respond ok, set_grace 1000"],
    [reply(2), "finished"],
    [reply(2), ""],
  ]);
});

Deno.test("stepOp() counts a replica once when it answers twice", () => {
  run("a b c", {}, [
    [start, SENT],
    [reply(1), ""],
    [reply(1), ""],
    [failed(1), ""],
    [reply(2), "respond ok, set_grace 1000"],
  ]);
});

Deno.test("stepOp() fails as soon as R cannot be met and still collects the rest", () => {
  const op = run("a b c", {}, [
    [start, SENT],
    [failed(1), ""],
    [failed(0), "respond quorum_unavailable, set_grace 1000"],
    [reply(2), "finished"],
  ]);
  assertEquals(op.replies[2], BYTES);
  assertEquals(
    op.replicas.map((_, i) => answerState(op.count, i)),
    ["failed", "failed", "done"],
  );
});

Deno.test("stepOp() reports which demand failed and what each replica answered", () => {
  const op = createOp(preflist("a b c"), readQuorum({}, 64));
  const effects: OpEffect[] = [];
  for (const event of [start, reply(0), failed(1), failed(2)]) {
    stepOp(op, event, effects);
  }
  const respond = effects.find((effect) => effect.type === "respond");
  if (respond?.type !== "respond" || respond.result.ok) throw new Error();
  const { error } = respond.result;
  assertEquals(
    error.message,
    "Cannot read as r must be 2: current value is 1; partition 1 on 1 failed: The connection was lost",
  );
  assertEquals(error.details, {
    option: "r",
    needed: 2,
    got: 1,
    answers: [
      { partition: 0, node: 0, primary: true, state: "done" },
      {
        partition: 1,
        node: 1,
        primary: true,
        state: "failed",
        code: "connection_closed",
        message: "The connection was lost",
      },
      {
        partition: 2,
        node: 2,
        primary: true,
        state: "failed",
        code: "connection_closed",
        message: "The connection was lost",
      },
    ],
  });
});

Deno.test("stepOp() answers timeout at the deadline and ends with the grace", () => {
  run("a b c", {}, [
    [start, SENT],
    [reply(1), ""],
    [graceOver, ""],
    [deadline, "respond timeout, set_grace 1000"],
    [deadline, ""],
    [reply(0), ""],
    [graceOver, "finished"],
    [reply(2), ""],
  ]);
});

Deno.test("stepOp() sends nothing when the preference list is too short", () => {
  run("a", {}, [[start, "respond insufficient_vnodes, finished"]]);
  run("a b* c*", { pr: 2 }, [[
    start,
    "respond insufficient_vnodes, finished",
  ]]);
  run("a a b", { nodeConfirms: 3 }, [[
    start,
    "respond insufficient_vnodes, finished",
  ]]);
});

Deno.test("stepOp() asks no fallback for a strict quorum", () => {
  run("a b* c", { quorum: "strict" }, [
    [start, "set_deadline 5000, send 0, send 2"],
    [reply(0), ""],
    [failed(2), "respond quorum_unavailable, finished"],
  ]);
});

Deno.test("stepOp() waits for R distinct nodes if there are that many", () => {
  run("a a b", {}, [
    [start, SENT],
    [reply(0), ""],
    [reply(1), ""],
    [reply(2), "respond ok, finished"],
  ]);
  run("a a a", {}, [
    [start, SENT],
    [reply(0), ""],
    [reply(1), "respond ok, set_grace 1000"],
  ]);
});

Deno.test("stepOp() waits for as many primaries as PR demands", () => {
  run("a b c*", { pr: 2 }, [
    [start, SENT],
    [reply(2), ""],
    [reply(1), ""],
    [reply(0), "respond ok, finished"],
  ]);
  run("a b c*", { pr: 2 }, [
    [start, SENT],
    [reply(2), ""],
    [failed(1), "respond quorum_unavailable, set_grace 1000"],
  ]);
});

Deno.test("stepOp() asks a moved vnode once more, on its new node", () => {
  const moved = (owner: number | undefined): OpEvent => ({
    type: "wrong_owner",
    replica: 1,
    owner,
  });
  const op = run("a b c", {}, [
    [start, SENT],
    [moved(3), "send 1"],
    [moved(4), ""],
    [reply(0), ""],
    [reply(2), "respond ok, finished"],
  ]);
  assertEquals(op.replicas[1], { partition: 1, node: 3, primary: true });
  assertEquals(op.failures?.[1]?.code, "wrong_owner");
  run("a b c", { r: "all" }, [
    [start, SENT],
    [moved(undefined), "respond quorum_unavailable, set_grace 1000"],
  ]);
});

Deno.test("stepOp() counts a moved replica for the node it moved to", () => {
  run("a b b", { r: 2 }, [
    [start, SENT],
    [{ type: "wrong_owner", replica: 0, owner: 1 }, "send 0"],
    [reply(1), ""],
    [reply(0), "respond ok, set_grace 1000"],
  ]);
});

Deno.test("stepOp() takes back an early answer when the commit fails", () => {
  const op = createOp(preflist("a b c"), writeQuorum({ w: 2, dw: 0 }, 64));
  const effects: OpEffect[] = [];
  stepOp(op, start, effects);
  stepOp(op, { type: "accepted", replica: 0, bytes: BYTES }, effects);
  stepOp(op, failed(0), effects);
  effects.length = 0;
  stepOp(op, { type: "accepted", replica: 1, bytes: BYTES }, effects);
  assertEquals(show(effects), "");
  stepOp(op, { type: "accepted", replica: 2, bytes: BYTES }, effects);
  assertEquals(show(effects), "respond ok, set_grace 1000");
});

Deno.test("stepOp() stops when cancelled, whatever it was doing", () => {
  run("a b c", {}, [
    [start, SENT],
    [{ type: "cancel" }, "respond cancelled, finished"],
    [reply(0), ""],
  ]);
  run("a b c", {}, [
    [start, SENT],
    [reply(0), ""],
    [reply(1), "respond ok, set_grace 1000"],
    [{ type: "cancel" }, "finished"],
  ]);
});

Deno.test("stepOp() keeps no view into the bytes of an event", () => {
  const op = createOp(preflist("a b c"), readQuorum({}, 64));
  const bytes = new Uint8Array([7]);
  stepOp(op, start, []);
  stepOp(op, { type: "reply", replica: 0, bytes }, []);
  bytes[0] = 9;
  assertEquals(op.replies[0], new Uint8Array([7]));
});
