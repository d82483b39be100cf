/**
 * Clusters of the consistent store on nodes that fall and come back. Every
 * value is `NUMBER` of the write that made it, so that a read which is older
 * than what was acknowledged before it is seen at once.
 *
 * @module
 */
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { NotFoundError } from "../../../src/ra_kv/not_found_error.ts";
import type { RaKvClient } from "../../../src/ra_kv/ra_kv_client.ts";
import type { TestCluster } from "../../harness/test_cluster.ts";
import type { TestNode } from "../../harness/test_node.ts";
import { until } from "../../harness/until.ts";
import { fourNodes, refused, type Scenario, threeNodes } from "./scenario.ts";

const C = "orders";
/** Raft keeps files; vnodes need none here. */
const FILES = { storage: "memory", directories: true } as const;
const KEYS = Array.from({ length: 100 }, (_, i) => `k${i}`);
/** What is waited for takes a moment; far beyond that is a failure. */
const PATIENCE_MS = 15_000;

async function writeAll(raKv: RaKvClient, value: number): Promise<void> {
  await Promise.all(KEYS.map((key) => raKv.put(C, key, value)));
}

async function assertAll(
  raKv: RaKvClient,
  value: number,
  from: "leader" | "local" = "leader",
): Promise<void> {
  const found = await Promise.all(
    KEYS.map((key) => raKv.get(C, key, { from })),
  );
  assertEquals(found.map((each) => each.value), KEYS.map(() => value));
}

/** Each node's own client, and none goes to another node by itself. */
async function clientsOf(
  cluster: TestCluster,
  stack: AsyncDisposableStack,
): Promise<RaKvClient[]> {
  const clients = await Promise.all(
    cluster.nodes.map((node) => cluster.client([node.address])),
  );
  return clients.map((client) => stack.use(client).raKv);
}

async function leaderOf(
  cluster: TestCluster,
  asked: RaKvClient,
): Promise<{ leader: TestNode; others: TestNode[] }> {
  const { leader } = await asked.members(C);
  return {
    leader: cluster.nodes.find(({ name }) => name === leader) as TestNode,
    others: cluster.nodes.filter(({ name }) => name !== leader),
  };
}

/** Waits until every member says the same of where its log and state are. */
async function membersAgree(raKv: RaKvClient, count: number): Promise<void> {
  await until(`${count} members are equally far`, async () => {
    const { overviews } = await raKv.overview(C);
    return overviews.length === count &&
      new Set(overviews.map(({ appliedIndex }) => appliedIndex)).size === 1 &&
      new Set(overviews.map(({ machine }) => JSON.stringify(machine["keys"])))
          .size === 1;
  }, PATIENCE_MS);
}

