/**
 * Joins that get in each other's way: rounds and chains of them at one moment,
 * and crashes between their steps. None may end in a cluster that nobody is in
 * any more, and each is answered with a result or a named error.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { WhorlError } from "../src/base/errors.ts";
import { INVITATION_MS } from "../src/cluster/invitations_fsm.ts";
import { decodeJoinOffer } from "../src/cluster/cluster_codec.ts";
import { HOST_GONE_MS } from "../src/cluster/gossip_fsm.ts";
import { FrameType } from "../src/wire/frame_type.ts";
import { currentMembers, memberStatus, ringReady } from "../src/ring/ring.ts";
import { isInvited } from "../src/ring/ring_change.ts";
import { decodeRing, encodeRing } from "../src/ring/ring_codec.ts";
import { type BusNode, ClusterBus } from "./cluster_bus.ts";

const OPTIONS = { ringSize: 8, waitMs: 300, gossipIntervalMs: 200 };

async function startAll(bus: ClusterBus, count: number): Promise<BusNode[]> {
  const nodes: BusNode[] = [];
  for (let i = 1; i <= count; i++) {
    nodes.push(await bus.start(`n${i}`, OPTIONS));
  }
  return nodes;
}

/** What came of a join: "joined", or the code of its error. */
async function outcomeOf(join: Promise<unknown>): Promise<string> {
  try {
    await join;
    return "joined";
  } catch (error) {
    if (error instanceof WhorlError) return error.code;
    throw error;
  }
}

/** Each node is in a cluster whose members all are in it and agree. */
function isAtRest(nodes: readonly BusNode[]): boolean {
  const byName = new Map(nodes.map((node) => [node.name, node.cluster]));
  return nodes.every(({ cluster: { ring } }) => {
    const digest = encodeRing(ring).digest;
    return ringReady(ring) && ring.ownership.next.length === 0 &&
      currentMembers(ring).every((name) => {
        const member = byName.get(name);
        return member !== undefined && !isInvited(ring, name) &&
          encodeRing(member.ring).digest === digest;
      });
  });
}

function isAlone({ name, cluster }: BusNode): boolean {
  return currentMembers(cluster.ring).join() === name &&
    memberStatus(cluster.ring, name) === "valid";
}

/** `guest` joins `host`, and a commit makes it a full member. */
async function joinAndCommit(bus: ClusterBus, guest: BusNode, host: BusNode) {
  await bus.during(guest.cluster.join(`${host.name}:1`));
  const { planId } = await bus.during(host.cluster.plan());
  await bus.during(host.cluster.commit(planId));
  await bus.until(() => isAtRest([guest, host]), 10_000);
}

Deno.test("three nodes that join each other in a circle never stay in the ring of a node that has gone", async () => {
  const bus = new ClusterBus(2147221475, {
    loss: 0.1,
    repeat: 0.1,
    delayMsMax: 40,
  });
  const nodes = await startAll(bus, 4);
  const [n1, , n3, n4] = nodes as [BusNode, BusNode, BusNode, BusNode];
  const first = outcomeOf(n4.cluster.join("n1:1"));
  await bus.run(60);
  // Before the fix n1 left for n3 here, though n4 had its ring already.
  const second = outcomeOf(n1.cluster.join("n3:1"));
  await bus.run(60);
  const third = outcomeOf(n3.cluster.join("n4:1"));
  assertEquals(await bus.during(first), "joined");
  assertEquals(await bus.during(second), "not_single_node");
  assertEquals(await bus.during(third), "joined");
  const { planId } = await bus.during(n1.cluster.plan());
  await bus.during(n1.cluster.commit(planId));
  bus.faults = {};
  await bus.until(() => isAtRest(nodes), 60_000);
  assertEquals(currentMembers(n1.cluster.ring), ["n1", "n3", "n4"]);
  bus.stop();
});

