import { assert, assertEquals, assertMatch } from "@std/assert";
import { type ErrorCode, WhorlError } from "../../src/base/errors.ts";
import type { CapabilityStatus } from "../../src/cluster/capability.ts";
import type { MemberRow, StagedPlan } from "../../src/ring/staged_plan.ts";
import { capturedOutput } from "../output.ts";
import { fakeSession } from "../testing/fake_session.ts";
import { run } from "../testing/fake_world.ts";

interface Golden {
  prettyPrint: {
    nodes: number;
    ringSize: number;
    owners: number[];
    text: string;
  }[];
  memberStatus: { name: string; text: string }[];
}

const golden: Golden = JSON.parse(
  await Deno.readTextFile(
    new URL("../../tests/golden/display.json", import.meta.url),
  ),
);
const goldenPlan = await Deno.readTextFile(
  new URL("../../tests/golden/display_plan.txt", import.meta.url),
);

/** The part of the recorded session under a heading. */
function recorded(heading: string): string {
  const section = goldenPlan.split("##### ")
    .find((part) => part.startsWith(`${heading}\n`));
  if (section === undefined) throw new Error(`not recorded: ${heading}`);
  return section.slice(heading.length + 1);
}

const member = (
  node: string,
  partitions: number,
  nextPartitions: number | null = null,
  status: MemberRow["status"] = "valid",
): MemberRow => ({
  node: `${node}@127.0.0.1`,
  status,
  partitions,
  nextPartitions,
});

Deno.test("ping says pong", async () => {
  assertEquals(await run("ping", { session: fakeSession() }), {
    code: 0,
    out: "pong\n",
    remarks: "",
    opened: [{
      target: { dataDirectory: "data/whorl" },
      options: { cookie: undefined, timeoutMs: 10_000 },
    }],
  });
  const json = await run("ping --json", { session: fakeSession() });
  assertEquals(JSON.parse(json.out).node, "dev1@127.0.0.1");
});

Deno.test("ring-status draws the ring as riak_core does, byte for byte", async () => {
  for (const { nodes, ringSize, owners, text } of golden.prettyPrint) {
    const session = fakeSession();
    assert(!(session.answers.ring_status instanceof Error));
    session.answers.ring_status = {
      ...session.answers.ring_status,
      ringSize,
      owners,
      nodes: Array.from({ length: nodes }, (_, i) => `dev${i + 1}@127.0.0.1`),
    };
    const only = await run("ring-status --only ring", { session });
    assertEquals(only.out, text);
    const both = await run("ring-status", { session });
    assert(both.out.startsWith(`${text}\n`));
    assertMatch(both.out, /Claimant: {2}'dev1@127.0.0.1'/);
    assertMatch(both.out, /All nodes are up and reachable/);
  }
});

Deno.test("member-status prints riak_core's table, byte for byte", async () => {
  const cases: Record<string, MemberRow[]> = {
    "1 node": [member("dev1", 64)],
    "3 valid + 1 joining": [
      member("dev1", 21),
      member("dev2", 22),
      member("dev3", 21),
      member("dev4", 0, null, "joining"),
    ],
    "4 valid with pending transfers to the new node": [
      member("dev1", 21, 16),
      member("dev2", 22, 16),
      member("dev3", 21, 16),
      member("dev4", 0, 16),
    ],
  };
  for (const [name, members] of Object.entries(cases)) {
    const session = fakeSession();
    session.answers.member_status = { ringSize: 64, members };
    const { out } = await run("member-status", { session });
    assertEquals(
      out,
      golden.memberStatus.find((one) => one.name === name)?.text,
    );
    const json = await run("member-status --json", { session });
    assertEquals(JSON.parse(json.out), { ringSize: 64, members });
  }
});

Deno.test("cluster status prints riak_core's table, byte for byte", async () => {
  const session = fakeSession();
  session.answers.cluster_status = {
    claimant: "rc6@127.0.0.1",
    ringReady: false,
    ringSize: 64,
    unreachable: [],
    members: [
      member("rc6", 64, 22),
      member("rc7", 0, 21),
      member("rc8", 0, 21),
    ],
  };
  const { out } = await run("cluster status", { session });
  assertEquals(`${out}\n`, recorded("cluster status (pending)"));
});

