import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { WhorlError } from "../base/errors.ts";
import {
  createGet,
  type GetEffect,
  type GetEvent,
  type GetState,
  repairOf,
  stepGet,
} from "./get_fsm.ts";
import type { ObjectMerge } from "./object_merge.ts";
import type { Replica } from "./quorum.ts";
import { readQuorum, type ReadQuorumOptions } from "./quorum_options.ts";

/** Objects are one byte, a set of bits; merging is union. 0 is empty. */
const bitSets: ObjectMerge = {
  nothing: new Uint8Array(1),
  check(bytes) {
    if (bytes.length !== 1 || bytes[0] === 0) {
      throw new WhorlError("protocol_error", "Cannot read that as an object");
    }
  },
  merge(a, b) {
    bitSets.check(b);
    const [x, y] = [a[0] as number, b[0] as number];
    if ((x | y) === x) return a;
    return (x | y) === y ? b : new Uint8Array([x | y]);
  },
};

function preflist(text: string): Replica[] {
  return text.split(" ").map((entry, partition) => ({
    partition,
    node: entry.charCodeAt(0) - 97,
    primary: !entry.endsWith("*"),
  }));
}

function show(effects: GetEffect[]): string {
  return effects.map((effect) => {
    switch (effect.type) {
      case "send_get":
        return `get ${effect.replica}`;
      case "send_repair":
        return `repair ${effect.replica}`;
      case "respond":
        return effect.result.ok
          ? `respond ${effect.result.object?.[0] ?? "nothing"}`
          : `respond ${effect.result.error.code}`;
      case "set_deadline":
        return "deadline";
      case "set_grace":
        return "grace";
      case "finished":
        return "finished";
    }
  }).join(", ");
}

function run(
  list: string,
  options: ReadQuorumOptions,
  table: [GetEvent, string][],
): GetState {
  const get = createGet(preflist(list), readQuorum(options, 64), bitSets);
  for (const [event, expected] of table) {
    const effects: GetEffect[] = [];
    stepGet(get, event, effects);
    assertEquals(show(effects), expected, JSON.stringify(event));
  }
  return get;
}

const start: GetEvent = { type: "start" };
const graceOver: GetEvent = { type: "grace_over" };
const found = (replica: number, ...bytes: number[]): GetEvent => ({
  type: "found",
  replica,
  bytes: new Uint8Array(bytes),
});
const absent = (replica: number): GetEvent => ({ type: "absent", replica });
const failed = (
  replica: number,
  code: ConstructorParameters<typeof WhorlError>[0] = "connection_closed",
): GetEvent => ({
  type: "failed",
  replica,
  error: new WhorlError(code, "It failed"),
});
const SENT = "deadline, get 0, get 1, get 2";

Deno.test("stepGet() answers at R and repairs nobody when all agree", () => {
  run("a b c", {}, [
    [start, SENT],
    [found(2, 5), ""],
    [found(0, 5), "respond 5, grace"],
    [found(1, 5), "finished"],
    [found(1, 7), ""],
  ]);
});

Deno.test("stepGet() counts an absent object as an answer and repairs it nowhere", () => {
  run("a b c", {}, [
    [start, SENT],
    [absent(0), ""],
    [absent(1), "respond nothing, grace"],
    [absent(2), "finished"],
  ]);
});

Deno.test("stepGet() treats an empty object as none", () => {
  run("a b c", {}, [
    [start, SENT],
    [found(0, 0), ""],
    [absent(1), "respond nothing, grace"],
    [absent(2), "finished"],
  ]);
  run("a b c", {}, [
    [start, SENT],
    [found(0, 5), ""],
    [found(1, 0), "respond 5, grace"],
    [absent(2), "repair 1, repair 2, finished"],
  ]);
  run("a b c", {}, [
    [start, SENT],
    [absent(0), ""],
    [found(1, 0), "respond nothing, grace"],
    [failed(2, "value_corrupt"), "repair 2, finished"],
  ]);
});

Deno.test("stepGet() merges concurrent versions and repairs both their holders", () => {
  run("a b c", {}, [
    [start, SENT],
    [found(0, 1), ""],
    [found(1, 2), "respond 3, grace"],
    [found(2, 3), "repair 0, repair 1, finished"],
  ]);
});

Deno.test("stepGet() repairs an older version, a missing one and a damaged one", () => {
  run("a b c", {}, [
    [start, SENT],
    [found(0, 1), ""],
    [found(1, 3), "respond 3, grace"],
    [found(2, 3), "repair 0, finished"],
  ]);
  run("a b c", { r: 1 }, [
    [start, SENT],
    [absent(0), "respond nothing, grace"],
    [found(1, 3), ""],
    [failed(2, "value_corrupt"), "repair 0, repair 2, finished"],
  ]);
});

