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
  const [status, again] = [
    await session.call("ring_status", {}),
    await session.call("ring_status", {}),
  ];
  assertEquals(status, again);
  // What is done to an answer is not done to the node.
  (status.owners as number[])[0] = 7;
  assertEquals((await session.call("ring_status", {})).owners, again.owners);
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
