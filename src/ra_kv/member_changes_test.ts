import { assert, assertEquals } from "@std/assert";
import { WhorlError } from "../base/errors.ts";
import { START_TIMEOUT_MS } from "./cluster_questions.ts";
import { CHANGE_TIMEOUT_MS } from "./member_changes.ts";
import { raKvOutcomeUnknown } from "./ra_kv_client.ts";
import { failureOf, inTime, membersOn, onNodes } from "./testing/on_nodes.ts";

onNodes(
  "addMember() creates a member, which is one once all have agreed",
  async (cluster) => {
    await cluster.form("store", ["a", "b", "c"]);
    await cluster.node("a").raKv.put("store", "k", 1);
    const members = await inTime(
      cluster,
      cluster.node("b").raKv.addMember("store", "d"),
    );
    assertEquals(members.leader, "a");
    assertEquals(members.members.map(({ node, kind }) => [node, kind]), [
      ["a", "voter"],
      ["b", "voter"],
      ["c", "voter"],
      ["d", "promotable"],
    ]);
    const uid = members.members[3]!.uid;
    assertEquals(cluster.node("d").member("store")!.uid, uid);
    const local = cluster.node("d").raKv.get("store", "k", { from: "local" });
    assertEquals((await local).value, 1);
    const again = await failureOf(
      cluster,
      cluster.node("a").raKv.addMember("store", "d"),
    );
    assertEquals(again.code, "already_member");
  },
);

onNodes("addMember() makes a non-voter if it is asked to", async (cluster) => {
  await cluster.form("store", ["a"]);
  const members = await inTime(
    cluster,
    cluster.node("a").raKv.addMember("store", "d", { kind: "non_voter" }),
  );
  assertEquals(members.members[1]!.kind, "non_voter");
});

onNodes(
  "addMember() removes the new member when it is refused",
  async (cluster) => {
    const group = await cluster.form("store", ["a", "b", "c"]);
    group.changeRefusal = "cluster_change_not_permitted";
    const error = await failureOf(
      cluster,
      cluster.node("b").raKv.addMember("store", "d"),
    );
    assertEquals(error.code, "cluster_change_not_permitted");
    assertEquals(membersOn(cluster, "store"), ["a", "b", "c"]);
    group.changeRefusal = undefined;
    await inTime(cluster, cluster.node("b").raKv.addMember("store", "d"));
  },
);

onNodes(
  "addMember() changes nothing when the node cannot be reached",
  async (cluster) => {
    const group = await cluster.form("store", ["a", "b", "c"]);
    cluster.cut.add("d");
    const error = await failureOf(
      cluster,
      cluster.node("b").raKv.addMember("store", "d"),
    );
    assertEquals(error.code, "not_reachable");
    assertEquals(group.entries.length, 0);
  },
);

onNodes(
  "addMember() removes the new member when the leader fails before they agreed",
  async (cluster) => {
    const group = await cluster.form("store", ["a", "b", "c"]);
    group.frozen = true;
    const adding = failureOf(
      cluster,
      cluster.node("a").raKv.addMember("store", "d"),
    );
    // The members cannot be confirmed either until there is a leader again.
    await cluster.runtime.advance(100);
    assertEquals(cluster.node("d").groups.size, 0);
    group.frozen = false;
    group.lead("a");
    let froze = false;
    cluster.onCall = (_, method) => {
      if (method !== "ra_kv_create_member" || froze) return;
      froze = true;
      group.frozen = true;
      cluster.runtime.setTimer(100, () => group.lead("b"));
    };
    const error = await adding;
    assertEquals(error.code, "leader_lost");
    assertEquals(membersOn(cluster, "store"), ["a", "b", "c"]);
    assertEquals(group.membership.members.length, 3);
  },
);

onNodes(
  "addMember() keeps the new member while the outcome is unknown",
  async (cluster) => {
    const group = await cluster.form("store", ["a", "b", "c"]);
    cluster.onCall = (_, method) => {
      if (method === "ra_kv_create_member") group.frozen = true;
    };
    const before = cluster.runtime.now();
    const error = await failureOf(
      cluster,
      cluster.node("a").raKv.addMember("store", "d"),
    );
    assertEquals([error.code, raKvOutcomeUnknown(error)], ["timeout", true]);
    assert(cluster.runtime.now() - before >= CHANGE_TIMEOUT_MS);
    assertEquals(membersOn(cluster, "store"), ["a", "b", "c", "d"]);
    // The next attempt replaces it.
    cluster.onCall = () => {};
    group.lead("b");
    const members = await inTime(
      cluster,
      cluster.node("a").raKv.addMember("store", "d"),
    );
    assertEquals(members.members.length, 4);
  },
);

