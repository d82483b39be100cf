/**
 * What versions that run beside each other can all do, after riak_test's
 * verify_capabilities, rolling_capabilities, verify_removed_capability and
 * verify_build_cluster_caps_race.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { isWhorlError } from "../../../src/base/errors.ts";
import type { CapabilityOptions } from "../../../src/cluster/capability.ts";
import type { TestCluster } from "../../harness/test_cluster.ts";
import type { TestNode } from "../../harness/test_node.ts";
import { until } from "../../harness/until.ts";
import { missed, refused, type Scenario, threeNodes } from "./scenario.ts";

const CART = "test.cart";
/** What each version of an application supports. */
const VERSIONS: Readonly<Record<"v1" | "v2" | "v3", CapabilityOptions>> = {
  v1: { name: CART, supported: ["v1"] },
  v2: { name: CART, supported: ["v2", "v1"] },
  v3: { name: CART, supported: ["v3", "v2", "v1"] },
};
const WAIT_MS_MAX = 10_000;

/** Nodes with identities to come back with, whose applications are of these versions. */
function running(...versions: (keyof typeof VERSIONS)[]) {
  return {
    nodes: versions.length,
    directories: true,
    each: (index: number) => ({
      capabilities: [VERSIONS[versions[index] as keyof typeof VERSIONS]],
    }),
  };
}

/** Waits until every node that runs has `mode`. */
async function modeIs(
  nodes: readonly TestNode[],
  mode: string,
  name = CART,
): Promise<void> {
  let modes: readonly unknown[] = [];
  await until(
    () => `${name} is ${mode}, but ${modes.join(", ")}`,
    async () => {
      modes = await Promise.all(
        nodes.map(({ control }) => control.capability(name)),
      );
      return modes.every((each) => each === mode);
    },
    WAIT_MS_MAX,
  );
}

async function restart(
  node: TestNode,
  ...capabilities: CapabilityOptions[]
): Promise<void> {
  await node.stop();
  await node.start({ capabilities });
}

/** The modes of `name` that a node has told of, in order. */
function changes({ events }: TestNode, name = CART): unknown[] {
  return events.since(
    0,
    (event) =>
      event.type === "capability_changed" && event["capability"] === name,
  )
    .map(({ event }) => event["mode"]);
}

/** Waits until `node` stands alone. */
async function letGo({ control, name }: TestNode): Promise<void> {
  await until(
    `${name} was let go`,
    async () => (await control.clusterStatus()).members.length <= 1,
    WAIT_MS_MAX,
  );
}

async function join(cluster: TestCluster, node: TestNode): Promise<void> {
  const deadline = performance.now() + WAIT_MS_MAX;
  for (;;) {
    try {
      await node.control.join(cluster.node(0).address);
      return;
    } catch (error) {
      // The links of the cluster that has let it go are closed a moment later.
      const again = isWhorlError(error, "not_reachable") &&
        performance.now() < deadline;
      if (!again) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
      // It may be in though the answer was lost.
      const { members } = await node.control.clusterStatus();
      if (members.length > 1) return;
    }
  }
}

