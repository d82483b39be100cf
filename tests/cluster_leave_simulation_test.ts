/**
 * Members that leave, are removed and replaced, on a bus that loses, repeats and
 * reorders what they say.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { seededChance } from "../src/base/chance.ts";
import {
  currentMembers,
  memberStatus,
  partitionCounts,
  ringReady,
} from "../src/ring/ring.ts";
import { decodeRing, encodeRing } from "../src/ring/ring_codec.ts";
import { type BusNode, ClusterBus } from "./cluster_bus.ts";

const BAD = { loss: 0.2, repeat: 0.2, delayMsMax: 80 };
const OPTIONS = { waitMs: 20_000, gossipIntervalMs: 200 };

/** Starts `names` and joins them to the first. */
async function cluster(
  bus: ClusterBus,
  ...names: string[]
): Promise<[BusNode, ...BusNode[]]> {
  const nodes: BusNode[] = [];
  for (const name of names) nodes.push(await bus.start(name, OPTIONS));
  const [first, ...others] = nodes as [BusNode, ...BusNode[]];
  for (const { cluster } of others) {
    await bus.during(cluster.join(`${first.name}:1`, { staged: false }));
  }
  await bus.until(() => isAtRest(nodes), 60_000);
  return [first, ...others];
}

/** Exactly `nodes` are members, agree, own their shares, and nothing moves. */
function isAtRest(nodes: readonly BusNode[]): boolean {
  const names = nodes.map(({ name }) => name).sort();
  const [first] = nodes as [BusNode];
  const { digest } = encodeRing(first.cluster.ring);
  return nodes.every(({ cluster: { ring } }) =>
    encodeRing(ring).digest === digest && ringReady(ring) &&
    ring.ownership.next.length === 0 &&
    currentMembers(ring).join() === names.join() &&
    [...partitionCounts(ring.ownership.owners).keys()].sort().join() ===
      names.join()
  );
}

async function commit(bus: ClusterBus, { cluster }: BusNode): Promise<void> {
  const { planId } = await bus.during(cluster.plan());
  await bus.during(cluster.commit(planId));
}

for (const seed of [31, 32, 33, 34, 35, 36]) {
  Deno.test(`members leave over a bad bus, the claimant among them, and come back as fresh ones (seed ${seed})`, async () => {
    const bus = new ClusterBus(seed, BAD);
    const chance = seededChance(seed);
    const nodes = await cluster(bus, "n1", "n2", "n3", "n4", "n5");
    const goers = chance.shuffle([...nodes]).slice(0, 2);
    const stayers = nodes.filter((node) => !goers.includes(node));
    const seeds = nodes.map(({ cluster }) => cluster.ring.clusterId.seed);
    for (const { name } of goers) {
      await bus.during(chance.pick(nodes).cluster.leave(name));
    }
    await commit(bus, chance.pick(stayers));
    await bus.until(() => goers.every(({ name }) => !bus.runs(name)), 60_000);
    await bus.until(() => isAtRest(stayers), 60_000);
    for (const { name, changes } of goers) {
      assertEquals(changes.at(-1)?.type, "left");
      const { ring } = decodeRing(bus.disks.get(name) as Uint8Array);
      assertEquals(currentMembers(ring), [name]);
      assertEquals(seeds.includes(ring.clusterId.seed), false);
      const again = await bus.start(name, OPTIONS);
      assertEquals([...again.cluster.ring.members.keys()], [name]);
      const host = chance.pick(stayers);
      await bus.during(again.cluster.join(`${host.name}:1`, { staged: false }));
      stayers.push(again);
      await bus.until(() => isAtRest(stayers), 60_000);
    }
    bus.stop();
  });
}

Deno.test("a leaving member waits until its node is ready to exit", async () => {
  const bus = new ClusterBus(41);
  const [a, b] = await cluster(bus, "n1", "n2") as [BusNode, BusNode];
  bus.staying.add("n2");
  await bus.during(a.cluster.leave("n2"));
  await commit(bus, a);
  await bus.run(10_000);
  assertEquals(memberStatus(a.cluster.ring, "n2"), "leaving");
  assertEquals(partitionCounts(a.cluster.ring.ownership.owners).size, 1);
  bus.staying.clear();
  b.cluster.exitIfReady();
  // At once, not with the next tick.
  assertEquals(memberStatus(b.cluster.ring, "n2"), "exiting");
  await bus.until(() => isAtRest([a]), 5_000);
  bus.stop();
});