for (const count of [2, 3, 4, 5, 6]) {
  for (const gapMs of [0, 1, 4, 20]) {
    Deno.test(`a round of ${count} joins, one every ${gapMs} ms, leaves no node behind, and refused nodes may join again`, async () => {
      const bus = new ClusterBus(count, { delayMsMax: 10 });
      const nodes = await startAll(bus, count);
      const joins: Promise<string>[] = [];
      for (const [i, { cluster }] of nodes.entries()) {
        const next = nodes[(i + 1) % count] as BusNode;
        joins.push(outcomeOf(cluster.join(`${next.name}:1`)));
        await bus.run(gapMs);
      }
      const outcomes = await bus.during(Promise.all(joins));
      const { length: joined } = outcomes.filter((one) => one === "joined");
      assert(joined < count, "a whole round of joins went through");
      for (const outcome of outcomes) {
        assert(
          ["joined", "node_still_starting", "not_single_node"].includes(
            outcome,
          ),
          outcome,
        );
      }
      await bus.until(() => isAtRest(nodes), 10_000);
      for (const [i, outcome] of outcomes.entries()) {
        const node = nodes[i] as BusNode;
        if (outcome === "joined") {
          assert(currentMembers(node.cluster.ring).length > 1);
        }
      }
      // Whoever stands alone now gets in, one after the other.
      const host = nodes.find((node) => !isAlone(node)) ?? nodes[0] as BusNode;
      for (const node of nodes) {
        if (node === host || !isAlone(node)) continue;
        await bus.during(node.cluster.join(`${host.name}:1`));
      }
      await bus.until(() => isAtRest(nodes), 10_000);
      bus.stop();
    });
  }
}

Deno.test("a host that has invited a guest does not join elsewhere before that is over, whatever happens to the guest", async () => {
  const bus = new ClusterBus(31);
  const nodes = await startAll(bus, 3);
  const [host, guest, other] = nodes as [BusNode, BusNode, BusNode];
  void outcomeOf(guest.cluster.join("n1:1"));
  await bus.until(() => currentMembers(host.cluster.ring).length === 2, 1_000);
  bus.kill("n2");
  assertEquals(isInvited(host.cluster.ring, "n2"), true);
  assertEquals(
    await bus.during(outcomeOf(host.cluster.join("n3:1"))),
    "not_single_node",
  );
  // Also after a crash of the host, once what it promised is on its disk.
  await bus.run(5);
  bus.kill("n1");
  const again = await bus.start("n1", OPTIONS);
  assertEquals(
    await bus.during(outcomeOf(again.cluster.join("n3:1"))),
    "not_single_node",
  );
  // Nor can the guest be made a member, or declared down, that has not come.
  const plan = await bus.during(again.cluster.plan());
  assertEquals(plan.changes, []);
  await assertRejects(() => again.cluster.down("n2"), WhorlError, "invited");
  await bus.until(() => isAlone(again), INVITATION_MS + 1_000);
  await joinAndCommit(bus, again, other);
  // The guest comes back as it was.
  const back = await bus.start("n2", OPTIONS);
  assert(isAlone(back));
  await bus.during(back.cluster.join("n1:1"));
  bus.stop();
});

Deno.test("a guest that was killed before it stored its invitation is released as soon as it says so", async () => {
  const bus = new ClusterBus(32);
  const [host] = await startAll(bus, 2) as [BusNode, BusNode];
  const guest = await bus.start("n3", OPTIONS);
  void outcomeOf(guest.cluster.join("n1:1"));
  await bus.until(() => currentMembers(host.cluster.ring).length === 2, 1_000);
  bus.kill("n3");
  const back = await bus.start("n3", OPTIONS);
  await bus.until(() => isAlone(host), 3_000);
  assert(isAlone(back));
  await joinAndCommit(bus, back, host);
  bus.stop();
});

Deno.test("a guest that was killed after it stored its invitation is a guest when it comes back", async () => {
  const bus = new ClusterBus(33);
  const [host, guest] = await startAll(bus, 2) as [BusNode, BusNode];
  const stored = bus.disks.get("n2");
  void outcomeOf(guest.cluster.join("n1:1"));
  await bus.until(() => bus.disks.get("n2") !== stored, 1_000);
  bus.kill("n2");
  assertEquals(isInvited(host.cluster.ring, "n2"), true);
  const back = await bus.start("n2", OPTIONS);
  await bus.until(() => isAtRest([host, back]), 3_000);
  const { planId } = await bus.during(host.cluster.plan());
  await bus.during(host.cluster.commit(planId));
  await bus.until(() => isAtRest([host, back]), 3_000);
  assertEquals(memberStatus(host.cluster.ring, "n2"), "valid");
  bus.stop();
});