Deno.test("cluster plan prints riak_core's plan, byte for byte", async () => {
  const session = fakeSession();
  const [rc6, rc7, rc8] = ["rc6", "rc7", "rc8"].map((name) =>
    `${name}@127.0.0.1`
  );
  const plan: StagedPlan = {
    planId: "0123456789abcdef",
    changes: [
      { action: "join", node: rc7! },
      { action: "join", node: rc8! },
    ],
    transitions: [{
      ringSize: 64,
      members: [
        member("rc6", 64, 22),
        member("rc7", 0, 21),
        member("rc8", 0, 21),
      ],
      transfers: [
        { from: rc6!, to: rc8!, partitions: 21 },
        { from: rc6!, to: rc7!, partitions: 21 },
      ],
      reassigned: [],
      replicasDistinct: false,
    }],
  };
  session.answers.cluster_plan = plan;
  const { out } = await run("cluster plan", { session });
  assertEquals(
    `${out}\n`,
    recorded("cluster plan (join rc7, rc8 staged on 1-node rc6)"),
  );
  const json = await run("cluster plan --json", { session });
  assertEquals(JSON.parse(json.out), plan);
});

Deno.test("cluster plan without staged changes says so", async () => {
  const { out } = await run("cluster plan", { session: fakeSession() });
  assertEquals(out, "There are no staged changes\n");
});

Deno.test("cluster plan points to ring-status while the ring is not ready", async () => {
  const session = fakeSession();
  session.answers.cluster_plan = new WhorlError(
    "ring_not_ready",
    "Cannot plan",
  );
  const { code, remarks } = await run("cluster plan", { session });
  assertEquals(code, 1);
  assertEquals(
    remarks,
    recorded("cluster plan (leave rc8)").trimEnd()
      .replace("riak-admin ring_status", "whorl ring-status") + "\n",
  );
});

Deno.test("cluster join passes name and address on and says what was staged", async () => {
  const session = fakeSession();
  const ran = await run("cluster join dev9@127.0.0.1:10109", { session });
  assertEquals(
    ran.out,
    "Success: staged join request for 'dev1@127.0.0.1' to 'dev9@127.0.0.1'\n",
  );
  await run("cluster join dev9@127.0.0.1", { session });
  assertEquals(session.asked.map(({ args }) => args), [
    { node: "dev9@127.0.0.1", address: "127.0.0.1:10109" },
    { node: "dev9@127.0.0.1" },
  ]);
});

Deno.test("cluster join reports failures in riak_core's words", async () => {
  const cases: [ErrorCode, string][] = [
    ["not_reachable", "Node dev9@127.0.0.1 is not reachable!"],
    ["self_join", "Failed: This node cannot join itself in a cluster"],
    [
      "not_single_node",
      "Failed: This node is already a member of a cluster",
    ],
    [
      "different_ring_sizes",
      "Failed: dev9@127.0.0.1 has a different ring_creation_size",
    ],
    [
      "unable_to_get_join_ring",
      "Failed: Unable to get ring from dev9@127.0.0.1",
    ],
  ];
  for (const [code, line] of cases) {
    const session = fakeSession();
    session.answers.cluster_join = new WhorlError(code, "Cannot join: because");
    const ran = await run("cluster join dev9@127.0.0.1:1", { session });
    assertEquals([ran.code, ran.out], [1, ""]);
    assertEquals(ran.remarks, `${line}\nCannot join: because\n`);
    const json = await run("cluster join dev9@127.0.0.1:1 --json", { session });
    assertEquals(JSON.parse(json.out).error.code, code);
  }
});

Deno.test("cluster commit and clear say what they did or why they did not", async () => {
  const session = fakeSession();
  assertEquals(
    (await run("cluster commit", { session })).out,
    recorded("cluster commit").trimEnd() + "\n",
  );
  assertMatch((await run("cluster clear", { session })).out, /^Cleared/);
  const cases: [ErrorCode, RegExp][] = [
    ["nothing_planned", /verify the plan with 'whorl cluster plan'/],
    ["ring_not_ready", /Check 'Ring Ready' in 'whorl ring-status'/],
    ["plan_changed", /The plan has changed/],
    ["not_reachable", /whorl: Cannot commit \(not_reachable\)/],
  ];
  for (const [code, expected] of cases) {
    session.answers.cluster_commit = new WhorlError(code, "Cannot commit");
    const ran = await run("cluster commit", { session });
    assertEquals(ran.code, 1);
    assertMatch(ran.remarks, expected);
  }
});