onNodes(
  "addMember() gives a member that has lost its data a new uid",
  async (cluster) => {
    const group = await cluster.form("store", ["a", "b", "c"]);
    const before = group.membership.members.find(({ node }) => node === "c");
    await cluster.node("c").removeMember("store");
    const { members } = await inTime(
      cluster,
      cluster.node("a").raKv.addMember("store", "c"),
    );
    assertEquals(members.length, 3);
    const after = members.find(({ node }) => node === "c");
    assertEquals(after!.uid === before!.uid, false);
    assertEquals(cluster.node("c").member("store")!.uid, after!.uid);
  },
);

onNodes(
  "removeMember() removes a member and its data",
  async (cluster) => {
    const group = await cluster.form("store", ["a", "b", "c"]);
    assertEquals(
      await inTime(cluster, cluster.node("d").raKv.removeMember("store", "c")),
      { cluster: "store", node: "c", dropped: true },
    );
    assertEquals(membersOn(cluster, "store"), ["a", "b"]);
    assertEquals(group.membership.members.length, 2);
    const again = await failureOf(
      cluster,
      cluster.node("a").raKv.removeMember("store", "c"),
    );
    assertEquals(again.code, "not_member");
    // The leader as well.
    await inTime(cluster, cluster.node("a").raKv.removeMember("store", "a"));
    assertEquals(membersOn(cluster, "store"), ["b"]);
    const last = await failureOf(
      cluster,
      cluster.node("a").raKv.removeMember("store", "b"),
    );
    assertEquals(last.code, "only_member");
  },
);

onNodes(
  "removeMember() reports when the member's data is left behind",
  async (cluster) => {
    await cluster.form("store", ["a", "b", "c"]);
    cluster.cut.add("c");
    const removed = await inTime(
      cluster,
      cluster.node("a").raKv.removeMember("store", "c"),
    );
    assertEquals(removed.dropped, false);
    assertEquals(membersOn(cluster, "store"), ["a", "b", "c"]);
  },
);

onNodes(
  "removeMember() waits while the groups of the member's node are being started",
  async (cluster) => {
    await cluster.form("store", ["a", "b", "c"]);
    const c = cluster.node("c");
    c.starting = true;
    cluster.runtime.setTimer(2_000, () => c.starting = false);
    const { raKv } = cluster.node("a");
    const removed = await inTime(cluster, raKv.removeMember("store", "c"));
    assertEquals(removed.dropped, true);
    assertEquals(membersOn(cluster, "store"), ["a", "b"]);
    // But not forever.
    await inTime(cluster, raKv.addMember("store", "c"));
    c.starting = true;
    const before = cluster.runtime.now();
    const kept = await inTime(cluster, raKv.removeMember("store", "c"));
    const took = cluster.runtime.now() - before;
    assertEquals(kept.dropped, false);
    assert(took >= START_TIMEOUT_MS && took < 2 * START_TIMEOUT_MS, `${took}`);
  },
);

onNodes(
  "removeMember() leaves the member as it is when refused or unknown",
  async (cluster) => {
    const group = await cluster.form("store", ["a", "b", "c"]);
    group.changeRefusal = "cluster_change_not_permitted";
    const refused = await failureOf(
      cluster,
      cluster.node("a").raKv.removeMember("store", "c"),
    );
    assertEquals(refused.code, "cluster_change_not_permitted");
    group.changeRefusal = undefined;
    cluster.onCall = (_, method) => {
      if (method === "ra_kv_remove_member") return;
      group.frozen = true;
    };
    const client = cluster.node("b").raKv;
    const unknown = await failureOf(cluster, client.removeMember("store", "c"));
    assertEquals(unknown.code, "timeout");
    assertEquals(membersOn(cluster, "store"), ["a", "b", "c"]);
    group.lead("a");
  },
);

onNodes("transferLeadership() has another member lead", async (cluster) => {
  await cluster.form("store", ["a", "b", "c"]);
  const { raKv } = cluster.node("d");
  assertEquals((await raKv.transferLeadership("store", "c")).leader, "c");
  for (
    const [to, code] of [["c", "already_leader"], ["d", "unknown_member"]]
  ) {
    const error = await failureOf(
      cluster,
      raKv.transferLeadership("store", to!),
    );
    assertEquals(error.code, code);
  }
});

onNodes("forceShrink() makes one member the only one", async (cluster) => {
  const group = await cluster.form("store", ["a", "b", "c"]);
  group.lead(undefined);
  const members = await inTime(
    cluster,
    cluster.node("d").raKv.forceShrink("store", "b"),
  );
  assertEquals(members.leader, "b");
  assertEquals(members.members.map(({ node }) => node), ["b"]);
});