/** See the module comment. */
export const CAPABILITY_SCENARIOS: readonly Scenario[] = [
  {
    name:
      "members negotiate the mode that all of them support, and follow an operator's override",
    cluster: running("v3", "v2", "v3"),
    async play(cluster) {
      const [first, second] = threeNodes(cluster);
      await modeIs(cluster.nodes, "v2");
      await modeIs(cluster.nodes, "v1", "handoff");
      const cart = (await first.control.capabilities())
        .find(({ name }) => name === CART);
      assertEquals(cart?.lacking, [second.name]);
      assertEquals(
        cart?.members.map(({ modes }) => modes?.[0]),
        ["v3", "v2", "v3"],
      );

      await second.control.overrideCapability(CART, { prefer: "v1" });
      await modeIs(cluster.nodes, "v1");
      // Not all support it, so it is what would be without an override.
      await first.control.overrideCapability(CART, { prefer: "v3" });
      await modeIs(cluster.nodes, "v2");
      // Whoever knows the mode is forced to it.
      await first.control.overrideCapability(CART, { use: "v3" });
      await modeIs([first, cluster.node(2)], "v3");
      await modeIs([second], "v2");
      await first.control.overrideCapability(CART, null);
      await modeIs(cluster.nodes, "v2");
      const { control } = first;
      await refused(
        "invalid_argument",
        () => control.overrideCapability(CART, { use: "v9" }),
      );
      await refused("invalid_argument", () => control.capability("no.such"));
    },
  },
  {
    name:
      "an override survives a restart, and a node's own override applies only there",
    cluster: running("v2", "v2"),
    async play(cluster) {
      const [first, second] = cluster.nodes as [TestNode, TestNode];
      await first.control.overrideCapability(CART, { use: "v1" });
      await modeIs(cluster.nodes, "v1");
      await second.stop();
      await second.start();
      await modeIs([second], "v1");
      await second.stop();
      await second.start({ capabilityOverrides: { [CART]: { use: "v2" } } });
      await modeIs([second], "v2");
      await modeIs([first], "v1");
    },
  },
  {
    name:
      "modes rise when the last member is upgraded, and fall with the first that goes back",
    cluster: running("v1", "v1", "v1"),
    async play(cluster) {
      const [first, second, third] = threeNodes(cluster);
      await modeIs(cluster.nodes, "v1");
      for (const node of [first, second]) {
        await restart(node, VERSIONS.v2);
        await cluster.settled();
        await modeIs(cluster.nodes, "v1");
      }
      assertEquals(changes(first), []);
      await restart(third, VERSIONS.v3);
      await modeIs(cluster.nodes, "v2");
      assertEquals(changes(first), ["v2"]);
      await restart(second, VERSIONS.v1);
      await modeIs(cluster.nodes, "v1");
      assertEquals(changes(first), ["v2", "v1"]);
      // One that is stopped counts: it will be back as it was.
      await second.stop();
      await missed([first], second);
      await first.control.down(second.name);
      await modeIs([first, third], "v1");
      await second.start({ capabilities: [VERSIONS.v3] });
      await modeIs(cluster.nodes, "v2");
    },
  },
  {
    name:
      "a capability that was removed, or that only a newer version has, does no harm",
    cluster: running("v2", "v2"),
    async play(cluster) {
      const [first, second] = cluster.nodes as [TestNode, TestNode];
      await modeIs(cluster.nodes, "v2");
      await restart(second, { name: "test.newer", supported: ["b", "a"] });
      await cluster.settled();
      // The default mode is what those can that do not know the capability.
      await modeIs([first], "v1");
      await refused("invalid_argument", () => second.control.capability(CART));
      await modeIs([second], "a", "test.newer");
      await until(
        "all have the ring that says so",
        async () => (await first.control.ringReady()).ready,
        WAIT_MS_MAX,
      );
      await restart(second, VERSIONS.v2);
      await modeIs(cluster.nodes, "v2");
    },
  },
  {
    name:
      "a joining node lowers the modes, which rise again when it is dropped",
    cluster: running("v2", "v2", "v1"),
    joined: false,
    async play(cluster) {
      const [first, second, third] = threeNodes(cluster);
      await join(cluster, second);
      await first.control.commit((await first.control.plan()).planId);
      await modeIs([first, second], "v2");
      await join(cluster, third);
      await modeIs(cluster.nodes, "v1");
      await first.control.clear();
      await modeIs([first, second], "v2");
      // By the way in it was taken for nothing older than it is.
      assertEquals(changes(first), ["v1", "v2"]);
      assertEquals(changes(first, "handoff"), []);
      await letGo(third);
      await join(cluster, third);
      await first.control.commit((await first.control.plan()).planId);
      await cluster.settled();
      await modeIs(cluster.nodes, "v1");
      await first.control.leave(third.name);
      await first.control.commit((await first.control.plan()).planId);
      await third.ended();
      await modeIs([first, second], "v2");
    },
  },
  {
    name:
      "the capabilities of nodes that join as soon as they have started are known",
    cluster: running("v3", "v3", "v3"),
    joined: false,
    async play(cluster) {
      const [first, second, third] = threeNodes(cluster);
      for (let round = 0; round < 2; round++) {
        await Promise.all([second.stop(), third.stop()]);
        // Each joins in the moment it is up.
        await Promise.all([second, third].map(async (node) => {
          await node.start();
          await join(cluster, node);
        }));
        await modeIs(cluster.nodes, "v3");
        await modeIs(cluster.nodes, "v1", "handoff");
        await first.control.clear();
        await modeIs(cluster.nodes, "v3");
        await Promise.all([letGo(second), letGo(third)]);
      }
      for (const node of cluster.nodes) {
        assertEquals(changes(node), []);
        assertEquals(changes(node, "handoff"), []);
      }
    },
  },
];
