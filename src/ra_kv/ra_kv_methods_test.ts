import { assert, assertEquals } from "@std/assert";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import { raKvOutcomeUnknown } from "./ra_kv_client.ts";
import {
  CHANGE_TIMEOUT_MS,
  FORM_TIMEOUT_MS,
  LIVE_INDEXES_PAGE,
} from "./ra_kv_methods.ts";
import { FakeCluster } from "./testing/fake_cluster.ts";

/** Runs `test` on nodes a to d. */
function onNodes(
  name: string,
  test: (cluster: FakeCluster) => Promise<void>,
): void {
  Deno.test(name, async () => {
    const cluster = new FakeCluster(["a", "b", "c", "d"]);
    try {
      await test(cluster);
    } finally {
      cluster.close();
    }
    assertEquals(cluster.runtime.pendingTimers, 0);
  });
}

/** What `promise` comes to while time goes on. */
async function inTime<Result>(
  cluster: FakeCluster,
  promise: Promise<Result>,
  limitMs = 60_000,
): Promise<Result> {
  let settled = false;
  const over = (): void => void (settled = true);
  promise.then(over, over);
  for (let passed = 0; passed < limitMs && !settled; passed += 100) {
    await cluster.runtime.advance(100);
  }
  assert(settled, `There was no answer in ${limitMs} ms`);
  return await promise;
}

async function failureOf(
  cluster: FakeCluster,
  promise: Promise<unknown>,
): Promise<WhorlError> {
  const outcome = await inTime(cluster, promise).then(
    (value) => new Error(`It succeeded: ${Deno.inspect(value)}`),
    (error) => error,
  );
  if (!isWhorlError(outcome)) throw outcome;
  return outcome;
}

function membersOn(cluster: FakeCluster, name: string): string[] {
  return cluster.nodes.filter(({ groups }) => groups.has(name))
    .map(({ node }) => node);
}

onNodes(
  "startCluster() starts a member on each node, asked of any",
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
  "startCluster() is content with a majority and says who is missing",
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
  "startCluster() does not touch a cluster that is there",
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
      // What cannot be said is not sent either.
      cluster.node("a").methods.perform("ra_kv_start_cluster", {
        cluster: name,
        members: ["a"],
      }),
    );
    assertEquals(error.code, "invalid_argument");
  }
});