Deno.test("cluster commit --plan names the plan, and cluster plan says how", async () => {
  const session = fakeSession();
  await run("cluster commit --plan 0123456789abcdef", { session });
  assertEquals(session.asked.at(-1), {
    method: "cluster_commit",
    args: { planId: "0123456789abcdef" },
  });
  const json = await run("cluster commit --json", { session });
  assertEquals(JSON.parse(json.out), { committed: true, planId: "0" });
  session.answers.cluster_plan = {
    planId: "89ab",
    changes: [{ action: "leave", node: "dev2@127.0.0.1" }],
    transitions: [],
  };
  const cookie = await Deno.makeTempFile();
  await Deno.writeTextFile(cookie, "secret\n");
  for (
    const flags of [
      "",
      " --data data/dev1",
      ` --node dev1@127.0.0.1:10101 --cookie-file ${cookie}`,
    ]
  ) {
    assertEquals(
      (await run(`cluster plan${flags}`, { session })).remarks,
      `Carry it out with: whorl cluster commit --plan 89ab${flags}\n`,
    );
  }
  assertEquals(
    (await run(["cluster", "plan", "--data", "Ann's data"], { session }))
      .remarks,
    "Carry it out with: whorl cluster commit --plan 89ab --data 'Ann'\\''s data'\n",
  );
  await Deno.remove(cookie);
});

Deno.test("cluster join --now joins without a commit", async () => {
  const session = fakeSession();
  const ran = await run("cluster join dev9@127.0.0.1 --now", { session });
  assertEquals(ran.out, "Sent join request to dev9@127.0.0.1\n");
  assertEquals(session.asked.at(-1)?.args, {
    node: "dev9@127.0.0.1",
    staged: false,
  });
});

Deno.test("cluster leave, force-remove, replace and force-replace say what was staged and why not", async () => {
  const session = fakeSession();
  const said = async (line: string) => (await run(line, { session })).out;
  const [dev1, dev9] = ["dev1@127.0.0.1", "dev9@127.0.0.1"];
  assertEquals(
    await said("cluster leave"),
    `Success: staged leave request for '${dev1}'\n`,
  );
  await said(`cluster leave ${dev1}`);
  assertEquals(
    await said(`cluster force-remove ${dev9}`),
    `Success: staged remove request for '${dev9}'\n`,
  );
  assertEquals(
    await said(`cluster replace ${dev1} ${dev9}`),
    `Success: staged replacement of '${dev1}' with '${dev9}'\n`,
  );
  await said(`cluster force-replace ${dev1} ${dev9}`);
  assertEquals(session.asked, [
    { method: "cluster_leave", args: {} },
    { method: "cluster_leave", args: { node: dev1 } },
    { method: "cluster_force_remove", args: { node: dev9 } },
    { method: "cluster_replace", args: { node: dev1, replacement: dev9 } },
    {
      method: "cluster_force_replace",
      args: { node: dev1, replacement: dev9 },
    },
  ]);
  session.answers.cluster_leave = { node: dev1, staged: false };
  assertEquals(
    await said("cluster leave"),
    `Success: '${dev1}' does not join any more\n`,
  );
  assertEquals(JSON.parse(await said("cluster leave --json")), {
    node: dev1,
    staged: false,
  });
  session.answers.cluster_force_remove = new WhorlError("is_claimant", "No");
  const refused = await run(`cluster force-remove ${dev1}`, { session });
  assertEquals([refused.code, refused.out], [1, ""]);
  assertMatch(refused.remarks, /is the claimant \(see whorl ring-status\)/);
  assertMatch(refused.remarks, /You can use 'whorl down' to/);
  session.answers.cluster_leave = new WhorlError("timeout", "Cannot leave");
  const late = await run("cluster leave", { session });
  assertEquals([late.code, late.remarks], [
    1,
    "whorl: Cannot leave (timeout)\n",
  ]);
});

