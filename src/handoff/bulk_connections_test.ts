import { assert, assertEquals, assertRejects } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { WhorlError } from "../base/errors.ts";
import { BULK_IDLE_MS, BulkConnections } from "./bulk_connections.ts";
import type { BulkConnection } from "./handoff_world.ts";

class FakeConnection implements BulkConnection {
  readonly node: string;
  closed: WhorlError | undefined;
  closes = 0;

  constructor(node: string) {
    this.node = node;
  }

  ask(module: string, partition: number): Promise<Uint8Array> {
    return Promise.resolve(Uint8Array.of(module.length, partition));
  }

  call(method: string): Promise<unknown> {
    return Promise.resolve(method);
  }

  close(): void {
    this.closes++;
    this.closed ??= new WhorlError("connection_closed", "closed");
  }
}

class Bench {
  readonly runtime = new ManualRuntime();
  readonly opened: FakeConnection[] = [];
  gate: Promise<void> = Promise.resolve();
  readonly connections = new BulkConnections({
    runtime: this.runtime,
    connect: async (node) => {
      const connection = new FakeConnection(node);
      this.opened.push(connection);
      await this.gate;
      return connection;
    },
  });
}

Deno.test("BulkConnections opens one connection to each node for concurrent transfers", async () => {
  const bench = new Bench();
  const [one, two, other] = await Promise.all(
    ["b", "b", "c"].map((node) => bench.connections.to(node)),
  );
  assertEquals(bench.opened.map(({ node }) => node), ["b", "c"]);
  assertEquals([one!.node, two!.node, other!.node], ["b", "b", "c"]);
  assertEquals(await one!.ask("kv", 7, () => {}, 0), Uint8Array.of(2, 7));
  assertEquals(await two!.call("sing", null), "sing");
  bench.connections.close();
  assertEquals(bench.opened.map(({ closes }) => closes), [1, 1]);
  assertEquals(bench.runtime.pendingTimers, 0);
});

Deno.test("BulkConnections closes a connection BULK_IDLE_MS after its last use, not before", async () => {
  const bench = new Bench();
  const { runtime, opened } = bench;
  const one = await bench.connections.to("b");
  const two = await bench.connections.to("b");
  one.close();
  // A second close has no effect.
  one.close();
  await runtime.advance(3 * BULK_IDLE_MS);
  assertEquals(opened[0]!.closes, 0);
  two.close();
  const again = await bench.connections.to("b");
  await runtime.advance(3 * BULK_IDLE_MS);
  assertEquals([opened.length, opened[0]!.closes], [1, 0]);
  again.close();
  await runtime.advance(2 * BULK_IDLE_MS);
  assertEquals([opened[0]!.closes, runtime.pendingTimers], [1, 0]);
  await bench.connections.to("b");
  assertEquals(opened.length, 2);
});

Deno.test("BulkConnections replaces a broken connection", async () => {
  const bench = new Bench();
  const one = await bench.connections.to("b");
  bench.opened[0]!.close();
  assertEquals(one.closed?.code, "connection_closed");
  const two = await bench.connections.to("b");
  assertEquals([bench.opened.length, two.closed], [2, undefined]);
});

Deno.test("BulkConnections passes the error of a failed connect to all who wait, and retries", async () => {
  const bench = new Bench();
  bench.gate = Promise.reject(new WhorlError("not_reachable", "no route"));
  const asked = [bench.connections.to("b"), bench.connections.to("b")];
  for (const each of asked) await assertRejects(() => each, WhorlError);
  assertEquals(bench.opened.length, 1);
  bench.gate = Promise.resolve();
  await bench.connections.to("b");
  assertEquals(bench.opened.length, 2);
});

Deno.test("BulkConnections.close() closes a connection that opens afterwards", async () => {
  const bench = new Bench();
  const gate = Promise.withResolvers<void>();
  bench.gate = gate.promise;
  const asked = bench.connections.to("b");
  bench.connections.close();
  gate.resolve();
  const connection = await asked;
  assert(connection.closed !== undefined);
});
