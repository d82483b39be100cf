import { assert, assertEquals, assertMatch } from "@std/assert";
import { FakeCluster } from "../../src/ra_kv/testing/fake_cluster.ts";
import { capturedOutput } from "../output.ts";
import { type FakeSession, fakeSession } from "../testing/fake_session.ts";
import { type FakeWorldOptions, type Ran, run } from "../testing/fake_world.ts";
import type { StopSignal } from "../world.ts";

/** The command line of node a in a cluster `store` of a, b and c; d has no member. */
interface Bench {
  readonly cluster: FakeCluster;
  readonly session: FakeSession;
  /** Runs `whorl ra_kv …`. */
  raKv(line: string, options?: FakeWorldOptions): Promise<Ran>;
  /** The same, and the document that it prints. */
  json(line: string): Promise<Record<string, unknown>>;
}

function withCluster(name: string, test: (bench: Bench) => Promise<void>) {
  Deno.test(name, async () => {
    const cluster = new FakeCluster(["a", "b", "c", "d"]);
    await cluster.form("store", ["a", "b", "c"]);
    const session = { ...fakeSession("a"), raKv: cluster.node("a").raKv };
    const raKv = (line: string, options: FakeWorldOptions = {}) =>
      run(`ra_kv ${line}`, { session, ...options });
    try {
      await test({
        cluster,
        session,
        raKv,
        json: async (line) => JSON.parse((await raKv(`${line} --json`)).out),
      });
    } finally {
      cluster.close();
    }
  });
}

const OK = { code: 0, remarks: "" };

function brief({ code, out, remarks }: Ran) {
  return { code, out, remarks };
}

withCluster(
  "ra_kv put, get and delete keep JSON, text and bytes",
  async ({ raKv, json }) => {
    assertEquals(brief(await raKv('put store k {"a":[1]}')), {
      ...OK,
      out: "ok, index 1\n",
    });
    assertEquals(brief(await raKv("get store k")), {
      ...OK,
      out: '{"a":[1]}\n',
    });
    await raKv("put store k words --text");
    assertEquals((await raKv("get store k")).out, '"words"\n');
    await raKv("put store k -", { input: "[2]" });
    assertEquals(await json("get store k"), {
      cluster: "store",
      key: "k",
      index: 3,
      term: 2,
      members: ["a", "b", "c"],
      found: true,
      value: [2],
      expiresAtMs: null,
      leader: "a",
    });
    assertEquals((await raKv("get store k --local")).out, "[2]\n");
    assertEquals((await raKv("get store k --stale")).out, "[2]\n");
    assertEquals(brief(await raKv("delete store k")), {
      ...OK,
      out: "ok, index 4\n",
    });
    const gone = { code: 1, out: "", remarks: "Not found: store/k\n" };
    assertEquals(brief(await raKv("get store k")), gone);
    assertEquals(brief(await raKv("delete store k")), gone);
    const error = (await json("delete store k"))["error"] as {
      code: string;
      details: { leader: string };
    };
    assertEquals([error.code, error.details.leader], ["not_found", "a"]);
    assertEquals((await json("get store k"))["found"], false);
  },
);

withCluster(
  "ra_kv put takes conditions and times to live, cas an index",
  async ({ raKv, json }) => {
    assertEquals((await raKv("put store k 1 --if-index 0 --ttl 1.5s")).code, 0);
    assertEquals((await json("get store k"))["expiresAtMs"], 2_500);
    const again = await raKv("put store k 2 --if-index 0");
    assertEquals([again.code, again.out], [1, ""]);
    assertMatch(again.remarks, /its index is 1 \(index_mismatch\)/);
    assertEquals((await raKv("cas store k 1 2")).out, "ok, index 3\n");
    assertEquals((await raKv("cas store k 1 2")).code, 1);
    assertEquals((await raKv("delete store k --if-index 1")).code, 1);
    assertEquals((await raKv("delete store k --if-index 3")).code, 0);
  },
);