Deno.test("cluster resize-ring says what was staged and why not", async () => {
  const session = fakeSession();
  const said = async (line: string) => (await run(line, { session })).out;
  assertEquals(
    await said("cluster resize-ring 128"),
    "Success: staged resize ring request with new size: 128\n",
  );
  assertEquals(
    await said("cluster resize-ring abort"),
    "Success: staged abort resize ring request\n",
  );
  assertEquals(session.asked, [
    { method: "cluster_resize_ring", args: { ringSize: 128 } },
    { method: "cluster_abort_resize", args: {} },
  ]);
  assertEquals(JSON.parse(await said("cluster resize-ring 128 --json")), {
    ringSize: 64,
    stagedSize: 128,
  });
  session.answers.cluster_resize_ring = new WhorlError("same_size", "No");
  const refused = await run("cluster resize-ring 64", { session });
  assertEquals([refused.code, refused.out, refused.remarks], [
    1,
    "",
    "Failed: requested ring size is the same as the current ring size\n",
  ]);
  session.answers.cluster_abort_resize = new WhorlError("not_resizing", "No");
  const idle = await run("cluster resize-ring abort", { session });
  assertMatch(idle.remarks, /^Failed: ring is not resizing/);
  session.answers.cluster_resize_ring = new WhorlError(
    "pending_changes",
    "Cannot resize the ring to 32 partitions as 3 partitions are changing hands",
  );
  const pending = await run("cluster resize-ring 32", { session });
  assertMatch(pending.remarks, /3 partitions are changing hands/);
  const wrong = await run("cluster resize-ring many", { session });
  assertEquals(wrong.code, 2);
});

Deno.test("cluster plan and ring-status show a resize", async () => {
  const session = fakeSession();
  session.answers.cluster_plan = {
    planId: "ff",
    changes: [{ action: "resize-ring", ringSizes: [64, 128] }],
    transitions: [{
      ringSize: 64,
      nextRingSize: 128,
      members: [{
        node: "dev1@127.0.0.1",
        status: "valid",
        partitions: 32,
        nextPartitions: 64,
      }],
      transfers: [{ from: "dev1", to: "dev2", partitions: 3 }],
      reassigned: [],
      replicasDistinct: true,
    }],
  };
  const plan = await run("cluster plan", { session });
  assertMatch(plan.out, /resize-ring {4}64 to 128 partitions/);
  assertMatch(plan.out, /50\.0% {5}50\.0%/);
  assertMatch(plan.out, /Ring is resizing\. see whorl ring-status/);
  const ring = session.answers.ring_status;
  session.answers.ring_status = {
    ...ring as Exclude<typeof ring, WhorlError>,
    resize: {
      ringSize: 128,
      phase: "binding",
      complete: 60,
      waitingOn: ["dev2@127.0.0.1"],
    },
  };
  const status = await run("ring-status", { session });
  assertMatch(status.out, /Ring is resizing from 64 to 128 partitions\./);
  assertMatch(status.out, /Phase: {6}writes wait for the new partitions/);
  assertMatch(status.out, /Complete: {3}60 of 64/);
  assertMatch(status.out, /Waiting on: .*dev2@127.0.0.1/);
});

Deno.test("down says that a member was marked, or why it was not", async () => {
  const session = fakeSession();
  const ran = await run("down dev9@127.0.0.1", { session });
  assertEquals(ran.out, "Success: 'dev9@127.0.0.1' marked as down\n");
  session.answers.down = new WhorlError("is_up", "Cannot");
  const refused = await run("down dev9@127.0.0.1", { session });
  assertEquals([refused.code, refused.remarks], [
    1,
    "Failed: dev9@127.0.0.1 is up\n",
  ]);
  const json = await run("down dev9@127.0.0.1 --json", { session });
  assertEquals(JSON.parse(json.out).error.code, "is_up");
});

Deno.test("bucket consistent and bucket list show which buckets are consistent, and whether they can be used", async () => {
  const session = fakeSession();
  const marked = await run("bucket consistent accounts", { session });
  assertEquals(marked.out, "Success: bucket 'accounts' is consistent\n");
  assertEquals((await run("bucket list", { session })).out, "accounts\n");
  session.answers.bucket_list = { buckets: ["accounts"], formed: false };
  const forming = await run("bucket list", { session });
  assertEquals(
    [forming.out, forming.remarks],
    ["accounts\n", "Their Raft groups are not all there yet\n"],
  );
  session.answers.bucket_list = { buckets: [], formed: false };
  const none = await run("bucket list", { session });
  assertEquals([none.code, none.out, none.remarks], [
    0,
    "",
    "No bucket is consistent\n",
  ]);
  const json = await run("bucket list --json", { session });
  assertEquals(JSON.parse(json.out).buckets, []);
});

Deno.test("ringready answers TRUE with code 0 and FALSE with code 1", async () => {
  const session = fakeSession();
  assertEquals(
    await run("ringready", { session }).then((r) => [r.code, r.out]),
    [
      0,
      "TRUE All nodes agree on the ring ['dev1@127.0.0.1']\n",
    ],
  );
  session.answers.ringready = { type: "nodes_down", nodes: ["dev2@h"] };
  const down = await run("ringready", { session });
  assertEquals(down.code, 1);
  assertMatch(down.out, /^FALSE \[dev2@h\] down/);
});

