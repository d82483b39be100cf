import { assert, assertEquals, assertRejects } from "@std/assert";
import { WhorlError } from "../base/errors.ts";
import { localSession } from "./local_session.ts";
import { startNode } from "./start_node.ts";

Deno.test("localSession() answers as a session over TCP does", async () => {
  await using node = await startNode({
    name: "dev1@127.0.0.1",
    cookie: "cookie of the session's test",
    listen: "127.0.0.1:0",
    ringSize: 8,
    masterPlacement: "task",
    coordinatorPlacement: "task",
    masters: 1,
  });
  await using session = localSession(node);
  assertEquals(await session.call("ping", {}), { node: node.name });
  // Changing an answer does not change the node.
  for (
    const method of [
      "ring_status",
      "cluster_status",
      "handoff_config",
      "services",
      "capabilities",
      "tree",
    ] as const
  ) {
    const before = structuredClone(await session.call(method, {}));
    spoil(await session.call(method, {}));
    assertEquals(await session.call(method, {}), before, method);
  }
  const failure = await assertRejects(
    () => session.call("cluster_commit", {}, { timeoutMs: 5_000 }),
    WhorlError,
  );
  assertEquals(failure.code, "nothing_planned");
  for (const signal of [AbortSignal.abort(), abortedSoon()]) {
    const cancelled = await assertRejects(
      () => session.call("stats", {}, { signal }),
      WhorlError,
    );
    assertEquals(cancelled.code, "cancelled");
  }
  await session[Symbol.asyncDispose]();
  assert(node.info().pid > 0, "the node goes on");
});

function abortedSoon(): AbortSignal {
  const giveUp = new AbortController();
  queueMicrotask(() => giveUp.abort());
  return giveUp.signal;
}

/** Empties everything in `data`. */
function spoil(data: object): void {
  for (const [name, value] of Object.entries(data)) {
    if (typeof value === "object" && value !== null) spoil(value);
    delete (data as Record<string, unknown>)[name];
  }
}
