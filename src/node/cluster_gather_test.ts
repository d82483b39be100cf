import { assertEquals, assertRejects } from "@std/assert";
import { systemRuntime } from "../../supervisors/runtime.ts";
import { WhorlError } from "../base/errors.ts";
import { askMembers, type MemberCalls } from "./cluster_gather.ts";

const never = () => new Promise<never>(() => {});

/** A node `a` whose other members answer as `others` do. */
function callsTo(
  others: Record<string, () => Promise<unknown>>,
  perform: () => unknown = () => "a here",
): MemberCalls & { asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    runtime: systemRuntime,
    self: "a",
    members: () => ["a", ...Object.keys(others)],
    perform,
    call(member, method, args, timeoutMs) {
      asked.push(`${member} ${method} ${JSON.stringify(args)} ${timeoutMs}`);
      return others[member]!();
    },
  };
}

Deno.test("askMembers() asks all members, itself without a link, and sorts their answers", async () => {
  const calls = callsTo({
    c: () => Promise.resolve("c there"),
    b: () => Promise.resolve("b there"),
  });
  const gathered = await askMembers(calls, {
    method: "status",
    args: { x: 1 },
    nodes: null,
    timeoutMs: 500,
  });
  assertEquals(gathered, {
    answers: [
      { node: "a", result: "a here" },
      { node: "b", result: "b there" },
      { node: "c", result: "c there" },
    ],
    failures: [],
  });
  assertEquals(calls.asked, ['b status {"x":1} 500', 'c status {"x":1} 500']);
});

Deno.test("askMembers() reports who did not answer and why, and keeps the other answers", async () => {
  const calls = callsTo({
    b: () =>
      Promise.reject(
        new WhorlError("not_reachable", "no link", { details: { node: "b" } }),
      ),
    c: () => Promise.reject(new TypeError("a bug")),
    d: () => Promise.resolve("d there"),
  });
  const gathered = await askMembers(calls, {
    method: "status",
    args: {},
    nodes: ["d", "b", "c", "stranger", "b"],
  });
  assertEquals(gathered.answers, [{ node: "d", result: "d there" }]);
  assertEquals(
    gathered.failures.map(({ node, code, message }) => [node, code, message]),
    [
      ["b", "not_reachable", "no link"],
      ["c", "internal", "a bug"],
      [
        "stranger",
        "not_member",
        "Cannot ask stranger as it is no member of the cluster",
      ],
    ],
  );
  assertEquals(gathered.failures[0]?.details, { node: "b" });
});

Deno.test("askMembers() waits no longer for its own node than for others", async () => {
  const gathered = await askMembers(callsTo({}, never), {
    method: "held_partitions",
    args: {},
    nodes: null,
    timeoutMs: 5,
  });
  assertEquals(gathered.failures.map(({ code }) => code), ["timeout"]);
});

Deno.test("askMembers() refuses a time out of bounds", async () => {
  for (const timeoutMs of [0, 60_001]) {
    const error = await assertRejects(
      () =>
        askMembers(callsTo({}), {
          method: "status",
          args: {},
          nodes: null,
          timeoutMs,
        }),
      WhorlError,
    );
    assertEquals(error.code, "invalid_argument");
  }
});