Deno.test("capabilities shows the mode, the reason, and which members lack the best one", async () => {
  const session = fakeSession();
  assertEquals(
    (await run("capabilities", { session })).out,
    "handoff\tnone\tcommon to all\tv1, none\tdev2@127.0.0.1\n",
  );
  const [handoff] = session.answers.capabilities as CapabilityStatus[];
  session.answers.capabilities = [{
    ...handoff as CapabilityStatus,
    override: { prefer: "v1" },
  }];
  assertEquals(
    (await run("capabilities", { session })).out,
    "handoff\tnone\tcommon to all, not v1 yet\tv1, none\tdev2@127.0.0.1\n",
  );
  const json = await run("capabilities --json", { session });
  assertEquals(JSON.parse(json.out)[0].members[1].modes, null);
});

Deno.test("services and stats are tables for people and tab-separated lines for pipes", async () => {
  const session = fakeSession();
  assertEquals(
    (await run("services", { session })).out,
    "dev1@127.0.0.1\tkv\n",
  );
  assertEquals(
    (await run("stats", { session })).out,
    "memory.rssBytes\t1.50\nput.count\t7\n",
  );
  assertEquals((await run("stats put", { session })).out, "put.count\t7\n");
  const none = await run("stats nosuch", { session });
  assertEquals(
    [none.code, none.out, none.remarks],
    [1, "", 'No figure begins with "nosuch"\n'],
  );
  const seen = await run("stats", {
    session,
    output: capturedOutput({ isTerminal: true }),
  });
  assertEquals(
    seen.out,
    "Figure           Value\nmemory.rssBytes   1.50\nput.count            7\n",
  );
});

Deno.test("tree draws the supervision tree", async () => {
  const session = fakeSession();
  session.answers.tree = {
    id: "node",
    kind: "supervisor",
    status: "running",
    restarts: 0,
    strategy: "rest_for_one",
    children: [{
      id: "master-0",
      kind: "worker",
      status: "running",
      restarts: 2,
      children: [],
    }],
  };
  const { out } = await run("tree", { session });
  assertMatch(
    out,
    /node {2}\(rest_for_one\)\n└─ master-0 {2}\(worker, 2 restarts\)/,
  );
});

Deno.test("put, get and delete round-trip a value", async () => {
  const session = fakeSession();
  const at = (line: string | string[], input = "") =>
    run(line, { session, input });
  assertEquals((await at(["put", "b", "k", '{"a":[1,"x"]}'])).out, "ok\n");
  assertEquals((await at("get b k")).out, '{"a":[1,"x"]}\n');
  assertEquals((await at(["put", "b", "k", "two words", "--text"])).code, 0);
  assertEquals((await at("get b k")).out, '"two words"\n');
  assertEquals((await at("put b k -", "[null]")).code, 0);
  assertEquals((await at("get b k")).out, "[null]\n");
  assertEquals((await at("delete b k")).out, "ok\n");
  const gone = await at("get b k");
  assertEquals([gone.code, gone.out, gone.remarks], [
    1,
    "",
    "Not found: b/k\n",
  ]);
  assertEquals((await at("delete b k")).code, 1);
});

Deno.test("put replaces the current value, unless it is told to write blindly", async () => {
  const session = fakeSession();
  await run("put b k 1", { session });
  await run("put b k 2", { session });
  assertEquals(session.kv.stored.get("b/k"), [2]);
  await run("put b k 3 --blind", { session });
  const siblings = await run("get b k", { session });
  assertEquals(siblings.out, "2\n3\n");
  assertMatch(siblings.remarks, /2 siblings/);
});

Deno.test("put with the context of a read keeps what was written since", async () => {
  const session = fakeSession();
  await run("put b k 1", { session });
  const { context } = JSON.parse(
    (await run("get b k --json", { session })).out,
  );
  await run("put b k 2", { session });
  await run(["put", "b", "k", "3", "--context", context], { session });
  assertEquals(session.kv.stored.get("b/k"), [2, 3]);
});

