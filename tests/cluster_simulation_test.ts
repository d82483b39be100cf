import { assert, assertEquals, assertRejects } from "@std/assert";
import { seededChance } from "../src/base/chance.ts";
import { WhorlError } from "../src/base/errors.ts";
import { memberStatus, ringReady } from "../src/ring/ring.ts";
import { encodeRing } from "../src/ring/ring_codec.ts";
import { partitionCounts } from "../src/ring/ring.ts";
import { planRows } from "../src/admin/cluster_rows.ts";
import { stagedJoins } from "../src/ring/staged_changes.ts";
import { planText } from "../src/ring/plan_display.ts";
import { type BusNode, ClusterBus } from "./cluster_bus.ts";

/** All hold the same ring, agree on it, and nothing is on its way. */
function isSettled(nodes: readonly BusNode[]): boolean {
  const digests = new Set(
    nodes.map(({ cluster }) => encodeRing(cluster.ring).digest),
  );
  return digests.size === 1 &&
    nodes.every(({ cluster }) =>
      ringReady(cluster.ring) && cluster.ring.ownership.next.length === 0
    );
}

/** Every partition has one owner, all members own their share, and there is one claimant. */
function assertWhole(nodes: readonly BusNode[]): void {
  const claimants = new Set<string>();
  for (const { cluster } of nodes) {
    const { owners, claimant } = cluster.ring.ownership;
    claimants.add(claimant);
    assertEquals(owners.length, cluster.ring.size);
    const counts = [...partitionCounts(owners).values()];
    assertEquals(counts.length, nodes.length);
    assert(Math.max(...counts) - Math.min(...counts) <= 1);
    for (const { name } of nodes) {
      assertEquals(memberStatus(cluster.ring, name), "valid");
    }
  }
  assertEquals(claimants.size, 1);
}

async function rejectsWith(
  promise: Promise<unknown>,
  code: string,
): Promise<WhorlError> {
  const error = await assertRejects(() => promise, WhorlError) as WhorlError;
  assertEquals(error.code, code);
  return error;
}

Deno.test("three nodes joined by plan and commit settle by events alone, in well under a second", async () => {
  const bus = new ClusterBus(1);
  // Without the backstops: only events may carry this.
  const options = { gossipIntervalMs: 1e9, servicesIntervalMs: 1e9 };
  const a = await bus.start("rc6@127.0.0.1", options);
  const b = await bus.start("rc7@127.0.0.1", options);
  const c = await bus.start("rc8@127.0.0.1", options);
  const begin = bus.now;
  const join = await bus.during(b.cluster.join("rc6@127.0.0.1:1"));
  assertEquals(join, { joined: "rc6@127.0.0.1", claimantKnows: true });
  await bus.during(c.cluster.join("rc7@127.0.0.1:1"));
  const plan = await bus.during(c.cluster.plan());
  await bus.during(b.cluster.commit(plan.planId));
  await bus.until(() => isSettled([a, b, c]), 5_000);
  assertWhole([a, b, c]);
  assert(bus.now - begin < 500, `it took ${bus.now - begin} ms`);
  bus.stop();
});

