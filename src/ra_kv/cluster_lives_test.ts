import { assert, assertEquals } from "@std/assert";
import { WhorlError } from "../base/errors.ts";
import { FORM_TIMEOUT_MS } from "./cluster_lives.ts";
import { raKvOutcomeUnknown } from "./ra_kv_client.ts";
import type { MemberPlace } from "./ra_kv_protocol.ts";
import { failureOf, inTime, membersOn, onNodes } from "./testing/on_nodes.ts";

onNodes(
  "startCluster() starts a member on each node, whichever node is asked",
  async (cluster) => {
    const started = await cluster.node("d").raKv.startCluster("store", [
      "c",
      "a",
      "b",
    ]);
    assertEquals(started, {
      cluster: "store",
      started: ["a", "b", "c"],
      notStarted: [],
      leader: started.leader,
    });
    assertEquals(membersOn(cluster, "store"), ["a", "b", "c"]);
    const members = cluster.node("a").members();
    assertEquals(members[0]!.membership.members.map(({ node }) => node), [
      "a",
      "b",
      "c",
    ]);
    const uids = new Set(
      members[0]!.membership.members.map(({ uid }) => uid),
    );
    assertEquals(uids.size, 3);
    await cluster.node("d").raKv.put("store", "k", 1);
    assertEquals((await cluster.node("b").raKv.get("store", "k")).value, 1);
  },
);

onNodes(
  "startCluster() needs only a majority and reports the missing nodes",
  async (cluster) => {
    cluster.cut.add("c");
    const started = await inTime(
      cluster,
      cluster.node("a").raKv.startCluster("store", ["a", "b", "c"]),
    );
    assertEquals(started.started, ["a", "b"]);
    assertEquals(started.notStarted.map(({ node, code }) => [node, code]), [
      ["c", "not_reachable"],
    ]);
  },
);

onNodes(
  "startCluster() leaves nothing behind when no majority starts",
  async (cluster) => {
    for (const node of ["b", "c"]) {
      cluster.node(node).createRefusal = new WhorlError("store_full", "full");
    }
    const error = await failureOf(
      cluster,
      cluster.node("a").raKv.startCluster("store", ["a", "b", "c"]),
    );
    assertEquals(error.code, "cluster_not_formed");
    assertEquals(error.details["started"], ["a"]);
    assertEquals(membersOn(cluster, "store"), []);
  },
);

onNodes(
  "startCluster() leaves nothing behind when no leader answers in time",
  async (cluster) => {
    cluster.elects = false;
    const before = cluster.runtime.now();
    const error = await failureOf(
      cluster,
      cluster.node("a").raKv.startCluster("store", ["a", "b", "c"]),
    );
    assertEquals(error.code, "cluster_not_formed");
    assertEquals(membersOn(cluster, "store"), []);
    const tookMs = cluster.runtime.now() - before;
    assert(tookMs >= 3 * FORM_TIMEOUT_MS && tookMs < 3 * FORM_TIMEOUT_MS + 500);
  },
);

onNodes(
  "startCluster() does not touch an existing cluster",
  async (cluster) => {
    const { raKv } = cluster.node("a");
    await raKv.startCluster("store", ["a", "b"]);
    await raKv.put("store", "k", 1);
    const error = await failureOf(
      cluster,
      raKv.startCluster("store", ["b", "c", "d"]),
    );
    assertEquals(error.code, "already_exists");
    assertEquals(membersOn(cluster, "store"), ["a", "b"]);
    assertEquals((await raKv.get("store", "k")).value, 1);
  },
);

onNodes("startCluster() takes 1 to 15 nodes, each once", async (cluster) => {
  const { raKv } = cluster.node("a");
  for (
    const members of [
      [],
      ["a", "a"],
      [""],
      Array.from({ length: 16 }, (_, at) => `n${at}`),
      "abc" as unknown as string[],
    ]
  ) {
    const error = await failureOf(cluster, raKv.startCluster("s", members));
    assertEquals(error.code, "invalid_argument");
  }
  for (const name of ["", "n".repeat(256), "\ud800"]) {
    const error = await failureOf(
      cluster,
      // Invalid calls are not sent either.
      cluster.node("a").methods.perform("ra_kv_start_cluster", {
        cluster: name,
        members: ["a"],
      }),
    );
    assertEquals(error.code, "invalid_argument");
  }
});

onNodes(
  "deleteCluster() has the members agree, and removes them from all nodes that can be reached",
  async (cluster) => {
    const group = await cluster.form("store", ["a", "b", "c"]);
    await cluster.node("a").raKv.put("store", "k", 1);
    cluster.cut.add("c");
    cluster.node("c").member("store")!.paused = true;
    const { raKv } = cluster.node("d");
    const deleted = await inTime(cluster, raKv.deleteCluster("store"));
    assertEquals(deleted.deleted, ["a", "b"]);
    assertEquals(deleted.notDeleted.map(({ node, code }) => [node, code]), [
      ["c", "not_reachable"],
    ]);
    assertEquals(membersOn(cluster, "store"), ["c"]);
    assertEquals(group.entries.length, 2);
    for (const name of ["a", "b"]) {
      assert(cluster.node(name).isDeleted(group.groupId));
    }
    const error = await failureOf(cluster, raKv.get("store", "k"));
    assertEquals(error.code, "timeout", "c may have it yet");
  },
);

