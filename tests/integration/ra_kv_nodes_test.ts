/**
 * What clusters of `ra_kv` notice of a node that is stopped in order, or whose
 * disk refuses its Raft logs for a while.
 *
 * @module
 */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { withCluster } from "../harness/test_cluster.ts";
import type { TestNode } from "../harness/test_node.ts";
import { until } from "../harness/until.ts";

const CLUSTER = "orders";
const WAIT_MS_MAX = 20_000;

Deno.test("a node that is stopped in order transfers its leaderships first, so that no write to them fails", () =>
  withCluster(
    { kind: "in_process", nodes: 3, directories: true, ringSize: 8 },
    async (cluster) => {
      await cluster.joinAll();
      const [a, b] = cluster.nodes as [TestNode, TestNode];
      const raKv = b.inside!.raKv;
      await raKv.startCluster(CLUSTER, cluster.nodes.map(({ name }) => name));
      if ((await raKv.members(CLUSTER)).leader !== a.name) {
        await raKv.transferLeadership(CLUSTER, a.name);
      }
      const written: number[] = [];
      let stopped = false;
      const writing = (async () => {
        while (!stopped) {
          const { index } = await raKv.put(CLUSTER, "k", written.length);
          written.push(index);
        }
      })();
      // Ends the test at once if a write fails.
      const untilWritten = (count: number): Promise<void> =>
        Promise.race([
          writing,
          until(
            "writes go on",
            () => Promise.resolve(written.length >= count),
            WAIT_MS_MAX,
          ),
        ]);
      await untilWritten(20);
      await Promise.race([writing, a.stop()]);
      await untilWritten(written.length + 20);
      stopped = true;
      await writing;
      assertEquals((await raKv.get(CLUSTER, "k")).value, written.length - 1);
      assertNotEquals((await raKv.members(CLUSTER)).leader, a.name);
      assert(written.every((index, at) => index > (written[at - 1] ?? 0)));
    },
  ));

Deno.test("a node whose disk fails for its Raft logs passes operations on, and runs its member again once the disk is back", () =>
  withCluster(
    { kind: "in_process", nodes: 3, directories: true, ringSize: 8 },
    async (cluster) => {
      await cluster.joinAll();
      const [a, , c] = cluster.nodes as [TestNode, TestNode, TestNode];
      const raKv = c.inside!.raKv;
      await raKv.startCluster(CLUSTER, cluster.nodes.map(({ name }) => name));
      await raKv.put(CLUSTER, "k", "before");

      // A file where the folder should be is what no logs can be opened in.
      const logs = `${cluster.folder}/dev3/raft`;
      await Deno.rename(logs, `${logs}.away`);
      await Deno.writeTextFile(logs, "");
      assertEquals(await c.control.killPart(["raft_sup", "raft_logs"]), true);
      const failing = async (): Promise<string> => {
        const { failures } = await a.inside!.raKv.overview(CLUSTER);
        return failures.map(({ node, code }) => `${node} ${code}`).join();
      };
      await until(
        "its member is gone",
        async () => await failing() === `${c.name} not_reachable`,
        WAIT_MS_MAX,
      );
      for (let n = 0; n < 5; n++) {
        await raKv.put(CLUSTER, "k", `while ${n}`);
        for (const from of ["leader", "local"] as const) {
          const { value } = await raKv.get(CLUSTER, "k", { from });
          assertEquals(value, `while ${n}`);
        }
      }
      assertEquals(
        (await a.inside!.raKv.clusters()).failures.map(({ node }) => node),
        [c.name],
      );

      await Deno.remove(logs);
      await Deno.rename(`${logs}.away`, logs);
      await until(
        "its member is back",
        async () => await failing() === "",
        WAIT_MS_MAX,
      );
      const { value } = await raKv.get(CLUSTER, "k", { from: "local" });
      assertEquals(value, "while 4");
    },
  ));
