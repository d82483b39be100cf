/**
 * Joining, planning, committing, and what is refused.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { NodeControl } from "../../harness/test_node.ts";
import { refused, type Scenario, threeNodes } from "./scenario.ts";

/** See the module comment. */
export const MEMBERSHIP_SCENARIOS: readonly Scenario[] = [
  {
    name: "three nodes join, plan, commit and settle on one ring",
    joined: false,
    async play(cluster) {
      const [first, second, third] = threeNodes(cluster).map(({ control }) =>
        control
      ) as [NodeControl, NodeControl, NodeControl];
      const before = await first.ringStatus();
      assertEquals(before.nodes, [cluster.node(0).name]);

      const { joined } = await second.join(cluster.node(0).address);
      assertEquals(joined, cluster.node(0).name);
      await third.join(cluster.node(1).address);
      const { members } = await first.clusterStatus();
      assertEquals(members.map(({ status }) => status), [
        "valid",
        "joining",
        "joining",
      ]);

      const plan = await first.plan();
      assertEquals(
        plan.changes.map((change) => change.action),
        ["join", "join"],
      );
      assertEquals((await third.plan()).planId, plan.planId);
      assertEquals((await third.commit(plan.planId)).planId, plan.planId);
      await cluster.settled();

      const rings = await Promise.all(
        cluster.nodes.map((node) => node.control.ringStatus()),
      );
      const names = cluster.nodes.map(({ name }) => name);
      for (const ring of rings) {
        assertEquals(ring.nodes, names);
        assertEquals(ring.owners, rings[0]?.owners);
        assertEquals(ring.transfers, []);
        assertEquals(ring.claimant, names[0]);
      }
      for (let place = 0; place < 3; place++) {
        const share = rings[0]?.owners.filter((owner) => owner === place);
        assert(share?.length === 5 || share?.length === 6);
      }
      for (const { control } of cluster.nodes) {
        assertEquals(await control.ringReady(), { ready: true, nodes: names });
        const services = await control.services();
        assertEquals(
          names.map((name) => services[name]),
          [["kv"], ["kv"], ["kv"]],
        );
      }
    },
  },
  {
    name: "a plan that is older than the staged changes is not committed",
    joined: false,
    async play(cluster) {
      const { control } = cluster.node(0);
      await refused("nothing_planned", () => control.commit());
      await cluster.node(1).control.join(cluster.node(0).address);
      const { planId } = await control.plan();
      await cluster.node(2).control.join(cluster.node(0).address);
      await refused("plan_changed", () => control.commit(planId));
      assertEquals((await control.ringStatus()).nodes.length, 1);
      await control.commit((await control.plan()).planId);
      await cluster.settled();
      assertEquals((await control.ringStatus()).nodes.length, 3);
    },
  },
  {
    name: "cleared changes are dropped and their nodes are alone again",
    joined: false,
    cluster: { nodes: 2 },
    async play(cluster) {
      const first = cluster.node(0);
      const second = cluster.node(1);
      await second.control.join(first.address);
      const mark = second.events.mark;
      assertEquals(await first.control.clear(), { nodes: [second.name] });
      await second.events.until(
        "its removal",
        mark,
        ({ type }) => type === "removed",
      );
      for (const { control, name } of cluster.nodes) {
        const { members } = await control.clusterStatus();
        assertEquals(members.map(({ node }) => node), [name]);
      }
      await second.control.join(first.address);
      await first.control.commit((await first.control.plan()).planId);
      await cluster.settled();
    },
  },
  {
    name: "a node cannot join itself",
    cluster: { nodes: 1 },
    async play(cluster) {
      const { control, address } = cluster.node(0);
      const error = await refused("self_join", () => control.join(address));
      assert(error.message.includes(address), error.message);
    },
  },
  {
    name: "a node cannot join where nobody listens",
    cluster: { nodes: 2 },
    joined: false,
    async play(cluster) {
      const { address } = cluster.node(1);
      await cluster.node(1).stop();
      await refused(
        "not_reachable",
        () => cluster.node(0).control.join(address),
      );
    },
  },
  {
    name: "a member cannot join another cluster",
    async play(cluster) {
      const other = cluster.addNode(3);
      await other.start();
      await refused(
        "not_single_node",
        () => cluster.node(1).control.join(other.address),
      );
    },
  },
  {
    name: "a node with another cookie is refused, and so is such a client",
    async play(cluster) {
      const other = cluster.addNode(3, { cookie: "another secret" });
      await other.start();
      await refused(
        "wrong_cookie",
        () => other.control.join(cluster.node(0).address),
      );
      await refused("wrong_cookie", async () => {
        await using client = await cluster.client([other.address]);
        return client.node;
      });
      assertEquals(
        (await cluster.node(0).control.ringStatus()).nodes.length,
        3,
      );
    },
  },
  {
    name: "a node of another cluster is refused",
    async play(cluster) {
      const other = cluster.addNode(3, { clusterName: "elsewhere" });
      await other.start();
      await refused(
        "wrong_cluster",
        () => other.control.join(cluster.node(0).address),
      );
    },
  },
  {
    name: "a node with a ring of another size is refused",
    async play(cluster) {
      const other = cluster.addNode(3, { ringSize: 32 });
      await other.start();
      const error = await refused(
        "different_ring_sizes",
        () => other.control.join(cluster.node(0).address),
      );
      assert(/32/.test(error.message) && /16/.test(error.message));
    },
  },
  {
    name: "a name that is taken is refused to a node of another identity",
    async play(cluster) {
      const twin = cluster.addNode(1, { listen: hostOf(cluster.node(1).name) });
      await twin.start();
      await refused(
        "name_taken",
        () => twin.control.join(cluster.node(0).address),
      );
      // Whoever has the name goes on as before.
      await cluster.node(1).kv.put("b", "k", 1);
      assertEquals((await cluster.node(0).kv.get("b", "k")).value, 1);
      assertEquals(
        (await cluster.node(0).control.clusterStatus()).unreachable,
        [],
      );
    },
  },
  {
    name: "a node that holds data may join",
    joined: false,
    cluster: { nodes: 2 },
    async play(cluster) {
      const first = cluster.node(0);
      const second = cluster.node(1);
      await second.kv.put("b", "k", 1);
      await second.control.join(first.address);
      const { changes } = await first.control.plan();
      assertEquals(changes, [{ action: "join", node: second.name }]);
    },
  },
  {
    name:
      "a commit that moves data is carried out, and nothing is lost meanwhile",
    async play(cluster) {
      const keys = Array.from({ length: 64 }, (_, i) => `k${i}`);
      await Promise.all(
        keys.map((key, i) => cluster.node(i % 3).kv.put("b", key, i)),
      );
      const fourth = cluster.addNode(3);
      await fourth.start();
      await fourth.control.join(cluster.node(0).address);
      const { planId } = await cluster.node(0).control.plan();
      await cluster.node(0).control.commit(planId);
      for (const { kv } of cluster.nodes) {
        for (const [i, key] of keys.entries()) {
          assertEquals((await kv.get("b", key)).value, i);
        }
      }
      await cluster.settled();
      const { members } = await fourth.control.clusterStatus();
      assertEquals(members.map(({ status }) => status), [
        "valid",
        "valid",
        "valid",
        "valid",
      ]);
    },
  },
  {
    name: "a node joins a cluster that serves, and takes its share",
    cluster: { nodes: 2 },
    async play(cluster) {
      const third = cluster.addNode(2);
      await third.start();
      await third.control.join(cluster.node(1).address);
      const { planId } = await third.control.plan();
      await third.control.commit(planId);
      assert(await third.control.settled(20_000));
      await cluster.settled();
      const { owners, nodes } = await cluster.node(0).control.ringStatus();
      const place = nodes.indexOf(third.name);
      assert(owners.filter((owner) => owner === place).length >= 5);
      await third.kv.put("b", "k", "from the third");
      for (const { kv } of cluster.nodes) {
        assertEquals((await kv.get("b", "k")).value, "from the third");
      }
    },
  },
];

function hostOf(name: string): string {
  return `${name.slice(name.indexOf("@") + 1)}:0`;
}