Deno.test("a guest that arrives when its host has withdrawn the invitation and joined elsewhere is alone again", async () => {
  const bus = new ClusterBus(34);
  const nodes = await startAll(bus, 3);
  const [host, guest, other] = nodes as [BusNode, BusNode, BusNode];
  const stored = bus.disks.get("n2");
  void outcomeOf(guest.cluster.join("n1:1"));
  await bus.until(() => bus.disks.get("n2") !== stored, 1_000);
  bus.kill("n2");
  await bus.run(INVITATION_MS + 1_000);
  assert(isAlone(host));
  await joinAndCommit(bus, host, other);
  const back = await bus.start("n2", OPTIONS);
  assertEquals(memberStatus(back.cluster.ring, "n2"), "joining");
  // It refuses to be anybody's way into the ring that is no more.
  const late = await bus.start("n4", OPTIONS);
  assert(await bus.during(outcomeOf(late.cluster.join("n2:1"))) !== "joined");
  await bus.until(() => isAlone(back), 5_000);
  await bus.during(back.cluster.join("n1:1"));
  assertEquals(memberStatus(host.cluster.ring, "n2"), "joining");
  bus.stop();
});

Deno.test("a join whose host falls silent fails by name and leaves the node alone, able to join again", async () => {
  const bus = new ClusterBus(35);
  const nodes = await startAll(bus, 3);
  const [host, guest, other] = nodes as [BusNode, BusNode, BusNode];
  // It has the offer and its question is on the way.
  const join = outcomeOf(guest.cluster.join("n1:1"));
  await bus.until(
    () => (bus.sent.get(FrameType.joinRequest) ?? 0) > 0,
    1_000,
  );
  bus.setCut("n1", "n2", true);
  assertEquals(await bus.during(join), "not_reachable");
  assert(isAlone(guest));
  await joinAndCommit(bus, guest, other);
  bus.setCut("n1", "n2", false);
  await bus.until(() => isAlone(host), INVITATION_MS + 1_000);
  bus.stop();
});

Deno.test("two members that have declared each other down agree again when they meet", async () => {
  const bus = new ClusterBus(36);
  const [a, b] = await startAll(bus, 2) as [BusNode, BusNode];
  await joinAndCommit(bus, b, a);
  bus.setCut("n1", "n2", true);
  await bus.during(a.cluster.down("n2"));
  await bus.during(b.cluster.down("n1"));
  bus.setCut("n1", "n2", false);
  await bus.until(
    () =>
      isAtRest([a, b]) &&
      ["n1", "n2"].every((name) =>
        memberStatus(a.cluster.ring, name) === "valid"
      ),
    10_000,
  );
  bus.stop();
});

Deno.test("a guest whose join was cleared without its knowledge may not declare its host down, and is alone again", async () => {
  const bus = new ClusterBus(37);
  const [host, guest] = await startAll(bus, 2) as [BusNode, BusNode];
  await bus.during(guest.cluster.join("n1:1"));
  bus.setCut("n1", "n2", true);
  await bus.during(host.cluster.clear());
  await assertRejects(() => guest.cluster.down("n1"), WhorlError, "joining");
  bus.setCut("n1", "n2", false);
  await bus.until(() => isAlone(guest) && isAlone(host), 5_000);
  bus.stop();
});

Deno.test("a start during which the cluster removes the node ends when its new ring is stored", async () => {
  const bus = new ClusterBus(38);
  const [host, guest] = await startAll(bus, 2) as [BusNode, BusNode];
  await bus.during(guest.cluster.join("n1:1"));
  bus.kill("n2");
  await bus.during(host.cluster.clear());
  bus.storeMs = 100;
  // It has something new to store, and hears that it is removed meanwhile.
  const node = { name: "n2", address: "n2:2", nodeId: "id-n2" };
  const back = await bus.start("n2", { ...OPTIONS, node });
  assertEquals(back.changes.some(({ type }) => type === "removed"), true);
  assert(isAlone(back));
  const stored = decodeRing(bus.disks.get("n2") ?? new Uint8Array());
  assertEquals(stored.digest, encodeRing(back.cluster.ring).digest);
  bus.stop();
});

Deno.test("a change that a node has not stored when it leaves the cluster is refused, not acknowledged", async () => {
  const bus = new ClusterBus(39);
  const [host, guest] = await startAll(bus, 2) as [BusNode, BusNode];
  await bus.during(guest.cluster.join("n1:1"));
  await bus.until(() => isAtRest([host, guest]), 3_000);
  await bus.during(host.cluster.clear());
  bus.storeMs = 1_000;
  const change = outcomeOf(guest.cluster.putMeta("color", "green"));
  assertEquals(await bus.during(change), "cancelled");
  assert(isAlone(guest));
  bus.stop();
});

