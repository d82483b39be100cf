import { assertEquals, assertRejects } from "@std/assert";
import { WhorlError } from "../src/base/errors.ts";
import type { Disk } from "../src/environment/disk.ts";
import { systemRuntime } from "../supervisors/runtime.ts";
import { connect, type WhorlClient } from "../src/node/connect.ts";
import { startNode } from "../src/node/start_node.ts";
import { systemDisk } from "../src/storage/system_disk.ts";
import { MemoryNetwork } from "../src/transport/memory_transport.ts";
import { memoryEnvironment } from "./harness/in_process_node.ts";
import { LineTail } from "./harness/line_log.ts";
import { until } from "./harness/until.ts";

/** A disk that answers nothing about the logs of Raft groups before `open`. */
function slowRaftDisk(open: Promise<void>): Disk {
  const later = async (path: string): Promise<void> => {
    if (path.includes("/raft")) await open;
  };
  return {
    ...systemDisk,
    open: (path, options) =>
      later(path).then(() => systemDisk.open(path, options)),
    openRead: (path) => later(path).then(() => systemDisk.openRead(path)),
    readFile: (path) => later(path).then(() => systemDisk.readFile(path)),
    entry: (path) => later(path).then(() => systemDisk.entry(path)),
    names: (path) => later(path).then(() => systemDisk.names(path)),
    makeFolder: (path) => later(path).then(() => systemDisk.makeFolder(path)),
  };
}

Deno.test("a node that starts serves no consistent bucket before its groups run, and other buckets at once", async () => {
  const folder = await Deno.makeTempDir({ prefix: "whorl-" });
  const network = new MemoryNetwork(systemRuntime);
  const lines = new LineTail();
  const options = {
    name: "dev1@host1",
    listen: "host1:7001",
    cookie: "a secret for tests",
    dataDirectory: `${folder}/dev1`,
    storage: "memory",
    masterPlacement: "task",
    ringSize: 8,
  } as const;
  const environment = memoryEnvironment(network, "host1", lines);
  try {
    {
      await using node = await startNode({ ...options, environment });
      await node.markConsistent("accounts");
      await node.kv.put("accounts", "ann", 5);
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    const starting = startNode({
      ...options,
      environment: { ...environment, disk: slowRaftDisk(promise) },
    });
    starting.catch(() => {});
    try {
      let connected: WhorlClient | undefined;
      await until("it listens", async () => {
        connected = await connect({
          nodes: [options.listen],
          cookie: options.cookie,
          environment: memoryEnvironment(network, "client", lines),
        }).catch(() => undefined);
        return connected !== undefined;
      }, 20_000);
      await using client = connected as unknown as WhorlClient;
      await until(
        "its vnodes serve",
        () =>
          client.kv.put("carts", "ann", 1).then(
            () => true,
            () => false,
          ),
        20_000,
      );
      const asks = [
        () => client.kv.get("accounts", "ann"),
        () => client.kv.put("accounts", "bob", 1),
        () => Array.fromAsync(client.kv.keys("accounts")),
      ];
      for (const ask of asks) {
        assertEquals((await assertRejects(ask, WhorlError)).code, "closed");
      }
      resolve();
      await starting;
      assertEquals((await client.kv.get("accounts", "ann")).value, 5);
      assertEquals(await Array.fromAsync(client.kv.keys("accounts")), ["ann"]);
    } finally {
      resolve();
      await (await starting).stop();
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