/** See the module comment. */
export const RA_KV_SCENARIOS: readonly Scenario[] = [
  {
    name:
      "ra_kv continues when its leader is killed, and that one has everything when it is back",
    kinds: ["processes"],
    cluster: FILES,
    async play(cluster) {
      await using stack = new AsyncDisposableStack();
      const clients = await clientsOf(cluster, stack);
      const [first] = clients as [RaKvClient];
      const names = cluster.nodes.map(({ name }) => name);
      const started = await first.startCluster(C, names);
      assertEquals([started.started.toSorted(), started.notStarted], [
        names,
        [],
      ]);
      await writeAll(first, 1);
      await Promise.all(clients.map((client) => assertAll(client, 1)));
      const { leader, others } = await leaderOf(cluster, first);
      await leader.kill();
      const left = clients[
        cluster.nodes.indexOf(others[0] as TestNode)
      ] as RaKvClient;
      await writeAll(left, 2);
      await assertAll(left, 2);
      await leader.start();
      await using back = await cluster.client([leader.address]);
      await assertAll(back.raKv, 2, "local");
      await membersAgree(back.raKv, 3);
    },
  },
  {
    name:
      "ra_kv answers nothing without a majority, and continues with its data when there is one",
    kinds: ["in_process"],
    cluster: FILES,
    async play(cluster) {
      await using stack = new AsyncDisposableStack();
      const clients = await clientsOf(cluster, stack);
      const [first, second, third] = threeNodes(cluster);
      const [raKv] = clients as [RaKvClient];
      await raKv.startCluster(C, cluster.nodes.map(({ name }) => name));
      await writeAll(raKv, 1);
      await second.kill();
      await third.kill();
      await refused("timeout", () => raKv.put(C, "k0", 2, { timeoutMs: 300 }));
      await refused("timeout", () => raKv.get(C, "k1", { timeoutMs: 300 }));
      await second.start();
      // The put that timed out may have happened, and nothing else has.
      const { value } = await raKv.get(C, "k0");
      assert(value === 1 || value === 2, `k0 is ${value}`);
      assertEquals((await raKv.get(C, "k1")).value, 1);
      await writeAll(raKv, 3);
      await third.start();
      await membersAgree(raKv, 3);
      assertEquals(first.running, true);
    },
  },
  {
    name:
      "a member of ra_kv that was away gets a snapshot and its live entries",
    kinds: ["in_process"],
    cluster: FILES,
    async play(cluster) {
      await using stack = new AsyncDisposableStack();
      const clients = await clientsOf(cluster, stack);
      const [raKv] = clients as [RaKvClient];
      await raKv.startCluster(C, cluster.nodes.map(({ name }) => name));
      const third = cluster.node(2);
      await third.stop();
      for (let value = 1; value <= 5; value++) await writeAll(raKv, value);
      await raKv.delete(C, "k99");
      const { snapshots } = await raKv.takeSnapshot(C);
      assertEquals(snapshots.length, 2);
      await raKv.put(C, "k99", 5);
      await third.start();
      await membersAgree(raKv, 3);
      await using back = await cluster.client([third.address]);
      await assertAll(back.raKv, 5, "local");
      const { log } = await back.raKv.memberOverview(C, third.name);
      assertEquals(log.liveEntries, 99);
      assert(log.firstIndex > 100, "it was given the whole log");
      // And once more from its own disk.
      await third.stop();
      await third.start();
      await using again = await cluster.client([third.address]);
      await assertAll(again.raKv, 5, "local");
    },
  },
  {
    name:
      "members of ra_kv are added and removed one at a time, and failed changes leave nothing behind",
    kinds: ["in_process"],
    cluster: { ...FILES, nodes: 4 },
    async play(cluster) {
      await using stack = new AsyncDisposableStack();
      const clients = await clientsOf(cluster, stack);
      const [first, second, third, fourth] = fourNodes(cluster);
      const [raKv] = clients as [RaKvClient];
      const names = [first, second, third].map(({ name }) => name);
      await raKv.startCluster(C, names);
      await refused("already_exists", () => raKv.startCluster(C, names));
      await writeAll(raKv, 1);
      await refused("already_member", () => raKv.addMember(C, second.name));
      await refused("not_member", () => raKv.removeMember(C, fourth.name));
      await fourth.stop();
      await refused("not_reachable", () => raKv.addMember(C, fourth.name));
      assertEquals(
        (await raKv.members(C)).members.map(({ node }) => node),
        names,
      );
      await fourth.start();
      await using back = await cluster.client([fourth.address]);
      await until(
        "a connection to the fourth",
        async () => (await raKv.clusters()).failures.length === 0,
        PATIENCE_MS,
      );
      await raKv.addMember(C, fourth.name);
      await assertAll(back.raKv, 1, "local");
      await until("the fourth votes", async () => {
        const { members } = await back.raKv.members(C);
        return members.every(({ kind }) => kind === "voter");
      }, PATIENCE_MS);
      await raKv.removeMember(C, first.name);
      await writeAll(back.raKv, 2);
      // One that has no member any more still leads clients to those that have.
      await assertAll(raKv, 2);
      assertEquals(
        (await back.raKv.members(C)).members.map(({ node }) => node),
        [second, third, fourth].map(({ name }) => name),
      );
      await back.raKv.deleteCluster(C);
      await refused("unknown_cluster", () => back.raKv.get(C, "k0"));
    },
  },
  {
    name:
      "a member of ra_kv with a damaged log comes back under another uid, with everything",
    kinds: ["in_process"],
    cluster: FILES,
    async play(cluster) {
      await using stack = new AsyncDisposableStack();
      const clients = await clientsOf(cluster, stack);
      const [raKv] = clients as [RaKvClient];
      await raKv.startCluster(C, cluster.nodes.map(({ name }) => name));
      await writeAll(raKv, 1);
      await writeAll(raKv, 2);
      const third = cluster.node(2);
      const uidOf = async (): Promise<number | undefined> =>
        (await raKv.members(C)).members.find(({ node }) => node === third.name)
          ?.uid;
      const before = await uidOf();
      await third.kill();
      await damageLog(`${cluster.folder}/dev3/raft`);
      await third.start();
      await until("the third votes again", async () => {
        const { members } = await raKv.members(C);
        const member = members.find(({ node }) => node === third.name);
        return member?.uid !== before && member?.kind === "voter";
      }, PATIENCE_MS);
      await membersAgree(raKv, 3);
      await using back = await cluster.client([third.address]);
      await assertAll(back.raKv, 2, "local");
    },
  },
  {
    name:
      "a cluster of ra_kv deleted while a member is away does not reappear with that member, even if its name is in use again",
    kinds: ["in_process"],
    cluster: { ...FILES, nodes: 4 },
    async play(cluster) {
      await using stack = new AsyncDisposableStack();
      const clients = await clientsOf(cluster, stack);
      const [first, second, third, fourth] = fourNodes(cluster);
      const [raKv] = clients as [RaKvClient];
      const D = "of another name";
      const names = [first, second, third].map(({ name }) => name);
      for (const each of [C, D]) await raKv.startCluster(each, names);
      await writeAll(raKv, 1);
      await raKv.put(D, "k", "old");
      await third.kill();
      for (const each of [C, D]) {
        const deleted = await raKv.deleteCluster(each);
        assertEquals(deleted.deleted, [first.name, second.name]);
        assertEquals(deleted.notDeleted.map(({ node }) => node), [third.name]);
      }
      await raKv.startCluster(
        C,
        [first, second, fourth].map(({ name }) => name),
      );
      await writeAll(raKv, 2);
      // And all of them are started again before the last one of the old ones is back.
      for (const node of [first, second]) {
        await node.stop();
        await node.start();
      }
      await third.start();
      await using back = await cluster.client([third.address]);
      await until("nothing is left of the deleted ones", async () => {
        const { clusters, failures } = await back.raKv.clusters();
        const nodes = new Map(
          clusters.map(({ cluster, nodes }) => [cluster, nodes]),
        );
        return failures.length === 0 && !nodes.has(D) &&
          nodes.get(C)?.includes(third.name) === false;
      }, PATIENCE_MS);
      await assertAll(back.raKv, 2);
      await refused("unknown_cluster", () => back.raKv.get(D, "k"));
      await back.raKv.addMember(C, third.name);
      await assertAll(back.raKv, 2, "local");
    },
  },
  {
    name: "a cluster of ra_kv without a majority is deleted by force only",
    kinds: ["in_process"],
    cluster: FILES,
    async play(cluster) {
      const [first, second, third] = threeNodes(cluster);
      await using client = await cluster.client([first.address]);
      const { raKv } = client;
      await raKv.startCluster(C, cluster.nodes.map(({ name }) => name));
      await writeAll(raKv, 1);
      for (const node of [second, third]) await node.kill();
      const error = await refused(
        "quorum_unavailable",
        () => raKv.deleteCluster(C),
      );
      assertEquals(error.details["outcomeUnknown"], false);
      const deleted = await raKv.deleteCluster(C, { force: true });
      assertEquals(deleted.deleted, [first.name]);
      assertEquals(deleted.notDeleted.map(({ node }) => node), [
        second.name,
        third.name,
      ]);
      assertEquals((await raKv.clusters()).clusters, []);
    },
  },
  {
    name:
      "an unreadable member of ra_kv is replaced by another one, and its files are set aside",
    kinds: ["in_process"],
    cluster: FILES,
    async play(cluster) {
      const [first, , third] = threeNodes(cluster);
      await using client = await cluster.client([first.address]);
      const { raKv } = client;
      await raKv.startCluster(C, cluster.nodes.map(({ name }) => name));
      await writeAll(raKv, 1);
      const groups = `${cluster.folder}/dev3/raft/groups`;
      for (const files of [["manifest", "config"], ["manifest"]]) {
        await third.kill();
        const uid = await uidOfMember(groups);
        for (const file of files) await damageFile(`${groups}/${uid}/${file}`);
        await third.start();
        await until(
          "the third is there",
          async () => (await raKv.clusters()).failures.length === 0,
          PATIENCE_MS,
        );
        // Of what its manifest alone has lost it comes back by itself.
        if (files.length === 2) await raKv.addMember(C, third.name);
        await until("the third votes again", async () => {
          const { members } = await raKv.members(C);
          const member = members.find(({ node }) => node === third.name);
          return member?.uid !== uid && member?.kind === "voter";
        }, PATIENCE_MS);
        await membersAgree(raKv, 3);
      }
      const aside: boolean[] = [];
      for await (const { name } of Deno.readDir(groups)) {
        const names = await Array.fromAsync(Deno.readDir(`${groups}/${name}`));
        aside.push(names.some((file) => file.name === "manifest.aside"));
      }
      // Both that were damaged, and the member that there is.
      assertEquals(aside.toSorted(), [false, true, true]);
    },
  },
  {
    name:
      "missing keys of ra_kv: a get finds nothing, a delete says so and names the leader",
    kinds: ["in_process"],
    cluster: FILES,
    async play(cluster) {
      await using stack = new AsyncDisposableStack();
      const clients = await clientsOf(cluster, stack);
      const [raKv, second] = clients as [RaKvClient, RaKvClient];
      const { leader } = await raKv.startCluster(
        C,
        cluster.nodes.map(({ name }) => name),
      );
      const nothing = await second.get(C, "nothing");
      assertEquals([nothing.value, nothing.index], [undefined, 0]);
      const error = await refused("not_found", () => second.delete(C, "none"));
      assertInstanceOf(error, NotFoundError);
      assertEquals((error as NotFoundError).leader, leader);
      const { index } = await second.put(C, "k", "v");
      assertEquals(
        (await raKv.compareAndSet(C, "k", index, "w")).leader,
        leader,
      );
      await refused(
        "index_mismatch",
        () => raKv.compareAndSet(C, "k", index, "x"),
      );
      assertEquals((await second.get(C, "k")).value, "w");
    },
  },
];

/** The number of the only member that has a folder and is not put aside. */
async function uidOfMember(groups: string): Promise<number> {
  const uids: number[] = [];
  for await (const { name } of Deno.readDir(groups)) {
    for await (const file of Deno.readDir(`${groups}/${name}`)) {
      if (file.name === "manifest") uids.push(Number(name));
    }
  }
  assertEquals(uids.length, 1);
  return uids[0] as number;
}

async function damageFile(path: string): Promise<void> {
  const bytes = await Deno.readFile(path);
  bytes.fill(0x55, 10, 20);
  await Deno.writeFile(path, bytes);
}

/** Overwrites what stands in the middle of a write-ahead log. */
async function damageLog(folder: string): Promise<void> {
  for await (const { name } of Deno.readDir(folder)) {
    if (!/^wal-\d+\.log$/.test(name)) continue;
    const path = `${folder}/${name}`;
    const bytes = await Deno.readFile(path);
    const used = bytes.findLastIndex((byte) => byte !== 0);
    bytes.fill(0x55, Math.floor(used / 3), Math.floor(used / 2));
    await Deno.writeFile(path, bytes);
  }
}