Deno.test("stepGet() empties a damaged object of which no other replica has anything, if a majority has answered so", () => {
  const corrupt = (replica: number) => failed(replica, "value_corrupt");
  const get = run("a b c", {}, [
    [start, SENT],
    [absent(0), ""],
    [absent(1), "respond nothing, grace"],
    [corrupt(2), "repair 2, finished"],
  ]);
  assertEquals(repairOf(get), bitSets.nothing);
  run("a b c", { r: 3 }, [
    [start, SENT],
    [absent(0), ""],
    [corrupt(1), "respond quorum_unavailable, grace"],
    [absent(2), "repair 1, finished"],
  ]);
  // The damaged replicas may have acknowledged a write.
  run("a b c", { r: 1 }, [
    [start, SENT],
    [corrupt(0), ""],
    [corrupt(1), ""],
    [absent(2), "respond nothing, finished"],
  ]);
  run("a b", { n: 2, r: 1 }, [
    [start, "deadline, get 0, get 1"],
    [corrupt(0), ""],
    [absent(1), "respond nothing, finished"],
  ]);
  // A replica that has it may not have answered.
  run("a b c*", {}, [
    [start, SENT],
    [absent(0), ""],
    [absent(2), "respond nothing, grace"],
    [corrupt(1), "finished"],
  ]);
  run("a b c", {}, [
    [start, SENT],
    [absent(0), ""],
    [absent(1), "respond nothing, grace"],
    [graceOver, "finished"],
  ]);
});

Deno.test("stepGet() notices while it lingers that its answer was stale", () => {
  const get = run("a b c", {}, [
    [start, SENT],
    [found(0, 1), ""],
    [found(1, 1), "respond 1, grace"],
    [found(2, 3), "repair 0, repair 1, finished"],
  ]);
  assertEquals(get.object, new Uint8Array([3]));
});

Deno.test("stepGet() repairs only replicas that have answered", () => {
  run("a b c", { r: 1 }, [
    [start, SENT],
    [found(0, 1), "respond 1, grace"],
    [failed(1), ""],
    [graceOver, "finished"],
  ]);
});

Deno.test("stepGet() repairs a stale fallback but does not fill an empty one", () => {
  run("a b* c*", {}, [
    [start, SENT],
    [found(0, 3), ""],
    [found(1, 1), "respond 3, grace"],
    [absent(2), "repair 1, finished"],
  ]);
});

Deno.test("stepGet() fails as soon as R cannot be met, but still repairs", () => {
  run("a b c", { r: "all" }, [
    [start, SENT],
    [failed(0), "respond quorum_unavailable, grace"],
    [found(1, 1), ""],
    [absent(2), "repair 2, finished"],
  ]);
});

Deno.test("stepGet() answers timeout at the deadline", () => {
  run("a b c", {}, [
    [start, SENT],
    [found(0, 1), ""],
    [{ type: "deadline" }, "respond timeout, grace"],
    [{ type: "deadline" }, ""],
    [graceOver, "finished"],
  ]);
});

Deno.test("stepGet() treats bytes that are not an object as a failed replica, and repairs it", () => {
  run("a b c", {}, [
    [start, SENT],
    [found(0, 0, 0), ""],
    [found(1, 1), ""],
    [found(2, 1), "respond 1, repair 0, finished"],
  ]);
  run("a b c", {}, [
    [start, SENT],
    [found(1, 1), ""],
    [found(0, 1, 1), ""],
    [found(2, 1), "respond 1, repair 0, finished"],
  ]);
});

Deno.test("stepGet() does not hide a bug in the merge", () => {
  const broken: ObjectMerge = {
    nothing: new Uint8Array(1),
    check() {
      throw new RangeError("a bug");
    },
    merge: bitSets.merge,
  };
  const get = createGet(preflist("a b c"), readQuorum({}, 64), broken);
  stepGet(get, start, []);
  assertThrows(() => stepGet(get, found(0, 1), []), RangeError, "a bug");
});

Deno.test("stepGet() asks a moved vnode once more", () => {
  run("a b c", {}, [
    [start, SENT],
    [{ type: "wrong_owner", replica: 1, owner: 3 }, "get 1"],
    [{ type: "wrong_owner", replica: 1, owner: 4 }, ""],
    [found(0, 1), ""],
    [found(2, 1), "respond 1, finished"],
  ]);
});

Deno.test("stepGet() fails at once if the preference list is too short", () => {
  run("a b* c*", { pr: 2 }, [[start, "respond insufficient_vnodes, finished"]]);
  run("a b*", { quorum: "strict" }, [[
    start,
    "respond insufficient_vnodes, finished",
  ]]);
});

Deno.test("stepGet() stops without repairs when cancelled", () => {
  run("a b c", { r: 2 }, [
    [start, SENT],
    [found(0, 1), ""],
    [absent(1), "respond 1, grace"],
    [{ type: "cancel" }, "finished"],
  ]);
  run("a b c", {}, [
    [start, SENT],
    [{ type: "cancel" }, "respond cancelled, finished"],
  ]);
});

Deno.test("stepGet() copies the first of equal answers and no other", () => {
  const get = createGet(preflist("a b c"), readQuorum({}, 64), bitSets);
  const bytes = new Uint8Array([5]);
  stepGet(get, start, []);
  stepGet(get, { type: "found", replica: 0, bytes }, []);
  const kept = get.object;
  stepGet(get, { type: "found", replica: 1, bytes }, []);
  assertStrictEquals(get.object, kept);
  bytes[0] = 9;
  assertEquals(get.object, new Uint8Array([5]));
});
