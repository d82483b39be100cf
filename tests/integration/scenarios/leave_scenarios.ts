/**
 * Members that leave, are removed, replaced and marked as down, after riak_test's
 * verify_leave, verify_staged_clustering, verify_down, verify_claimant and
 * verify_cluster_converge. Most of the nodes hold no data.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { TestCluster } from "../../harness/test_cluster.ts";
import type { NodeControl, TestNode } from "../../harness/test_node.ts";
import { until } from "../../harness/until.ts";
import { assertKeys, keysOf, writeKeys } from "./cluster_data.ts";
import {
  DURABLE,
  missed,
  refused,
  type Scenario,
  threeNodes,
} from "./scenario.ts";

/** How long a node may take to hear of a ring, in milliseconds. */
const HEARS_MS_MAX = 10_000;

/** See the module comment. */
export const LEAVE_SCENARIOS: readonly Scenario[] = [
  {
    // verify_leave
    name:
      "a member leaves, its process ends, and it joins again as a fresh one",
    long: true,
    cluster: DURABLE,
    async play(cluster) {
      const [first, , third] = cluster.nodes as [TestNode, TestNode, TestNode];
      assertEquals(await third.control.leave(), {
        node: third.name,
        staged: true,
      });
      const plan = await first.control.plan();
      assertEquals(plan.changes, [{ action: "leave", node: third.name }]);
      assertEquals(plan.transitions.length, 2);
      const mark = third.events.mark;
      await third.control.commit(plan.planId);
      await left(third, mark);
      await cluster.settled();
      assertEquals(await ownersOf(first.control), namesOf(cluster, 0, 1));

      await third.start();
      assertEquals(await ownersOf(third.control), [third.name]);
      const { members } = await third.control.clusterStatus();
      assertEquals(members.map(({ node }) => node), [third.name]);
      await third.control.join(cluster.node(1).address);
      await commit(first.control);
      await cluster.settled();
      assertEquals(await ownersOf(first.control), namesOf(cluster, 0, 1, 2));
    },
  },
  {
    // verify_leave, and verify_claimant's "leave of the claimant".
    name: "the claimant leaves and another member takes over",
    async play(cluster) {
      const [first, second] = cluster.nodes as [TestNode, TestNode];
      const mark = first.events.mark;
      await second.control.leave(first.name);
      await commit(second.control);
      await left(first, mark);
      await cluster.settled();
      const ring = await second.control.ringStatus();
      assertEquals(ring.claimant, second.name);
      assertEquals(ring.nodes, namesOf(cluster, 1, 2));
    },
  },
  {
    // verify_staged_clustering
    name:
      "joins, a leave, a removal and a replacement are staged, planned together and carried out",
    cluster: { nodes: 6 },
    joined: false,
    async play(cluster) {
      const [first, ...others] = cluster.nodes as [TestNode, ...TestNode[]];
      for (const node of others.slice(0, 3)) {
        await node.control.join(first.address);
      }
      await commit(first.control);
      await first.control.settled(20_000);

      const [second, third, fourth, fifth, sixth] = others as TestNode[];
      await fifth!.control.join(first.address);
      await sixth!.control.join(second!.address);
      await refused(
        "invalid_replacement",
        () => first.control.replace(second!.name, third!.name),
      );
      await first.control.replace(second!.name, fifth!.name);
      await refused(
        "already_replacement",
        () => first.control.forceReplace(third!.name, fifth!.name),
      );
      await first.control.leave(third!.name);
      await refused(
        "is_claimant",
        () => second!.control.forceRemove(first.name),
      );
      await refused(
        "not_member",
        () => first.control.leave("nobody@127.0.0.1"),
      );
      await fourth!.kill();
      await first.control.forceRemove(fourth!.name);
      const plan = await first.control.plan();
      assertEquals(plan.changes, [
        { action: "replace", node: second!.name, replacement: fifth!.name },
        { action: "leave", node: third!.name },
        { action: "force-remove", node: fourth!.name },
        { action: "join", node: fifth!.name },
        { action: "join", node: sixth!.name },
      ]);
      const marks = [second!.events.mark, third!.events.mark];
      assertEquals(await sixth!.control.commit(plan.planId), {
        planId: plan.planId,
      });
      await left(second!, marks[0]!);
      await left(third!, marks[1]!);
      await cluster.settled();
      assertEquals(await ownersOf(first.control), namesOf(cluster, 0, 4, 5));
    },
  },
  {
    name: "a removed member that comes back stops, and is alone from then on",
    cluster: DURABLE,
    async play(cluster) {
      const [first, , third] = cluster.nodes as [TestNode, TestNode, TestNode];
      await third.kill();
      await first.control.forceRemove(third.name);
      const { transitions } = await first.control.plan();
      assert(transitions[0]!.reassigned.length > 0);
      await commit(first.control);
      await cluster.settled();
      assertEquals(await ownersOf(first.control), namesOf(cluster, 0, 1));
      await third.start();
      await third.ended();
      await third.start();
      assertEquals(await ownersOf(third.control), [third.name]);
    },
  },
  {
    name: "a node that is only joining leaves at once and keeps running",
    joined: false,
    cluster: { nodes: 2 },
    async play(cluster) {
      const [first, second] = cluster.nodes as [TestNode, TestNode];
      await refused("only_member", () => first.control.leave());
      await second.control.join(first.address);
      const mark = second.events.mark;
      assertEquals(await second.control.leave(), {
        node: second.name,
        staged: false,
      });
      await second.events.until(
        "its removal",
        mark,
        ({ type }) => type === "removed",
      );
      assertEquals((await first.control.plan()).changes, []);
      const { members } = await second.control.clusterStatus();
      assertEquals(members.map(({ node }) => node), [second.name]);
    },
  },
  {
    name: "a node joins without a commit and gets its share",
    cluster: { nodes: 2 },
    async play(cluster) {
      const third = cluster.addNode(2);
      await third.start();
      await third.control.join(cluster.node(0).address, { staged: false });
      await third.events.until(
        "its membership",
        0,
        (event) =>
          event.type === "member_changed" && event.node === third.name &&
          event.after === "valid",
      );
      assert(await third.control.settled(20_000));
      await cluster.settled();
      const { owners, nodes } = await cluster.node(0).control.ringStatus();
      const place = nodes.indexOf(third.name);
      assert(owners.filter((owner) => owner === place).length >= 5);
    },
  },
  {
    // verify_down
    name:
      "a join waits for an unreachable member until it is marked down, which comes back with its data",
    cluster: { ...DURABLE, nodes: 3 },
    async play(cluster) {
      const [first, , third] = cluster.nodes as [TestNode, TestNode, TestNode];
      const before = await first.control.ringStatus();
      await refused("is_up", () => first.control.down(third.name));
      await refused("not_member", () => first.control.down("nobody@127.0.0.1"));
      await third.kill();
      await missed([first], third);
      const fourth = cluster.addNode(3);
      await fourth.start();
      await fourth.control.join(first.address);
      const waiting = commit(first.control);
      await first.control.down(third.name);
      await waiting;
      const status = await first.control.clusterStatus();
      assertEquals(
        status.members.find(({ node }) => node === third.name)?.status,
        "down",
      );
      await third.start();
      // Asked, as the node may be valid before its events can be heard.
      await until(
        "the third is valid again",
        async () =>
          (await first.control.clusterStatus()).members
            .find(({ node }) => node === third.name)?.status === "valid",
        HEARS_MS_MAX,
      );
      await cluster.settled();
      const after = await first.control.ringStatus();
      assertEquals(after.nodes.length, 4);
      assertEquals(before.nodes.length, 3);
    },
  },
  {
    name: "a mistaken leave is undone, and what had moved moves back",
    cluster: { ...DURABLE, nodes: 3 },
    async play(cluster) {
      const [first, second, third] = threeNodes(cluster);
      const keys = keysOf(100);
      await writeKeys(first, keys);
      const ownedBefore = await shareOf(first.control, third.name);
      // What goes to the second stays for now, and the rest has gone.
      await second.control.setHandoffEnabled("inbound", false);
      await first.control.leave(third.name);
      await commit(first.control);
      await until(
        "only what goes to the second is left",
        async () => {
          const { transfers } = await first.control.ringStatus();
          return transfers.length < ownedBefore &&
            transfers.every(({ nextOwner }) => nextOwner === second.name);
        },
        HEARS_MS_MAX,
      );
      const ownedMeanwhile = await shareOf(first.control, third.name);
      assert(ownedMeanwhile > 0 && ownedMeanwhile < ownedBefore);
      await refused("already_leaving", () => first.control.leave(third.name));
      await third.stop();
      await missed([first, second], third);
      await first.control.down(third.name);
      await second.control.setHandoffEnabled("inbound", true);
      await third.start();
      await cluster.settled();
      const { members } = await first.control.clusterStatus();
      assertEquals(
        members.map(({ status }) => status),
        ["valid", "valid", "valid"],
      );
      const ownedAfter = await shareOf(first.control, third.name);
      assert(Math.abs(ownedAfter - ownedBefore) <= 1);
      await assertKeys(third, keys);
    },
  },
  {
    // verify_claimant
    name:
      "a claimant that is marked down is succeeded, staged changes survive, and it does not come back as claimant",
    cluster: DURABLE,
    async play(cluster) {
      const [first, second, third] = threeNodes(cluster);
      assertEquals((await second.control.ringStatus()).claimant, first.name);
      await second.control.leave(third.name);
      const mark = second.events.mark;
      await first.kill();
      await second.events.until(
        "the end of the claimant",
        mark,
        (event) => event.type === "node_down" && event.node === first.name,
      );
      assertEquals((await second.control.ringStatus()).claimant, first.name);
      await refused("not_reachable", () => second.control.plan());
      await second.control.down(first.name);
      await second.events.until(
        "the ring of its own",
        mark,
        ({ type }) => type === "ring_changed",
      );
      const { changes } = await second.control.plan();
      assertEquals(changes, [{ action: "leave", node: third.name }]);
      await until(
        "the third knows who the claimant is",
        async () => (await third.control.ringStatus()).claimant === second.name,
        HEARS_MS_MAX,
      );
      await first.start();
      await cluster.settled();
      assertEquals((await first.control.ringStatus()).claimant, second.name);
      assertEquals((await first.control.plan()).changes, changes);
      await first.control.clear();
      assertEquals((await second.control.plan()).changes, []);
    },
  },
  {
    // verify_cluster_converge
    name: "members that joined and left agree on one ring",
    long: true,
    cluster: { nodes: 5 },
    joined: false,
    async play(cluster) {
      const [first, ...others] = cluster.nodes as [TestNode, ...TestNode[]];
      await Promise.all(
        others.map(({ control }) =>
          control.join(first.address, { staged: false })
        ),
      );
      await cluster.settled();
      assertEquals(
        await ownersOf(first.control),
        namesOf(cluster, 0, 1, 2, 3, 4),
      );
      const goers = [cluster.node(1), cluster.node(4)];
      const marks = goers.map(({ events }) => events.mark);
      for (const { name } of goers) await first.control.leave(name);
      await commit(first.control);
      await Promise.all(goers.map((node, i) => left(node, marks[i]!)));
      await cluster.settled();
      const remaining = [0, 2, 3].map((i) => cluster.node(i));
      const rings = await Promise.all(
        remaining.map(({ control }) => control.ringStatus()),
      );
      for (const ring of rings) {
        assertEquals(ring.owners, rings[0]?.owners);
        assertEquals(ring.nodes, namesOf(cluster, 0, 2, 3));
      }
    },
  },
];

/** Waits until `node` has told that it has left, and has ended. */
async function left(node: TestNode, mark: number): Promise<void> {
  await node.events.until("its leave", mark, ({ type }) => type === "left");
  await node.ended();
}

async function commit(control: NodeControl): Promise<void> {
  await control.commit((await control.plan()).planId);
}

/** Partitions that `name` owns. */
async function shareOf(control: NodeControl, name: string): Promise<number> {
  const { owners, nodes } = await control.ringStatus();
  return owners.filter((owner) => nodes[owner] === name).length;
}

async function ownersOf(control: NodeControl): Promise<readonly string[]> {
  return (await control.ringStatus()).nodes;
}

function namesOf(cluster: TestCluster, ...indices: number[]): string[] {
  return indices.map((index) => cluster.node(index).name);
}