Deno.test("a leaving member keeps its partitions with data until the data has moved", async () => {
  const bus = new ClusterBus(42);
  const [a, b, c] = await cluster(bus, "n1", "n2", "n3") as [
    BusNode,
    BusNode,
    BusNode,
  ];
  const own = b.cluster.ring.ownership.owners.flatMap((owner, partition) =>
    owner === "n2" ? [partition] : []
  );
  for (const partition of own.slice(0, 5)) b.data.add(partition);
  await bus.during(b.cluster.leave());
  await commit(bus, c);
  await bus.run(5_000);
  assertEquals(
    partitionCounts(a.cluster.ring.ownership.owners).get("n2"),
    5,
  );
  // A node that is down in between holds up nothing: what it was to get goes elsewhere.
  bus.kill("n3");
  await bus.during(a.cluster.down("n3"));
  b.data.clear();
  b.cluster.transferComplete(own, null, []);
  await bus.until(() => !bus.runs("n2"), 10_000);
  assertEquals(memberStatus(a.cluster.ring, "n3"), "down");
  const back = await bus.start("n3", OPTIONS);
  await bus.until(() => isAtRest([a, back]), 10_000);
  bus.stop();
});

Deno.test("a dead member is removed without waiting for it, and learns so when it is back", async () => {
  const bus = new ClusterBus(43);
  const [a, b, c] = await cluster(bus, "n1", "n2", "n3") as [
    BusNode,
    BusNode,
    BusNode,
  ];
  bus.kill("n3");
  await bus.during(b.cluster.forceRemove("n3"));
  await commit(bus, b);
  await bus.until(() => isAtRest([a, b]), 5_000);
  const again = await bus.start("n3", OPTIONS);
  await bus.until(() => !bus.runs("n3"), 5_000);
  assertEquals(again.changes.at(-1)?.type, "left");
  assert(again.cluster.ring.clusterId.seed !== a.cluster.ring.clusterId.seed);
  assertEquals(c.changes.some(({ type }) => type === "left"), false);
  bus.stop();
});

Deno.test("staged changes are committed by the next claimant", async () => {
  const bus = new ClusterBus(44);
  const [, b, c] = await cluster(bus, "n1", "n2", "n3", "n4") as BusNode[];
  await bus.during((c as BusNode).cluster.leave());
  bus.kill("n1");
  await bus.during((b as BusNode).cluster.down("n1"));
  await bus.until(
    () => (b as BusNode).cluster.ring.ownership.claimant === "n2",
    5_000,
  );
  const plan = await bus.during((b as BusNode).cluster.plan());
  assertEquals(plan.changes, [{ action: "leave", node: "n3" }]);
  await bus.during((b as BusNode).cluster.commit(plan.planId));
  await bus.until(() => !bus.runs("n3"), 10_000);
  bus.stop();
});

Deno.test("a replacement takes over from a living member, and from a dead one", async () => {
  const bus = new ClusterBus(45);
  const [a, b, c] = await cluster(bus, "n1", "n2", "n3") as [
    BusNode,
    BusNode,
    BusNode,
  ];
  const before = a.cluster.ring.ownership.owners;
  const d = await bus.start("n4", OPTIONS);
  await bus.during(d.cluster.join("n2:1"));
  await bus.during(c.cluster.replace("n2", "n4"));
  await commit(bus, a);
  await bus.until(() => !bus.runs("n2"), 10_000);
  await bus.until(() => isAtRest([a, c, d]), 10_000);
  const named = (from: string, to: string, owners: readonly string[]) =>
    owners.map((owner) => owner === from ? to : owner);
  assertEquals(
    a.cluster.ring.ownership.owners,
    named("n2", "n4", before),
  );
  bus.kill("n3");
  const e = await bus.start("n5", OPTIONS);
  await bus.during(e.cluster.join("n1:1"));
  await bus.during(d.cluster.forceReplace("n3", "n5"));
  await commit(bus, e);
  await bus.until(() => isAtRest([a, d, e]), 10_000);
  assertEquals(
    a.cluster.ring.ownership.owners,
    named("n3", "n5", named("n2", "n4", before)),
  );
  assertEquals(b.changes.at(-1)?.type, "left");
  bus.stop();
});