withCluster(
  "ra_kv entry shows what an entry was to change",
  async ({ raKv, json, cluster }) => {
    await cluster.node("a").raKv.batch("store", [
      { type: "put", key: "k", value: { n: 1 } },
      { type: "put", key: "l", value: Uint8Array.of(1, 2) },
      { type: "delete", key: "m" },
    ]);
    assertEquals(brief(await raKv("entry store 1")), {
      ...OK,
      out: "1 in term 2 at 1970-01-01T00:00:01.000Z: change\n" +
        'put k {"n":1}\nput l (2 bytes)\ndelete m\n',
    });
    assertEquals(brief(await raKv("entry store 7")), {
      code: 1,
      out: "",
      remarks: "Not found: entry 7 of store\n",
    });
    assertEquals((await json("entry store 7"))["entry"], null);
  },
);

withCluster(
  "ra_kv watch prints what happens until it has seen enough",
  async ({ raKv, cluster }) => {
    const { raKv: client } = cluster.node("a");
    await client.put("store", "user/1", { n: 1 });
    await client.put("store", "other", 1);
    await client.put("store", "user/2", "x".repeat(300));
    await client.delete("store", "user/1");
    const watch = "watch store --prefix user/ --after 0 --count 3";
    const shown = await raKv(watch);
    assertEquals(shown.code, 0);
    const lines = shown.out.trimEnd().split("\n");
    assertEquals(lines[0], '1 put user/1 {"n":1}');
    assert(lines[1]!.startsWith('3 put user/2 "xxx') && lines[1]!.length < 250);
    assertEquals(lines[2], "4 delete user/1");
    const keys = await raKv(
      "watch store other --after 0 --count 1 --keys-only",
    );
    assertEquals(keys.out, "2 put other\n");
    const json = await raKv(`${watch} --json`);
    assertEquals(JSON.parse(json.out.split("\n")[2]!), {
      type: "delete",
      key: "user/1",
      index: 4,
    });
  },
);

withCluster("ra_kv watch ends in order with Ctrl-C", async ({ raKv }) => {
  let stop: ((signal: StopSignal) => void) | undefined;
  const listening = Promise.withResolvers<void>();
  const ran = raKv("watch store k", {
    onStopSignal: (handler) => {
      stop = handler;
      listening.resolve();
      return { [Symbol.dispose]: () => void (stop = undefined) };
    },
  });
  await listening.promise;
  stop!("SIGINT");
  assertEquals(brief(await ran), { ...OK, out: "" });
  assertEquals(stop, undefined);
});

withCluster(
  "ra_kv clusters come and go by the command line",
  async ({ raKv, json, cluster, session }) => {
    assertEquals(brief(await raKv("start-cluster other b,c,d")), {
      ...OK,
      out: "Started other on b, c, d; b leads\n",
    });
    assertEquals(
      (await raKv("clusters")).out,
      "other\tb\tb c d\nstore\ta\ta b c\n",
    );
    assertEquals((await json("clusters"))["failures"], []);
    // Without nodes on all members of the ring.
    session.answers.member_status = {
      ringSize: 64,
      members: ["a", "d"].map((node) => ({
        node,
        status: "valid" as const,
        partitions: 32,
        nextPartitions: null,
      })),
    };
    assertEquals((await json("start-cluster third"))["started"], ["a", "d"]);
    const again = await raKv("start-cluster third");
    assertEquals(again.code, 1);
    assertMatch(again.remarks, /already_exists/);

    const careless = await raKv("delete-cluster other");
    assertEquals([careless.code, careless.out], [2, ""]);
    assertMatch(careless.remarks, /add --yes/);
    assertEquals(
      (await raKv("delete-cluster other --yes")).out,
      "Deleted other on b, c, d\n",
    );
    assertEquals((await raKv("delete-cluster third --yes --node b")).code, 2);
    assertEquals(
      (await raKv("delete-cluster third --yes --force")).out,
      "Deleted third on a, d\n",
    );
    await raKv("delete-cluster store --yes");
    assertEquals(brief(await raKv("clusters")), {
      code: 0,
      out: "",
      remarks: "There are no clusters\n",
    });
    assertEquals(cluster.groups.size, 0);
  },
);