onNodes(
  "startCluster() and addMember() replace what is left of a deleted cluster of that name",
  async (cluster) => {
    const before = await cluster.form("store", ["a", "b", "c"]);
    await cluster.node("a").raKv.put("store", "k", "old");
    cluster.cut.add("c");
    cluster.node("c").member("store")!.paused = true;
    const { raKv } = cluster.node("d");
    await inTime(cluster, raKv.deleteCluster("store"));
    cluster.cut.clear();
    const started = await inTime(
      cluster,
      raKv.startCluster("store", ["b", "c", "d"]),
    );
    assertEquals(started.started, ["b", "c", "d"]);
    const after = cluster.node("c").member("store")!;
    assert(after.groupId !== before.groupId);
    assertEquals((await raKv.get("store", "k")).value, undefined);
    // The same if the leftover member's node gets one of the new cluster.
    await inTime(cluster, raKv.deleteCluster("store"));
    const again = await inTime(cluster, raKv.startCluster("store", ["a", "d"]));
    assertEquals(again.started, ["a", "d"]);
    cluster.groups.delete("store");
    await cluster.node("c").createMember({
      group: "store",
      groupId: before.groupId,
      uid: 33,
      machine: "ra_kv",
      initial: before.membership.members,
    });
    cluster.groups.set("store", cluster.node("a").member("store")!.shared);
    const { members } = await inTime(cluster, raKv.addMember("store", "c"));
    assertEquals(members.map(({ node }) => node), ["a", "d", "c"]);
  },
);

onNodes(
  "deleteCluster() deletes nothing without a majority, unless forced",
  async (cluster) => {
    const group = await cluster.form("store", ["a", "b", "c"]);
    group.lead(undefined);
    cluster.cut.add("b").add("c");
    const { raKv } = cluster.node("a");
    const error = await failureOf(cluster, raKv.deleteCluster("store"));
    assertEquals([error.code, error.details["outcomeUnknown"]], [
      "quorum_unavailable",
      false,
    ]);
    assertEquals(raKvOutcomeUnknown(error), false);
    assertEquals(membersOn(cluster, "store"), ["a", "b", "c"]);
    const forced = await inTime(
      cluster,
      raKv.deleteCluster("store", { force: true }),
    );
    assertEquals(forced.deleted, ["a"]);
    assertEquals(forced.notDeleted.map(({ node }) => node), ["b", "c"]);
    assertEquals(membersOn(cluster, "store"), ["b", "c"]);
  },
);

onNodes(
  "deleteCluster() reports that it is unknown whether the members have agreed",
  async (cluster) => {
    const group = await cluster.form("store", ["a", "b", "c"]);
    cluster.onCall = (_, method) => {
      if (method === "ra_kv_end_here") group.frozen = true;
    };
    const { raKv } = cluster.node("d");
    const error = await failureOf(cluster, raKv.deleteCluster("store"));
    assertEquals([error.code, raKvOutcomeUnknown(error)], ["timeout", true]);
    assertEquals(membersOn(cluster, "store"), ["a", "b", "c"]);
    cluster.onCall = () => {};
    group.lead("b");
    const deleted = await inTime(cluster, raKv.deleteCluster("store"));
    assertEquals(deleted.deleted, ["a", "b", "c"]);
  },
);

onNodes(
  "deleteCluster() succeeds even if the leader's answer was lost with the cluster",
  async (cluster) => {
    await cluster.form("store", ["a", "b", "c"]);
    const end = cluster.node("a").methods;
    cluster.onCall = async (node, method) => {
      if (node !== "a" || method !== "ra_kv_end_here") return;
      cluster.onCall = () => {};
      const groupId = cluster.node("a").member("store")!.groupId;
      await end.perform(method, { cluster: "store", groupId });
      throw new WhorlError("connection_closed", "lost");
    };
    const { raKv } = cluster.node("d");
    const deleted = await inTime(cluster, raKv.deleteCluster("store"));
    assertEquals(deleted.notDeleted, []);
    assertEquals(membersOn(cluster, "store"), []);
    const error = await failureOf(cluster, raKv.deleteCluster("store"));
    assertEquals(error.code, "unknown_cluster");
  },
);

onNodes(
  "deleteCluster() requires members that can agree, and deletes one of an older version only by force",
  async (cluster) => {
    await cluster.form("store", ["a", "b", "c"]);
    const { methods } = cluster.node("b");
    const perform = methods.perform.bind(methods);
    methods.perform = async (method, args) => {
      if (method === "ra_kv_delete_here") {
        throw new WhorlError("unknown_command", "too old");
      }
      const answer = await perform(method, args);
      if (method !== "ra_kv_locate") return answer;
      const { uid, groupId, leader, members } = answer as MemberPlace;
      return { uid, groupId, leader, members };
    };
    const { raKv } = cluster.node("d");
    const error = await failureOf(cluster, raKv.deleteCluster("store"));
    assertEquals([error.code, error.details["node"]], ["not_capable", "b"]);
    assertEquals(membersOn(cluster, "store"), ["a", "b", "c"]);
    const deleted = await inTime(
      cluster,
      raKv.deleteCluster("store", { force: true }),
    );
    assertEquals(deleted.deleted, ["a", "b", "c"]);
    assertEquals(membersOn(cluster, "store"), []);
  },
);

onNodes(
  "clusters() lists all clusters, and the nodes that did not answer",
  async (cluster) => {
    await cluster.form("one", ["a", "b"]);
    await cluster.form("two", ["b", "c"]);
    cluster.cut.add("c");
    const { clusters, failures } = await cluster.node("d").raKv.clusters();
    assertEquals(clusters, [
      { cluster: "one", nodes: ["a", "b"], leader: "a" },
      { cluster: "two", nodes: ["b"], leader: "b" },
    ]);
    assertEquals(failures.map(({ node }) => node), ["c"]);
  },
);