Deno.test("put stores a file's bytes, and get returns them unchanged", async () => {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeFile(path, new TextEncoder().encode("raw\nbytes"));
    const session = fakeSession();
    const ran = await run(["put", "b", "k", "--file", path], { session });
    assertEquals(ran.code, 0);
    assertEquals((await run("get b k", { session })).out, "raw\nbytes");
    const json = await run("get b k --json", { session });
    assertEquals(JSON.parse(json.out).values, [{ base64: "cmF3CmJ5dGVz" }]);
  } finally {
    await Deno.remove(path);
  }
  const missing = await run(["put", "b", "k", "--file", path], {
    session: fakeSession(),
  });
  assertEquals(missing.code, 1);
  assertMatch(missing.remarks, /Cannot read .*invalid_argument/);
});

Deno.test("import reports rejects by line and ends with 1, or with 0 if they are allowed", async () => {
  const session = fakeSession();
  const input = '{"id":1}\n{oops\n{"id":2}\n';
  const line = "import - --bucket b --key id --format ndjson";
  const ran = await run(line, { session, input });
  assertEquals(ran.code, 1);
  assertMatch(ran.remarks, /^-:2: not JSON: /);
  assertMatch(
    ran.out,
    /^3 records .* 2 added, 0 updated, 0 unchanged, 1 rejected/,
  );
  const again = await run(`${line} --allow-rejects --json`, { session, input });
  assertEquals(again.code, 0);
  const report = JSON.parse(again.out);
  assertEquals([report.unchanged, report.rejected], [2, 1]);
  assertEquals(report.rejects[0].line, 2);
  assertEquals(report.bytes, input.length);
});

Deno.test("import reads packed files and tells the format by the name", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const path = `${directory}/people.csv.gz`;
    await Deno.writeFile(
      path,
      new Blob(["id,name\r\n1,ann\r\n"]).stream().pipeThrough(
        new CompressionStream("gzip"),
      ) as ReadableStream<Uint8Array>,
    );
    const session = fakeSession();
    const ran = await run(["import", path, "--bucket", "p", "--key", "id"], {
      session,
    });
    assertEquals([ran.code, ran.remarks], [0, ""]);
    assertEquals(session.kv.stored.get("p/1"), [{ id: "1", name: "ann" }]);
    const wrong = await run(["import", directory, "--bucket=b", "--key=k"], {
      session,
    });
    assertEquals(wrong.code, 1);
    assertMatch(wrong.remarks, /it is a directory/);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("import shows progress on a terminal and takes it away again", async () => {
  const session = fakeSession();
  session.kv.before = () => new Promise((done) => setTimeout(done, 60));
  const output = capturedOutput({ isTerminal: true, columns: 60 });
  const input = '{"id":1}\n{"id":2}\n{"id":3}\n{"id":4}\n';
  const ran = await run(
    "import - --bucket b --key id --format ndjson --concurrency 1",
    { session, input, output },
  );
  assertEquals(ran.code, 0);
  const shown = ran.remarks.split("\r").filter((line) => line.includes("/s"));
  assert(shown.length > 0, "there was progress");
  for (const line of shown) assert(line.replace("\x1b[K", "").length < 60);
  assert(ran.remarks.endsWith("\r\x1b[K"));
});

Deno.test("completions print a script for each shell that knows every command", async () => {
  for (const shell of ["bash", "zsh", "fish"]) {
    const { code, out } = await run(`completions ${shell}`);
    assertEquals(code, 0);
    for (const word of ["member-status", "--bucket", "join"]) {
      assert(
        out.includes(shell === "fish" ? word.replace("--", "-l ") : word),
        `${shell} knows ${word}`,
      );
    }
  }
});

Deno.test("the bash completion completes commands, second words, flags and choices", async () => {
  const { out } = await run("completions bash");
  const complete = async (...words: string[]) => {
    const script = `${out}
COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")})
COMP_CWORD=$(( \${#COMP_WORDS[@]} - 1 ))
_whorl
echo "\${COMPREPLY[@]}"`;
    const { stdout, success } = await new Deno.Command("bash", {
      args: ["-c", script],
    }).output();
    assert(success);
    return new TextDecoder().decode(stdout).trim();
  };
  assertEquals(await complete("whorl", "mem"), "member-status");
  assertEquals(await complete("whorl", "cluster", "co"), "commit");
  assertEquals(await complete("whorl", "handoff", "s"), "summary");
  assertEquals(await complete("whorl", "transfers", "--wa"), "--watch");
  assertEquals(await complete("whorl", "import", "--buck"), "--bucket");
  assertEquals(await complete("whorl", "start", "--storage", "m"), "memory");
  assertEquals(await complete("whorl", "cluster", "plan", "--js"), "--json");
});