onNodes(
  "addMember() starts a member, which is one when all have agreed",
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
  "addMember() takes the new member back when it is refused",
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
  "addMember() takes the new member back when the leader falls before they agreed",
  async (cluster) => {
    const group = await cluster.form("store", ["a", "b", "c"]);
    group.frozen = true;
    const adding = failureOf(
      cluster,
      cluster.node("a").raKv.addMember("store", "d"),
    );
    // Who the members are cannot be confirmed either, until there is a leader again.
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
  "addMember() leaves the new member while it is unknown what came of it",
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
  "addMember() gives a member that has lost its data another number",
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
  "removeMember() removes a member and what it stored",
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
  "removeMember() says when the member's data are left behind",
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
  "removeMember() leaves the member as it is when it is refused or unknown",
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

onNodes(
  "members() and overview() tell what the leader knows and each member says",
  async (cluster) => {
    await cluster.form("store", ["a", "b", "c"]);
    const { raKv } = cluster.node("d");
    await raKv.put("store", "k", 1);
    const members = await raKv.members("store");
    assertEquals([members.leader, members.index, members.committed], [
      "a",
      0,
      true,
    ]);
    cluster.cut.add("c");
    const overview = await inTime(cluster, raKv.overview("store"));
    assertEquals(
      overview.overviews.map(({ node, role, machine }) => [
        node,
        role,
        machine["keys"],
      ]),
      [["a", "leader", 1], ["b", "follower", 1]],
    );
    assertEquals(overview.failures.map(({ node }) => node), ["c"]);
    cluster.cut.clear();
    const one = await raKv.memberOverview("store", "c");
    assertEquals([one.leader, one.appliedIndex, one.log.lastIndex], [
      "a",
      1,
      1,
    ]);
    const none = await failureOf(cluster, raKv.memberOverview("store", "d"));
    assertEquals(none.code, "unknown_cluster");
    const nowhere = await failureOf(cluster, raKv.overview("nowhere"));
    assertEquals(nowhere.code, "unknown_cluster");
  },
);

onNodes("members() waits for a leader", async (cluster) => {
  const group = await cluster.form("store", ["a", "b", "c"]);
  group.lead(undefined);
  const asking = cluster.node("d").raKv.members("store");
  await cluster.runtime.advance(200);
  group.lead("c");
  assertEquals((await inTime(cluster, asking)).leader, "c");
  group.lead(undefined);
  const late = await failureOf(
    cluster,
    cluster.node("a").raKv.members("store"),
  );
  assertEquals([late.code, raKvOutcomeUnknown(late)], ["timeout", false]);
});

onNodes(
  "close() fails what waits for a leader, and leaves no timer",
  async (cluster) => {
    const group = await cluster.form("store", ["a", "b", "c"]);
    group.lead(undefined);
    const { raKv, methods } = cluster.node("d");
    const failures = Promise.all([
      failureOf(cluster, raKv.members("store")),
      failureOf(cluster, raKv.addMember("store", "d")),
    ]);
    await cluster.runtime.advance(200);
    assert(cluster.runtime.pendingTimers > 0);
    methods.close();
    assertEquals(cluster.runtime.pendingTimers, 0);
    assertEquals((await failures).map(({ code }) => code), [
      "closed",
      "closed",
    ]);
  },
);

onNodes(
  "takeSnapshot() and compact() are for one member or for all",
  async (cluster) => {
    await cluster.form("store", ["a", "b", "c"]);
    const { raKv } = cluster.node("d");
    const snapshots = (): number[] =>
      ["a", "b", "c"].map((node) =>
        cluster.node(node).member("store")!.snapshots
      );
    assertEquals((await raKv.takeSnapshot("store", { node: "b" })).snapshots, [
      { node: "b", snapshotIndex: 0 },
    ]);
    assertEquals(snapshots(), [0, 1, 0]);
    cluster.cut.add("a");
    const all = await inTime(cluster, raKv.takeSnapshot("store"));
    assertEquals(snapshots(), [0, 2, 1]);
    assertEquals(all.failures.map(({ node }) => node), ["a"]);
    cluster.cut.clear();
    assertEquals((await raKv.compact("store")).snapshots.length, 3);
  },
);

onNodes("liveIndexes() tells all of them, page by page", async (cluster) => {
  await cluster.form("store", ["a", "b"]);
  const { raKv } = cluster.node("d");
  await raKv.put("store", "k", 1);
  await raKv.put("store", "l", 1);
  await raKv.put("store", "k", 1);
  assertEquals(await raKv.liveIndexes("store"), [2, 3]);
  assertEquals(await raKv.liveIndexes("store", { node: "b" }), [2, 3]);
  const { state } = cluster.node("a").member("store")!;
  const bytes = new Uint8Array(4);
  for (let n = 4; n < LIVE_INDEXES_PAGE + 10; n++) {
    new DataView(bytes.buffer).setUint32(0, n);
    state.keys.set(state.keys.findOrAdd(bytes, 0, 4), n, 0, 0, 0);
  }
  const all = await raKv.liveIndexes("store");
  assertEquals(all.length, LIVE_INDEXES_PAGE + 8);
  assertEquals(all.at(-1), LIVE_INDEXES_PAGE + 9);
});

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
  "deleteCluster() removes it from all nodes that can be reached",
  async (cluster) => {
    await cluster.form("store", ["a", "b", "c"]);
    cluster.cut.add("c");
    const { raKv } = cluster.node("d");
    const deleted = await inTime(cluster, raKv.deleteCluster("store"));
    assertEquals(deleted.deleted, ["a", "b"]);
    assertEquals(deleted.notDeleted.map(({ node, code }) => [node, code]), [
      ["c", "not_reachable"],
    ]);
    cluster.cut.clear();
    assertEquals((await raKv.deleteCluster("store")).deleted, ["a", "b", "c"]);
    assertEquals(membersOn(cluster, "store"), []);
    const error = await failureOf(cluster, raKv.deleteCluster("store"));
    assertEquals(error.code, "unknown_cluster");
  },
);

onNodes(
  "clusters() lists them all, with who did not answer",
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

onNodes("a group of another kind is no cluster of ra_kv", async (cluster) => {
  await cluster.form("store", ["a"]);
  const { config } = cluster.node("a").member("store")!.log;
  (config as { machine: string }).machine = "another";
  const { raKv } = cluster.node("a");
  for (
    const call of [
      () => raKv.get("store", "k"),
      () => raKv.overview("store"),
    ]
  ) {
    assertEquals((await failureOf(cluster, call())).code, "invalid_argument");
  }
  assertEquals((await raKv.clusters()).clusters, []);
});

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
  "addMember() succeeds though the answer to the change was lost",
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

onNodes(
  "find() is certain when all nodes have answered, if only that they know no clusters",
  async (cluster) => {
    await cluster.form("store", ["b", "c"]);
    const { methods } = cluster.node("a");
    assertEquals(await methods.find("store"), {
      hint: { leader: "b", members: ["b", "c"] },
      certain: true,
    });
    cluster.onCall = (node) => {
      if (node === "d") throw new WhorlError("unknown_command", "too old");
    };
    assertEquals(await methods.find("other"), {
      hint: undefined,
      certain: true,
    });
    cluster.cut.add("c");
    assertEquals(await methods.find("store"), {
      hint: { leader: "b", members: ["b"] },
      certain: false,
    });
  },
);

onNodes(
  "a cluster is not unknown while its only member has yet to start, or to start again",
  async (cluster) => {
    await cluster.form("store", ["b"]);
    const node = cluster.node("b");
    const member = node.groups.get("store")!;
    for (const isUp of [false, true]) {
      node.groups.clear();
      node.starting = !isUp;
      if (isUp) node.down.add("store");
      assertEquals(await cluster.node("a").methods.find("store"), {
        hint: undefined,
        certain: false,
      });
      const asked = ["a", "b"].map((name) =>
        cluster.node(name).raKv.members("store")
      );
      await cluster.runtime.advance(1_000);
      node.groups.set("store", member);
      node.starting = false;
      node.down.clear();
      for (const answer of asked) {
        assertEquals((await inTime(cluster, answer)).leader, "b");
      }
    }
  },
);

onNodes(
  "a node whose groups have yet to start is no place without clusters, and takes no member",
  async (cluster) => {
    await cluster.form("store", ["b", "c"]);
    cluster.node("b").starting = true;
    cluster.node("b").groups.clear();
    const { clusters, failures } = await cluster.node("a").raKv.clusters();
    assertEquals(clusters.map(({ nodes }) => nodes), [["c"]]);
    const down = [{ node: "b", code: "not_reachable" }];
    assertEquals(failures.map(({ node, code }) => ({ node, code })), down);
    const refused = await failureOf(
      cluster,
      cluster.node("a").raKv.startCluster("other", ["b"]),
    );
    const { notStarted } = refused.details as {
      notStarted: typeof failures;
    };
    assertEquals(notStarted.map(({ node, code }) => ({ node, code })), down);
  },
);
