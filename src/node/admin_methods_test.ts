import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { WhorlError } from "../base/errors.ts";
import { performCall } from "./admin_methods.ts";
import type { HeldPartitions, MemberAnswers } from "./admin_protocol.ts";
import { openSession } from "./connect.ts";
import type { WhorlNode } from "./node.ts";
import { startNode } from "./start_node.ts";
import {
  type FakeHandoff,
  fakeHandoff,
  fakeTransfer,
} from "./testing/fake_handoff.ts";

const COOKIE = "admin methods";

/** A node with a fake in place of its handoff. */
async function nodeWithFake(
  name: string,
): Promise<{ node: WhorlNode; handoff: FakeHandoff }> {
  const node = await startNode({
    name,
    cookie: COOKIE,
    listen: "127.0.0.1:0",
    storage: "memory",
    ringSize: 8,
    masterPlacement: "task",
  });
  const handoff = fakeHandoff(name);
  node.parts.handoff = handoff;
  return { node, handoff };
}

async function codeOf(work: () => unknown): Promise<string> {
  const error = await assertRejects(async () => await work(), WhorlError);
  return error.code;
}

Deno.test("the handoff methods show and set the state of the node's handoff", async () => {
  const { node, handoff } = await nodeWithFake("a@127.0.0.1");
  await using _ = node;
  handoff.transfers = [fakeTransfer()];
  const call = (method: string, args: unknown = {}) =>
    performCall(node, method, args);
  assertEquals(call("handoff_status"), handoff.status());
  assertEquals(call("handoff_set_concurrency", { concurrency: 7 }), {
    concurrency: 7,
    outbound: true,
    inbound: true,
  });
  call("handoff_set_enabled", { direction: "inbound", enabled: false });
  assertEquals(call("handoff_config"), {
    concurrency: 7,
    outbound: true,
    inbound: false,
  });
  await call("repair", { partition: 3, module: null });
  assertEquals(call("repairs"), handoff.history);
  handoff.held = [
    { module: "kv", partition: 5 },
    { module: "kv", partition: 1 },
  ];
  assertEquals(await call("held_partitions") as HeldPartitions, {
    node: "a@127.0.0.1",
    services: ["kv"],
    modules: ["kv"],
    owned: [0, 1, 2, 3, 4, 5, 6, 7],
    held: [{ module: "kv", partition: 1 }, { module: "kv", partition: 5 }],
  });
});

Deno.test("the handoff methods check their arguments, and fail while there is no handoff", async () => {
  const { node } = await nodeWithFake("a@127.0.0.1");
  await using _ = node;
  const wrong: [string, unknown][] = [
    ["handoff_set_concurrency", {}],
    ["handoff_set_concurrency", { concurrency: -1 }],
    ["handoff_set_concurrency", { concurrency: 1.5 }],
    ["handoff_set_concurrency", { concurrency: "2" }],
    ["handoff_set_concurrency", { concurrency: 1_025 }],
    ["handoff_set_enabled", { direction: "up", enabled: true }],
    ["handoff_set_enabled", { direction: "both", enabled: 1 }],
    ["repair", { partition: null }],
    ["repair", { partition: 1, module: 2 }],
    ["ask_members", { method: "repairs", nodes: "a@127.0.0.1" }],
    ["ask_members", { method: "repairs", nodes: [1] }],
    ["ask_members", { method: "repairs", timeoutMs: -1 }],
  ];
  for (const [method, args] of wrong) {
    const error = assertThrows(
      () => performCall(node, method, args),
      WhorlError,
    );
    assertEquals(error.code, "invalid_argument", method);
  }
  // What one node does for another is a closed list.
  for (const method of ["stop", "ask_members", "toString"]) {
    assertEquals(
      await codeOf(() => performCall(node, "ask_members", { method })),
      "unknown_command",
    );
  }
  node.parts.handoff = undefined;
  assertEquals(
    await codeOf(() => performCall(node, "handoff_status", {})),
    "closed",
  );
  // A node that took this one for an older version would take its clusters for
  // unknown.
  node.parts.raKv = undefined;
  assertEquals(
    await codeOf(() => performCall(node, "ra_kv_locate", { cluster: "c" })),
    "closed",
  );
});

Deno.test("ask_members reaches members over links, and reports which are gone", async () => {
  const { node: first, handoff: firstHandoff } = await nodeWithFake(
    "a@127.0.0.1",
  );
  await using _ = first;
  const { node: second, handoff: secondHandoff } = await nodeWithFake(
    "b@127.0.0.1",
  );
  await using __ = second;
  await second.join(first.address);
  await first.plan();
  await first.commit();
  await first.settled(10_000);
  firstHandoff.config = { ...firstHandoff.config, concurrency: 1 };
  secondHandoff.config = { ...secondHandoff.config, concurrency: 9 };
  await using session = await openSession(
    { node: first.name, address: first.address },
    { cookie: COOKIE },
  );
  const ask = (args: unknown = {}, method = "handoff_config" as const) =>
    session.call("ask_members", { method, args: args as never, nodes: null });
  const all = await ask() as MemberAnswers<{ concurrency: number }>;
  assertEquals(
    all.answers.map(({ node, result }) => [node, result.concurrency]),
    [["a@127.0.0.1", 1], ["b@127.0.0.1", 9]],
  );
  // An error there comes back with its code.
  const refused = await session.call("ask_members", {
    method: "handoff_set_concurrency",
    args: { concurrency: 2_000 },
    nodes: ["b@127.0.0.1"],
  });
  assertEquals(refused.failures.map(({ code }) => code), ["invalid_argument"]);
  await second.stop();
  const some = await ask();
  assertEquals(some.answers.map(({ node }) => node), ["a@127.0.0.1"]);
  assertEquals(
    some.failures.map(({ node, code }) => [node, code]),
    [["b@127.0.0.1", "not_reachable"]],
  );
});