Deno.test("a plan of two joins has the counts riak_core printed", async () => {
  const bus = new ClusterBus(2);
  await bus.start("rc6@127.0.0.1");
  const b = await bus.start("rc7@127.0.0.1");
  const c = await bus.start("rc8@127.0.0.1");
  await bus.during(b.cluster.join("rc6@127.0.0.1:1"));
  await bus.during(c.cluster.join("rc6@127.0.0.1:1"));
  const { planId, changes, transitions } = await bus.during(b.cluster.plan());
  assertEquals(changes, [
    { action: "join", node: "rc7@127.0.0.1" },
    { action: "join", node: "rc8@127.0.0.1" },
  ]);
  // tests/golden/display_plan.txt, "join rc7, rc8 staged on 1-node rc6".
  assertEquals(transitions, [{
    ringSize: 64,
    members: [
      {
        node: "rc6@127.0.0.1",
        status: "valid",
        partitions: 64,
        nextPartitions: 22,
      },
      {
        node: "rc7@127.0.0.1",
        status: "valid",
        partitions: 0,
        nextPartitions: 21,
      },
      {
        node: "rc8@127.0.0.1",
        status: "valid",
        partitions: 0,
        nextPartitions: 21,
      },
    ],
    transfers: [
      { from: "rc6@127.0.0.1", to: "rc8@127.0.0.1", partitions: 21 },
      { from: "rc6@127.0.0.1", to: "rc7@127.0.0.1", partitions: 21 },
    ],
    reassigned: [],
    replicasDistinct: false,
  }]);
  const text = planText(planRows({ planId, changes, transitions }));
  const golden = await Deno.readTextFile(
    new URL("golden/display_plan.txt", import.meta.url),
  );
  const [, recorded] = golden.split(/^##### .*\n/m);
  assertEquals(text.trimEnd(), (recorded as string).trimEnd());
  bus.stop();
});

for (const seed of [11, 12, 13, 14, 15, 16]) {
  Deno.test(`five nodes join in any order over a bad bus and agree (seed ${seed})`, async () => {
    const bus = new ClusterBus(seed, {
      loss: 0.2,
      repeat: 0.2,
      delayMsMax: 80,
    });
    const chance = seededChance(seed);
    const names = ["n1", "n2", "n3", "n4", "n5"];
    const nodes: BusNode[] = [];
    for (const name of names) {
      nodes.push(
        await bus.start(name, { waitMs: 20_000, gossipIntervalMs: 200 }),
      );
    }
    const commitBoth = async () => {
      const { cluster } = nodes[0] as BusNode;
      // One that was only invited would not be in the plan.
      await bus.until(() => stagedJoins(cluster.ring).length === 2, 60_000);
      // Another join may arrive in between; then the plan is another one.
      for (let round = 0; round < 20; round++) {
        try {
          const plan = await bus.during(cluster.plan());
          await bus.during(cluster.commit(plan.planId));
          return;
        } catch (error) {
          if (!(error instanceof WhorlError && error.code === "plan_changed")) {
            throw error;
          }
        }
      }
      throw new Error("No commit in 20 rounds");
    };
    // First to three, all joining at once, then to five in two steps of chance.
    await bus.during(Promise.all(
      nodes.slice(1, 3).map(({ cluster }) => cluster.join("n1:1")),
    ));
    await commitBoth();
    const through = chance.pick(["n1:1", "n2:1", "n3:1"]);
    const fourth = (nodes[3] as BusNode).cluster.join(through);
    if (chance.chance(0.5)) await bus.during(fourth);
    const fifth = (nodes[4] as BusNode).cluster.join(
      chance.pick(["n1:1", "n2:1"]),
    );
    await bus.during(Promise.all([fourth, fifth]));
    await commitBoth();
    await bus.until(() => isSettled(nodes), 60_000);
    assertWhole(nodes);
    bus.stop();
  });
}

Deno.test("the same seed gives the same run", async () => {
  const trace = async () => {
    const bus = new ClusterBus(5, { loss: 0.1, repeat: 0.1 });
    const a = await bus.start("n1");
    const b = await bus.start("n2");
    await bus.during(b.cluster.join("n1:1"));
    await bus.run(3_000);
    const result = [
      [...bus.sent],
      encodeRing(a.cluster.ring).digest,
      a.changes.map((change) => change.type),
    ];
    bus.stop();
    return result;
  };
  assertEquals(await trace(), await trace());
});

Deno.test("ClusterProcess.join() refuses by name", async () => {
  const bus = new ClusterBus(3);
  const a = await bus.start("n1");
  const b = await bus.start("n2");
  const small = await bus.start("n3", { ringSize: 16 });
  await bus.start("n4");
  const other = await bus.start("n5", { clusterName: "other" });
  await rejectsWith(bus.during(a.cluster.join("n1:1")), "self_join");
  await rejectsWith(bus.during(a.cluster.join("n9:1")), "not_reachable");
  await rejectsWith(
    bus.during(small.cluster.join("n1:1")),
    "different_ring_sizes",
  );
  await rejectsWith(bus.during(other.cluster.join("n1:1")), "wrong_cluster");
  await bus.during(b.cluster.join("n1:1"));
  await rejectsWith(bus.during(b.cluster.join("n4:1")), "not_single_node");
  // Not one of these attempts changed anything.
  assertEquals(a.cluster.ring.members.size, 2);
  assertEquals(small.cluster.ring.members.size, 1);
  bus.stop();
});

Deno.test("ClusterProcess.join() refuses a name that is taken by another identity", async () => {
  const bus = new ClusterBus(4);
  const a = await bus.start("n1");
  const b = await bus.start("n2");
  await bus.during(b.cluster.join("n1:1"));
  bus.kill("n2");
  bus.disks.delete("n2");
  const impostor = await bus.start("n2", {
    node: { name: "n2", address: "n2:1", nodeId: "another" },
  });
  await rejectsWith(bus.during(impostor.cluster.join("n1:1")), "name_taken");
  assertEquals(a.cluster.refusePeer("n2", "another")?.code, "name_taken");
  assertEquals(a.cluster.refusePeer("n2", "id-n2"), null);
  assertEquals(a.cluster.refusePeer("n7", "any"), null);
  bus.stop();
});

Deno.test("ClusterProcess.commit() refuses by name and is idempotent by plan id", async () => {
  const bus = new ClusterBus(6);
  const a = await bus.start("n1");
  const b = await bus.start("n2");
  const c = await bus.start("n3");
  await rejectsWith(bus.during(a.cluster.commit()), "nothing_planned");
  await bus.during(b.cluster.join("n1:1"));
  // Riak wants the plan shown before it is committed.
  await rejectsWith(bus.during(b.cluster.commit()), "nothing_planned");
  const old = await bus.during(b.cluster.plan());
  await bus.during(c.cluster.join("n1:1"));
  await rejectsWith(bus.during(b.cluster.commit()), "plan_changed");
  await rejectsWith(bus.during(b.cluster.commit(old.planId)), "plan_changed");
  const plan = await bus.during(b.cluster.plan());
  assertEquals(await bus.during(b.cluster.commit()), { planId: plan.planId });
  assertEquals(await bus.during(c.cluster.commit(plan.planId)), {
    planId: plan.planId,
  });
  await bus.until(() => isSettled([a, b, c]), 5_000);
  await rejectsWith(bus.during(b.cluster.commit()), "nothing_planned");
  bus.stop();
});

Deno.test("a partition with data stays where it is until the data has moved, and delays nothing else", async () => {
  const bus = new ClusterBus(7);
  const a = await bus.start("n1");
  const b = await bus.start("n2");
  a.data.add(5).add(6).add(7).add(8).add(9).add(10);
  await bus.during(b.cluster.join("n1:1"));
  const plan = await bus.during(b.cluster.plan());
  await bus.during(b.cluster.commit(plan.planId));
  await bus.run(1_000);
  const { owners, next } = a.cluster.ring.ownership;
  assert(next.length > 0);
  assert(next.every(({ partition }) => a.data.has(partition)));
  assertEquals(partitionCounts(owners).get("n2"), 32 - next.length);
  // A plan made meanwhile goes through as well, and what is under way goes on.
  const c = await bus.start("n3");
  await bus.during(c.cluster.join("n1:1"));
  await bus.during(
    c.cluster.commit((await bus.during(c.cluster.plan())).planId),
  );
  a.data.clear();
  await bus.run(1);
  a.cluster.transferComplete([5, 6, 7, 8, 9, 10], null, []);
  await bus.until(() => isSettled([a, b, c]), 5_000);
  assertWhole([a, b, c]);
  bus.stop();
});

Deno.test("ClusterProcess.clear() makes joining nodes single again, and they can join once more", async () => {
  const bus = new ClusterBus(8);
  const a = await bus.start("n1");
  const b = await bus.start("n2");
  await bus.during(b.cluster.join("n1:1"));
  assertEquals(await bus.during(b.cluster.clear()), { nodes: ["n2"] });
  await bus.until(
    () => b.changes.some((change) => change.type === "removed"),
    5_000,
  );
  assertEquals([...b.cluster.ring.members.keys()], ["n2"]);
  assertEquals(memberStatus(a.cluster.ring, "n2"), "invalid");
  await bus.run(100);
  await bus.during(b.cluster.join("n1:1"));
  const plan = await bus.during(a.cluster.plan());
  await bus.during(a.cluster.commit(plan.planId));
  await bus.until(() => isSettled([a, b]), 5_000);
  assertWhole([a, b]);
  bus.stop();
});

Deno.test("a killed node comes back from its disk without joining again", async () => {
  const bus = new ClusterBus(9);
  const a = await bus.start("n1");
  const b = await bus.start("n2");
  await bus.during(b.cluster.join("n1:1"));
  const plan = await bus.during(a.cluster.plan());
  await bus.during(a.cluster.commit(plan.planId));
  await bus.until(() => isSettled([a, b]), 5_000);
  const before = encodeRing(a.cluster.ring).digest;
  bus.kill("n2");
  assertEquals(a.cluster.ringReady(), {
    ready: false,
    reason: "nodes_down",
    nodes: ["n2"],
  });
  const again = await bus.start("n2");
  await bus.until(() => a.cluster.nodesUp.length === 2, 1_000);
  assertEquals(encodeRing(again.cluster.ring).digest, before);
  assertEquals(a.cluster.ringReady().ready, true);
  bus.stop();
});

Deno.test("a node killed between storing and announcing a ring announces it when it is back", async () => {
  const bus = new ClusterBus(10);
  const a = await bus.start("n1");
  const b = await bus.start("n2");
  await bus.during(b.cluster.join("n1:1"));
  const plan = await bus.during(a.cluster.plan());
  await bus.during(a.cluster.commit(plan.planId));
  await bus.until(() => isSettled([a, b]), 5_000);
  bus.setCut("n1", "n2", true);
  await bus.during(b.cluster.putMeta("color", "green"));
  bus.kill("n2");
  bus.setCut("n1", "n2", false);
  const again = await bus.start("n2");
  await bus.until(() => isSettled([a, again]), 5_000);
  assertEquals(a.cluster.ring.meta.get("color")?.value, "green");
  bus.stop();
});

Deno.test("nothing of a ring leaves a node before it is stored", async () => {
  const bus = new ClusterBus(20);
  const a = await bus.start("n1");
  const b = await bus.start("n2");
  await bus.during(b.cluster.join("n1:1"));
  await bus.run(2_000);
  bus.storeMs = 1_000_000;
  const put = b.cluster.putMeta("color", "green");
  await bus.run(100_000);
  assertEquals(b.cluster.ring.meta.get("color")?.value, "green");
  assertEquals(a.cluster.ring.meta.has("color"), false);
  const heard = b.changes.some((change) =>
    change.type === "ring_changed" && change.ring.meta.has("color")
  );
  assertEquals(heard, false);
  bus.kill("n2");
  const lost = await assertRejects(() => put, WhorlError);
  assertEquals(lost.code, "closed");
  bus.storeMs = 1;
  const again = await bus.start("n2");
  await bus.run(5_000);
  assertEquals(again.cluster.ring.meta.has("color"), false);
  bus.stop();
});

Deno.test("a commit is answered once its ring is stored, not before", async () => {
  const bus = new ClusterBus(26);
  const a = await bus.start("n1");
  const b = await bus.start("n2");
  await bus.during(b.cluster.join("n1:1"));
  const plan = await bus.during(a.cluster.plan());
  bus.storeMs = 1_000;
  let answered = false;
  const commit = a.cluster.commit(plan.planId).then(() => {
    answered = true;
  });
  await bus.run(900);
  assertEquals(memberStatus(a.cluster.ring, "n2"), "valid");
  assertEquals(answered, false);
  await bus.during(commit);
  bus.stop();
});

Deno.test("the claimant stays claimant when it stops, and is succeeded when it is declared down", async () => {
  const bus = new ClusterBus(21);
  const a = await bus.start("n1");
  const b = await bus.start("n2", { waitMs: 500 });
  const c = await bus.start("n3");
  await bus.during(Promise.all([
    b.cluster.join("n1:1"),
    c.cluster.join("n1:1"),
  ]));
  const plan = await bus.during(a.cluster.plan());
  await bus.during(a.cluster.commit(plan.planId));
  await bus.until(() => isSettled([a, b, c]), 5_000);
  await rejectsWith(bus.during(b.cluster.down("n1")), "is_up");
  await rejectsWith(bus.during(b.cluster.down("n8")), "not_member");
  bus.kill("n1");
  await bus.run(20_000);
  assertEquals(b.cluster.ring.ownership.claimant, "n1");
  await rejectsWith(bus.during(b.cluster.plan()), "not_reachable");
  await bus.during(c.cluster.down("n1"));
  await bus.until(() => isSettled([b, c]), 5_000);
  assertEquals(c.cluster.ring.ownership.claimant, "n2");
  assertEquals(partitionCounts(c.cluster.ring.ownership.owners).get("n1"), 22);
  // It comes back, is let in without a commit, keeps its partitions, and the new claimant stays.
  const again = await bus.start("n1");
  await bus.until(
    () =>
      isSettled([again, b, c]) &&
      memberStatus(again.cluster.ring, "n1") === "valid",
    10_000,
  );
  assertEquals(again.cluster.ring.ownership.claimant, "n2");
  assertWhole([again, b, c]);
  bus.stop();
});

Deno.test("a join staged before the claimant left is in the plan of the next claimant", async () => {
  const bus = new ClusterBus(22);
  const a = await bus.start("n1");
  const b = await bus.start("n2");
  const c = await bus.start("n3");
  await bus.during(b.cluster.join("n1:1"));
  const first = await bus.during(a.cluster.plan());
  await bus.during(a.cluster.commit(first.planId));
  await bus.until(() => isSettled([a, b]), 5_000);
  await bus.during(c.cluster.join("n1:1"));
  await bus.until(
    () => memberStatus(b.cluster.ring, "n3") === "joining",
    5_000,
  );
  bus.kill("n1");
  await bus.during(b.cluster.down("n1"));
  await bus.until(() => c.cluster.ring.ownership.claimant === "n2", 5_000);
  const plan = await bus.during(c.cluster.plan());
  assertEquals(plan.changes, [{ action: "join", node: "n3" }]);
  bus.stop();
});

Deno.test("ClusterProcess.plan() waits for members to agree, and names those who did not", async () => {
  const bus = new ClusterBus(23);
  const a = await bus.start("n1", { waitMs: 3_000 });
  const b = await bus.start("n2");
  await bus.during(b.cluster.join("n1:1"));
  const plan = await bus.during(a.cluster.plan());
  await bus.during(a.cluster.commit(plan.planId));
  await bus.until(() => isSettled([a, b]), 5_000);
  bus.setCut("n1", "n2", true);
  await bus.during(a.cluster.putMeta("x", 1));
  const error = await rejectsWith(
    bus.during(a.cluster.plan()),
    "ring_not_ready",
  );
  assertEquals(error.details, { behind: ["n2"] });
  // With the link restored in time, the same request succeeds.
  const waiting = a.cluster.plan();
  await bus.run(1_000);
  bus.setCut("n1", "n2", false);
  assertEquals((await bus.during(waiting)).changes, []);
  bus.stop();
});

Deno.test("two halves that both change the ring agree when they meet again", async () => {
  const bus = new ClusterBus(24);
  const nodes: BusNode[] = [];
  for (const name of ["n1", "n2", "n3", "n4"]) {
    nodes.push(await bus.start(name));
  }
  const [a, b, c, d] = nodes as [BusNode, BusNode, BusNode, BusNode];
  await bus.during(Promise.all(
    [b, c, d].map(({ cluster }) => cluster.join("n1:1")),
  ));
  const plan = await bus.during(a.cluster.plan());
  await bus.during(a.cluster.commit(plan.planId));
  await bus.until(() => isSettled(nodes), 5_000);
  const setSplit = (cut: boolean) => {
    for (const left of ["n1", "n2"]) {
      for (const right of ["n3", "n4"]) bus.setCut(left, right, cut);
    }
  };
  setSplit(true);
  await bus.during(a.cluster.putMeta("left", 1));
  await bus.during(c.cluster.putMeta("right", 2));
  // The right half replaces the claimant, who is alive in the left one.
  await bus.during(c.cluster.down("n1"));
  await bus.until(() => d.cluster.ring.ownership.claimant === "n2", 5_000)
    .catch(() => undefined);
  await bus.during(d.cluster.down("n2"));
  await bus.until(() => d.cluster.ring.ownership.claimant === "n3", 5_000);
  setSplit(false);
  await bus.until(
    () =>
      isSettled(nodes) &&
      nodes.every(({ name }) => memberStatus(a.cluster.ring, name) === "valid"),
    20_000,
  );
  assertWhole(nodes);
  assertEquals(a.cluster.ring.ownership.claimant, "n3");
  assertEquals(d.cluster.ring.meta.get("left")?.value, 1);
  assertEquals(a.cluster.ring.meta.get("right")?.value, 2);
  bus.stop();
});

Deno.test("services reach every node, disappear with a suspected node and come back with it", async () => {
  const bus = new ClusterBus(25);
  const a = await bus.start("n1");
  const b = await bus.start("n2");
  b.cluster.serviceUp("kv");
  await bus.during(b.cluster.join("n1:1"));
  a.cluster.serviceUp("kv");
  await bus.run(100);
  assertEquals(a.cluster.upNodes("kv"), ["n1", "n2"]);
  assertEquals(b.cluster.upNodes("kv"), ["n1", "n2"]);
  a.cluster.suspect("n2");
  assertEquals(a.cluster.upNodes("kv"), ["n1"]);
  a.cluster.alive("n2");
  assertEquals(a.cluster.upNodes("kv"), ["n1", "n2"]);
  b.cluster.serviceDown("kv");
  await bus.run(100);
  assertEquals(a.cluster.upNodes("kv"), ["n1"]);
  bus.kill("n2");
  assertEquals(a.cluster.nodesUp, ["n1"]);
  assertEquals(a.cluster.services(), { n1: ["kv"] });
  bus.stop();
});