Deno.test("a guest whose only host is gone for good is alone again when told to leave, and is forgotten if the host comes back", async () => {
  const bus = new ClusterBus(40);
  const [host, guest] = await startAll(bus, 2) as [BusNode, BusNode];
  await bus.during(guest.cluster.join("n1:1"));
  await bus.until(() => isAtRest([host, guest]), 3_000);
  bus.kill("n1");
  await bus.run(HOST_GONE_MS);
  const left = await bus.during(guest.cluster.leave());
  assertEquals(left, { node: "n2", staged: false });
  assert(isAlone(guest));
  assertEquals(decodeRing(bus.disks.get("n2")!).ring, guest.cluster.ring);
  // It is of no cluster, and may be of one again.
  const other = await bus.start("n3", OPTIONS);
  await joinAndCommit(bus, guest, other);
  const back = await bus.start("n1", OPTIONS);
  await bus.until(
    () => isAlone(back) && isAtRest([guest, other]),
    10_000,
  );
  const plan = await bus.during(back.cluster.plan());
  assertEquals(plan.changes, []);
  bus.stop();
});

Deno.test("a guest whose only host was just reachable, or does not answer, does not leave on its own", async () => {
  const bus = new ClusterBus(43);
  const [host, guest] = await startAll(bus, 2) as [BusNode, BusNode];
  await bus.during(guest.cluster.join("n1:1"));
  await bus.until(() => isAtRest([host, guest]), 3_000);
  await bus.run(2 * HOST_GONE_MS);
  const { planId } = await bus.during(host.cluster.plan());
  bus.setCut("n1", "n2", true);
  // It is a member by now and does not know.
  await bus.during(host.cluster.commit(planId));
  const leave = () => bus.during(outcomeOf(guest.cluster.leave()));
  assertEquals(await leave(), "not_reachable");
  bus.setCut("n1", "n2", false);
  await bus.until(() => isAtRest([host, guest]), 10_000);
  assertEquals(currentMembers(host.cluster.ring), ["n1", "n2"]);

  const [slow, late] = await Promise.all([
    bus.start("n3", OPTIONS),
    bus.start("n4", OPTIONS),
  ]);
  await bus.during(late.cluster.join("n3:1"));
  await bus.until(() => isAtRest([slow, late]), 3_000);
  await bus.run(2 * HOST_GONE_MS);
  bus.faults.delayMsMax = 100_000;
  assertEquals(
    await bus.during(outcomeOf(late.cluster.leave())),
    "timeout",
  );
  bus.stop();
});

Deno.test("a node that has left its cluster shows its ring to nobody", async () => {
  const bus = new ClusterBus(42);
  const [n1, n2] = await startAll(bus, 2) as [BusNode, BusNode];
  await joinAndCommit(bus, n2, n1);
  await bus.until(() => isAtRest([n1, n2]), 10_000);
  const offered = () => decodeJoinOffer(n2.cluster.joinOffer()).ring !== null;
  assert(offered());
  const offeredLater: boolean[] = [];
  // It has stored the ring in which it stands alone by then.
  n2.cluster.subscribe(({ type }) => {
    if (type === "left") offeredLater.push(offered());
  });
  await bus.during(n2.cluster.leave());
  const { planId } = await bus.during(n1.cluster.plan());
  await bus.during(n1.cluster.commit(planId));
  await bus.until(() => offeredLater.length > 0, 30_000);
  assertEquals(offeredLater, [false]);
  bus.stop();
});

Deno.test("a guest that others can release does not leave on its own", async () => {
  const bus = new ClusterBus(41);
  const [n1, n2, guest] = await startAll(bus, 3) as [BusNode, BusNode, BusNode];
  await joinAndCommit(bus, n2, n1);
  await bus.during(guest.cluster.join("n1:1"));
  await bus.until(
    () => currentMembers(n2.cluster.ring).includes("n3"),
    3_000,
  );
  bus.kill("n1");
  assertEquals(
    await bus.during(outcomeOf(guest.cluster.leave())),
    "not_reachable",
  );
  await bus.during(n2.cluster.down("n1"));
  await bus.until(
    () => guest.cluster.ring.ownership.claimant === "n2",
    3_000,
  );
  await bus.during(guest.cluster.leave());
  await bus.until(() => isAlone(guest), 3_000);
  bus.stop();
});