withCluster(
  "ra_kv members are added, removed and listed",
  async ({ raKv, json }) => {
    assertEquals(
      (await raKv("members store")).out,
      "a\tleader\tvoter\nb\tfollower\tvoter\nc\tfollower\tvoter\n",
    );
    const added = await raKv("add-member store d");
    assertMatch(added.out, /d\tfollower\tpromotable\n$/);
    const twice = await raKv("add-member store d");
    assertEquals(twice.code, 1);
    assertMatch(twice.remarks, /already_member/);
    assertEquals(brief(await raKv("remove-member store d")), {
      ...OK,
      out: "Removed d from store\n",
    });
    const { members } = await json("add-member store d --non-voter") as {
      members: { node: string; kind: string }[];
    };
    assertEquals(members.at(-1)!.kind, "non_voter");
    assertEquals(await json("remove-member store d"), {
      cluster: "store",
      node: "d",
      dropped: true,
    });
  },
);

withCluster(
  "ra_kv overview says how members are doing, and who does not answer",
  async ({ raKv, cluster }) => {
    await raKv("put store k 1");
    assertEquals(
      (await raKv("overview store")).out.split("\n")[0],
      "a\tleader\t2\t1\t1\t0\t1\t0\t0",
    );
    const output = capturedOutput({ isTerminal: true });
    await raKv("overview store", { output });
    assertMatch(output.written, /^member +role +term +agreed +applied/);
    cluster.cut.add("c");
    const ran = await raKv("overview store");
    assertEquals(ran.out.split("\n").length, 3);
    assertMatch(ran.remarks, /^c did not answer: .*not_reachable/);
  },
);

withCluster(
  "ra_kv snapshot and compact are for one member or all",
  async ({ raKv, json, cluster }) => {
    assertEquals((await raKv("snapshot store")).out, "a\t0\nb\t0\nc\t0\n");
    assertEquals((await raKv("compact store --on b")).out, "b\t0\n");
    cluster.cut.add("c");
    const ran = await raKv("snapshot store");
    assertEquals([ran.code, ran.out], [1, "a\t0\nb\t0\n"]);
    assertMatch(ran.remarks, /^c did not answer/);
    const { failures } = await json("compact store") as {
      failures: { node: string }[];
    };
    assertEquals(failures.map(({ node }) => node), ["c"]);
  },
);

withCluster(
  "ra_kv live-indexes lists where values are",
  async ({ raKv, json }) => {
    for (const key of ["k", "l", "k"]) await raKv(`put store ${key} 1`);
    assertEquals((await raKv("live-indexes store")).out, "2\n3\n");
    assertEquals((await json("live-indexes store --on c"))["indexes"], [2, 3]);
  },
);

withCluster(
  "ra_kv transfer-leadership and force-shrink decide who leads",
  async ({ raKv, json, cluster }) => {
    const moved = await raKv("transfer-leadership store b");
    assertMatch(moved.out, /b\tleader/);
    assertMatch(
      (await raKv("transfer-leadership store b")).remarks,
      /already_leader/,
    );
    cluster.groups.get("store")!.lead(undefined);
    assertEquals((await raKv("force-shrink store c")).code, 2);
    assertEquals((await json("force-shrink store c --yes"))["leader"], "c");
    assertEquals((await raKv("members store")).out, "c\tleader\tvoter\n");
  },
);

withCluster(
  "ra_kv commands refuse what makes no sense before they talk to a node",
  async ({ raKv }) => {
    for (
      const [line, says] of [
        ["put store k", /VALUE is missing/],
        ["put store k {", /VALUE is not JSON/],
        ["put store k 1 --ttl soon", /--ttl must be a time/],
        ["put store k 1 --if-index x", /--if-index must be a whole number/],
        ["cas store k x 1", /INDEX must be a whole number/],
        ["entry store x", /INDEX must be a whole number/],
        ["watch store", /either KEY or --prefix/],
        ["watch store k --prefix p", /either KEY or --prefix/],
        ["watch store k --count 0", /--count must be/],
        ["get store", /KEY is missing/],
        ["members", /CLUSTER is missing/],
      ] as const
    ) {
      const ran = await raKv(line);
      assertEquals([ran.code, ran.out, ran.opened.length], [2, "", 0], line);
      assertMatch(ran.remarks, says);
    }
  },
);