onNodes(
  "addMember() does not touch another cluster of that name that was not deleted",
  async (cluster) => {
    await cluster.form("store", ["a", "b"]);
    const other = cluster.groups.get("store")!;
    cluster.groups.delete("store");
    await cluster.node("c").createMember({
      group: "store",
      groupId: 77,
      uid: 78,
      machine: "ra_kv",
      initial: [{ node: "c", uid: 78, kind: "voter", target: 0 }],
    });
    cluster.groups.set("store", other);
    const { raKv } = cluster.node("a");
    const refused = await failureOf(cluster, raKv.addMember("store", "c"));
    assertEquals(refused.code, "already_exists");
    assertEquals(cluster.node("c").member("store")!.groupId, 77);
    const deleted = await inTime(
      cluster,
      raKv.deleteCluster("store", { force: true, node: "c" }),
    );
    assertEquals(deleted.deleted, ["c"]);
    assertEquals(membersOn(cluster, "store"), ["a", "b"]);
    await inTime(cluster, raKv.addMember("store", "c"));
    assertEquals(membersOn(cluster, "store"), ["a", "b", "c"]);
  },
);

onNodes(
  "addMember() replaces a member that cannot start, and removeMember() removes it",
  async (cluster) => {
    const group = await cluster.form("store", ["a", "b", "c"]);
    const rest = async (): Promise<void> => {
      const { uid, groupId } = cluster.node("c").member("store")!;
      await cluster.node("c").stopMember("store");
      group.members.delete("c");
      cluster.node("c").resting.set("store", {
        uid,
        groupId,
        machine: "ra_kv",
        reason: "its log is damaged",
      });
    };
    const { raKv } = cluster.node("a");
    await rest();
    const failing = await failureOf(
      cluster,
      raKv.memberOverview("store", "c"),
    );
    assert(failing.message.includes("its log is damaged"));
    // Nobody is sent to it.
    await cluster.node("d").raKv.put("store", "k", 1);
    const { members } = await inTime(cluster, raKv.addMember("store", "c"));
    assertEquals(
      members.find(({ node }) => node === "c")!.uid,
      cluster.node("c").member("store")!.uid,
    );
    await rest();
    const removed = await inTime(cluster, raKv.removeMember("store", "c"));
    assertEquals([removed.dropped, cluster.node("c").resting.size], [true, 0]);
  },
);

onNodes(
  "addMember() undoes itself even if the member is created only afterwards",
  async (cluster) => {
    const group = await cluster.form("store", ["a", "b", "c"]);
    const { raKv } = cluster.node("a");
    const made = Promise.withResolvers<void>();
    let late: Promise<unknown> | undefined;
    const { methods } = cluster.node("d");
    const perform = methods.perform.bind(methods);
    methods.perform = (method, args) => {
      if (method !== "ra_kv_create_member") return perform(method, args);
      methods.perform = perform;
      late = made.promise.then(() => perform(method, args));
      late.catch(() => {});
      return Promise.reject(new WhorlError("timeout", "no answer"));
    };
    const error = await failureOf(cluster, raKv.addMember("store", "d"));
    assertEquals(error.code, "timeout");
    made.resolve();
    const outcome = await late!.then(() => "made", ({ code }) => code);
    assertEquals([outcome, cluster.node("d").groups.size], ["cancelled", 0]);
    assertEquals(group.membership.members.length, 3);
    // A late removal of that attempt does not affect the next one.
    const { members } = await inTime(cluster, raKv.addMember("store", "d"));
    assertEquals(members.length, 4);
  },
);

onNodes(
  "addMember() and removeMember() wait until a majority has agreed",
  async (cluster) => {
    const group = await cluster.form("store", ["a", "b", "c"]);
    const { raKv } = cluster.node("a");
    const changes = [
      () => raKv.addMember("store", "d"),
      () => raKv.removeMember("store", "d"),
    ];
    for (const change of changes) {
      group.agreed = 0;
      let done = false;
      const changing = change().then(() => done = true);
      await cluster.runtime.advance(2_000);
      assertEquals([done, cluster.node("d").groups.size], [false, 1]);
      group.agreed = undefined;
      await inTime(cluster, changing);
    }
    assertEquals(membersOn(cluster, "store"), ["a", "b", "c"]);
  },
);

onNodes(
  "addMember() succeeds even if the answer to the change was lost",
  async (cluster) => {
    const group = await cluster.form("store", ["a", "b", "c"]);
    cluster.onCall = (node, method) => {
      if (node !== "a" || method !== "ra_kv_change_members") return;
      cluster.onCall = () => {};
      cluster.runtime.setTimer(500, () => {
        const { uid } = cluster.node("d").member("store")!;
        cluster.node("a").member("store")!.changeMembership(
          { type: "add", node: "d", uid, kind: "promotable" },
          { done: () => {}, failed: () => {} },
        );
      });
      throw new WhorlError("connection_closed", "lost");
    };
    const { members } = await inTime(
      cluster,
      cluster.node("b").raKv.addMember("store", "d"),
    );
    assertEquals(members.length, 4);
    assertEquals(group.entries.length, 1);
  },
);
