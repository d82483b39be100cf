import { assert, assertEquals, assertMatch } from "@std/assert";
import { WhorlError } from "../../src/base/errors.ts";
import {
  type FakeHandoff,
  fakeHandoff,
  fakeTransfer,
} from "../../src/node/testing/fake_handoff.ts";
import { capturedOutput } from "../output.ts";
import { type FakeSession, fakeSession } from "../testing/fake_session.ts";
import { run } from "../testing/fake_world.ts";
import { ScreenModel } from "../testing/screen_model.ts";
import type { StopSignal } from "../world.ts";

const DEV1 = "dev1@127.0.0.1";
const DEV2 = "dev2@127.0.0.1";
const DEV3 = "dev3@127.0.0.1";
const UNREACHABLE = new WhorlError("not_reachable", "Cannot ask: no link");

/** dev1 and dev2 answer, dev3 does not. */
function threeMembers(): {
  session: FakeSession;
  dev1: FakeHandoff;
  dev2: FakeHandoff;
} {
  const session = fakeSession(DEV1);
  const [dev1, dev2] = [fakeHandoff(DEV1), fakeHandoff(DEV2)];
  session.members.set(DEV1, dev1);
  session.members.set(DEV2, dev2);
  session.members.set(DEV3, UNREACHABLE);
  return { session, dev1, dev2 };
}

const DEV3_REMARK =
  "'dev3@127.0.0.1' did not answer: Cannot ask: no link (not_reachable)\n";

Deno.test("transfers in a pipe prints one report, and says which members did not answer", async () => {
  const { session, dev1 } = threeMembers();
  const none = await run("transfers", { session });
  assertEquals([none.code, none.out, none.remarks], [
    0,
    "No transfers active\n",
    DEV3_REMARK,
  ]);
  dev1.transfers = [
    fakeTransfer(),
    fakeTransfer({ state: "waiting", sourcePartition: 3 }),
  ];
  const some = await run("transfers", { session });
  assertMatch(
    some.out,
    /^'dev1@127.0.0.1' waiting to handoff 1 partition\n\nActive Transfers:\n/,
  );
  const json = JSON.parse((await run("transfers --json", { session })).out);
  assertEquals(json.waiting, [{ node: DEV1, partitions: 1 }]);
  assertEquals(json.active, [dev1.transfers[0]]);
  assertEquals(json.nodes.length, 2);
  assertEquals(json.unanswered[0].code, "not_reachable");
  // On a terminal one look is enough if it is asked for.
  const once = await run("transfers --once", {
    session,
    output: capturedOutput({ isTerminal: true }),
  });
  assertEquals(once.out, some.out.replace(/\[.* ago\]/, ago(once.out)));
});

function ago(text: string): string {
  return /\[.* ago\]/.exec(text)![0];
}

Deno.test("transfers on a terminal draws in place until all are done", async () => {
  const { session, dev1, dev2 } = threeMembers();
  session.members.delete(DEV3);
  const output = capturedOutput({ isTerminal: true, columns: 80, rows: 10 });
  const screens: string[][] = [];
  const states: (() => void)[] = [
    () => dev1.transfers = [fakeTransfer({ items: 250 })],
    () => {
      dev1.transfers = [fakeTransfer({ items: 750 })];
      dev2.transfers = [
        fakeTransfer({ source: DEV2, sourcePartition: 9, state: "waiting" }),
      ];
    },
    () => {
      dev1.transfers = [];
      dev2.transfers = [];
    },
  ];
  session.before = (method) => {
    if (method !== "ask_members") return;
    screens.push(new ScreenModel(80, 10).feed(output.written));
    states.shift()?.();
  };
  const ran = await run("transfers --interval 1ms", { session, output });
  assertEquals(ran.code, 0);
  assertEquals(screens.length, 3);
  assertEquals(screens[1], [
    "Active Transfers:",
    "ownership kv 42  dev1@127.0.0.1 → dev4@127.0.0.1",
    "  ████░░░░░░░░░░  25%  250/1000 objects · 60.0 kB · 100/s · 7.5s left",
    "",
  ]);
  assertEquals(screens[2], [
    "'dev2@127.0.0.1' waiting to handoff 1 partition",
    "Active Transfers:",
    "ownership kv 42  dev1@127.0.0.1 → dev4@127.0.0.1",
    "  ███████████░░░  75%  750/1000 objects · 60.0 kB · 100/s · 2.5s left",
    "",
  ]);
  const last = new ScreenModel(80, 10).feed(ran.out);
  assertMatch(last.join("\n"), /^All transfers are done, after \d+ms\n$/);
  // And if there is nothing to watch, that is said at once.
  const idle = await run("transfers", {
    session,
    output: capturedOutput({ isTerminal: true }),
  });
  assertEquals(idle.out, "No transfers active\n");
});

/** Ctrl-C, when the test says so. */
function stopper() {
  let handler: ((signal: StopSignal) => void) | undefined;
  return {
    stop: () => handler?.("SIGINT"),
    onStopSignal: (given: (signal: StopSignal) => void) => {
      handler = given;
      return { [Symbol.dispose]: () => void (handler = undefined) };
    },
  };
}

Deno.test("transfers --watch continues until Ctrl-C and leaves the last view", async () => {
  const { session } = threeMembers();
  const { stop, onStopSignal } = stopper();
  let looks = 0;
  session.before = (method) => {
    if (method === "ask_members" && ++looks === 3) stop();
  };
  const output = capturedOutput({ isTerminal: true });
  const ran = await run("transfers --watch --interval 1ms", {
    session,
    output,
    onStopSignal,
  });
  assertEquals([ran.code, looks], [130, 3]);
  assertEquals(new ScreenModel(80, 24).feed(ran.out), [
    DEV3_REMARK.trimEnd(),
    "No transfers active",
    "",
  ]);
  looks = 0;
  const piped = await run("transfers --watch --json --interval 1ms", {
    session,
    onStopSignal,
  });
  assertEquals(piped.code, 130);
  const lines = piped.out.trimEnd().split("\n");
  assertEquals(lines.length, 3);
  for (const line of lines) assertEquals(JSON.parse(line).active, []);
});

Deno.test("transfers fails with the session's error, and clears its lines", async () => {
  const { session, dev1 } = threeMembers();
  dev1.transfers = [fakeTransfer()];
  let looks = 0;
  session.before = (method) => {
    if (method === "ask_members" && ++looks === 2) {
      session.answers.ring_status = new WhorlError(
        "connection_closed",
        "The connection ended",
      );
    }
  };
  const output = capturedOutput({ isTerminal: true });
  const ran = await run("transfers --interval 1ms", { session, output });
  assertEquals(ran.code, 1);
  assertMatch(ran.remarks, /connection_closed/);
  assert(ran.out.endsWith("\x1b[J"));
});

Deno.test("handoff summary counts by node and type, active and waiting", async () => {
  const { session, dev1 } = threeMembers();
  dev1.config = { concurrency: 4, inbound: false, outbound: true };
  dev1.transfers = [
    fakeTransfer(),
    fakeTransfer({ sourcePartition: 1, state: "waiting" }),
    fakeTransfer({ sourcePartition: 2, kind: "hinted", state: "waiting" }),
    fakeTransfer({ sourcePartition: 3, kind: "repair", state: "switching" }),
  ];
  const output = capturedOutput({ isTerminal: true });
  const seen = await run("handoff summary", { session, output });
  assertEquals([seen.code, seen.remarks], [0, DEV3_REMARK]);
  assertEquals(
    seen.out,
    `\
Node            Ownership  Hinted  Repair  Resize  Total  Limit  Enabled
dev1@127.0.0.1      1 (1)   0 (1)   1 (0)   0 (0)  2 (2)      4  outbound
dev2@127.0.0.1      0 (0)   0 (0)   0 (0)   0 (0)  0 (0)      2  both
`,
  );
  const narrow = capturedOutput({ isTerminal: true, columns: 60 });
  await run("handoff summary", { session, output: narrow });
  assertEquals(
    narrow.written.split("\n")[1],
    "dev1@127.0.0.1      1 (1)   0 (1)   1 (0)   0 (0)  2 (2)",
  );
  const piped = await run("handoff summary", { session });
  assertEquals(
    piped.out.split("\n")[0],
    "dev1@127.0.0.1\t1 (1)\t0 (1)\t1 (0)\t0 (0)\t2 (2)\t4\toutbound",
  );
  const json = JSON.parse(
    (await run("handoff summary --json", { session })).out,
  );
  assertEquals(json.nodes[0].byKind.ownership, { active: 1, waiting: 1 });
  assertEquals(json.unanswered[0].node, DEV3);
});

Deno.test("handoff details lists each transfer and what it waits for", async () => {
  const { session, dev1 } = threeMembers();
  const none = await run("handoff details", { session });
  assertEquals([none.code, none.out], [0, ""]);
  assertMatch(none.remarks, /^There are no transfers, and none wait\n/);
  dev1.transfers = [
    fakeTransfer({
      sourcePartition: 1,
      state: "waiting",
      items: 0,
      itemsPerSecond: 0,
      failures: 2,
      reason: "no free slot",
    }),
    fakeTransfer({ targetPartition: 21 }),
  ];
  const { out } = await run("handoff details", { session });
  assertEquals(
    out,
    "ownership\tkv\t42 → 21\tdev1@127.0.0.1\tdev4@127.0.0.1\tsending 50%\t500\t100/s\t\n" +
      "ownership\tkv\t1\tdev1@127.0.0.1\tdev4@127.0.0.1\twaiting\t0\t0/s\tno free slot (failures: 2)\n",
  );
  const json = JSON.parse(
    (await run("handoff details --json", { session })).out,
  );
  assertEquals(json.transfers.length, 2);
});

Deno.test("handoff enable and disable apply to one member or all, and fail if one cannot be reached", async () => {
  const { session, dev1, dev2 } = threeMembers();
  const own = await run("handoff disable inbound", { session });
  assertEquals([own.code, own.out], [
    0,
    "dev1@127.0.0.1\t2\tdisabled\tenabled\n",
  ]);
  const other = await run(
    `handoff disable both --node ${DEV2} --data data/dev1`,
    { session },
  );
  assertEquals(other.opened[0]?.target, { dataDirectory: "data/dev1" });
  assertEquals([dev2.config.inbound, dev2.config.outbound], [false, false]);
  assertEquals(dev1.config.outbound, true);
  // With a port it is the node to talk to, as everywhere.
  const direct = await run(
    `handoff enable both --node ${DEV1}:10101 --cookie c`,
    { session },
  );
  assertEquals(direct.opened[0]?.target, {
    node: DEV1,
    address: "127.0.0.1:10101",
  });
  assertEquals(dev1.config.inbound, true);
  const all = await run("handoff enable both --all --json", { session });
  assertEquals(all.code, 1);
  const json = JSON.parse(all.out);
  assertEquals(json.nodes.map(({ node }: { node: string }) => node), [
    DEV1,
    DEV2,
  ]);
  assertEquals(json.unanswered[0].code, "not_reachable");
  const stranger = await run("handoff enable both --node x@h", { session });
  assertEquals([stranger.code, stranger.out], [1, ""]);
  assertMatch(
    stranger.remarks,
    /^Cannot ask x@h as it is no member \(not_member\)\n$/,
  );
});

Deno.test("handoff config and transfer-limit show and set, for one member or all", async () => {
  const { session, dev1, dev2 } = threeMembers();
  const shown =
    "dev1@127.0.0.1\t2\tenabled\tenabled\ndev2@127.0.0.1\t2\tenabled\tenabled\n";
  for (const line of ["handoff config", "transfer-limit"]) {
    const ran = await run(line, { session });
    assertEquals([ran.code, ran.out, ran.remarks], [0, shown, DEV3_REMARK]);
  }
  const one = await run(`transfer-limit ${DEV2} 7`, { session });
  assertEquals([one.code, dev1.config.concurrency, dev2.config.concurrency], [
    0,
    2,
    7,
  ]);
  const all = await run("transfer-limit 0", { session });
  assertEquals([all.code, dev1.config.concurrency, dev2.config.concurrency], [
    1,
    0,
    0,
  ]);
  const silent = await run(`transfer-limit ${DEV3}`, { session });
  assertEquals([silent.code, silent.out], [1, ""]);
  const table = await run("handoff config", {
    session,
    output: capturedOutput({ isTerminal: true }),
  });
  assertEquals(
    table.out.split("\n")[0],
    "Node            Limit  Inbound  Outbound",
  );
});

Deno.test("repair asks the owner of the partition, and with --wait shows progress until it is done", async () => {
  const { session, dev2 } = threeMembers();
  assert(!(session.answers.ring_status instanceof Error));
  session.answers.ring_status = {
    ...session.answers.ring_status,
    nodes: [DEV1, DEV2],
    owners: Array.from({ length: 64 }, (_, partition) => partition % 2),
  };
  const started = await run("repair 7 --module kv", { session });
  assertEquals([started.code, started.out], [
    0,
    "Repair of kv partition 7 at dev2@127.0.0.1: running, 0 of 2 neighbours, 0 objects\n",
  ]);
  assertEquals(session.asked.at(-1)?.args, {
    method: "repair",
    args: { partition: 7, module: "kv" },
    nodes: [DEV2],
    timeoutMs: 3_000,
  });
  // Partition 3 by its index.
  const third = String(3n << 154n);
  const end = (state: "done" | "failed", reason: string | null) => {
    dev2.history = dev2.history.map((repair) => ({
      ...repair,
      state,
      reason,
      items: 9,
      done: repair.pending,
      pending: [],
    }));
  };
  let looks = 0;
  session.before = (method) => {
    if (method === "ask_members" && ++looks === 3) end("done", null);
  };
  const output = capturedOutput({ isTerminal: true });
  const waited = await run(`repair ${third} --wait`, { session, output });
  assertEquals(waited.code, 0);
  assertEquals(
    waited.out,
    "Repair of kv partition 3 at dev2@127.0.0.1: done, 2 of 2 neighbours, 9 objects\n",
  );
  assertMatch(waited.remarks, /0% {2}0 of 2 neighbours · 0 objects/);
  assert(waited.remarks.endsWith("\r\x1b[K"));
  session.before = (method) => {
    if (method === "ask_members" && looks++ === 4) {
      end("failed", "no neighbour");
    }
  };
  const failed = await run("repair 3 --wait --json", { session });
  assertEquals(failed.code, 1);
  assertEquals(JSON.parse(failed.out).repairs[0].reason, "no neighbour");
  session.before = () => {};
  const all = await run("repairs", { session });
  assertEquals(
    all.out.split("\n")[0],
    "dev2@127.0.0.1\tkv\t3\tfailed\t2 of 2 neighbours\t9\tno neighbour",
  );
  session.members.set(DEV2, UNREACHABLE);
  const gone = await run("repair 7", { session });
  assertEquals([gone.code, gone.out], [1, ""]);
  assertMatch(gone.remarks, /not_reachable/);
});

Deno.test("repair --wait ends at Ctrl-C and leaves the repair alone, and fails if it was forgotten", async () => {
  const { session, dev1 } = threeMembers();
  const { stop, onStopSignal } = stopper();
  let looks = 0;
  session.before = (method) => {
    if (method === "ask_members" && ++looks === 2) stop();
  };
  const ran = await run("repair 1 --wait", { session, onStopSignal });
  assertEquals(ran.code, 130);
  assertMatch(ran.remarks, /The repair goes on/);
  looks = 0;
  session.before = (method) => {
    if (method === "ask_members" && ++looks === 2) dev1.history = [];
  };
  const forgotten = await run("repair 1 --wait", { session });
  assertEquals(forgotten.code, 1);
  assertMatch(forgotten.out, /failed, .*restarted/);
});

Deno.test("repair and cluster partition refuse invalid partitions", async () => {
  const { session } = threeMembers();
  for (const word of ["64", "x", "12345", String(1n << 160n), "1.5"]) {
    const ran = await run(`repair ${word}`, { session });
    assertEquals([ran.code, ran.out], [2, ""], word);
  }
  for (const word of ["id=64", "index=1", "7=8", "index=7", "id=07"]) {
    const ran = await run(`cluster partition ${word}`, { session });
    assertEquals([ran.code, ran.out], [2, ""], word);
  }
});

Deno.test("cluster partitions lists primary, secondary and stopped vnodes", async () => {
  const { session, dev2 } = threeMembers();
  assert(!(session.answers.ring_status instanceof Error));
  session.answers.ring_status = {
    ...session.answers.ring_status,
    nodes: [DEV1, DEV2],
    owners: Array.from(
      { length: 64 },
      (_, partition) => partition < 62 ? 0 : 1,
    ),
  };
  session.answers.services = { [DEV2]: ["kv"] };
  dev2.held = [{ module: "kv", partition: 3 }, { module: "kv", partition: 62 }];
  const line = `cluster partitions --node ${DEV2}`;
  const index = (partition: number) => String(BigInt(partition) << 154n);
  assertEquals(
    (await run(line, { session })).out,
    `primary\t62\t${index(62)}\tkv\nprimary\t63\t${index(63)}\t\n` +
      `secondary\t3\t${index(3)}\tkv\n`,
  );
  session.answers.services = {};
  const json = JSON.parse((await run(`${line} --json`, { session })).out);
  assertEquals([json.primary, json.secondary, json.stopped], [
    [],
    [3],
    [62, 63],
  ]);
  const gone = await run(`cluster partitions --node ${DEV3}`, { session });
  assertEquals(gone.code, 1);
});

Deno.test("cluster partition translates, and shows owner, next owner and who answers now", async () => {
  const { session } = threeMembers();
  assert(!(session.answers.ring_status instanceof Error));
  const index = String(42n << 154n);
  session.answers.ring_status = {
    ...session.answers.ring_status,
    nodes: [DEV1, DEV2, DEV3],
    owners: Array.from({ length: 64 }, (_, partition) => partition % 3),
    unreachable: [DEV3],
    transfers: [{
      index,
      owner: DEV1,
      nextOwner: DEV2,
      waitingOn: ["kv"],
      complete: [],
    }],
  };
  const shown = `\
ID:         42 of 0 to 63
Index:      ${index}
Owner:      dev1@127.0.0.1
Next Owner: dev2@127.0.0.1
Preflist:   42 dev1@127.0.0.1 (primary)
            43 dev2@127.0.0.1 (primary)
            44 dev1@127.0.0.1 (fallback)
`;
  for (const word of ["id=42", `index=${index}`, "42", index]) {
    assertEquals(
      (await run(`cluster partition ${word}`, { session })).out,
      shown,
    );
  }
  const json = JSON.parse(
    (await run("cluster partition id=0 --json", { session })).out,
  );
  assertEquals([json.index, json.owner, json.nextOwner], ["0", DEV1, null]);
});

Deno.test("cluster partition-count counts the ring, or what a member owns", async () => {
  const { session } = threeMembers();
  assertEquals((await run("cluster partition-count", { session })).out, "64\n");
  const own = await run(`cluster partition-count --node ${DEV1}`, { session });
  assertEquals(own.out, "64\n");
  const json = await run(`cluster partition-count --json --node ${DEV1}`, {
    session,
  });
  assertEquals(JSON.parse(json.out), {
    node: DEV1,
    partitions: 64,
    ringSize: 64,
  });
  const none = await run("cluster partition-count --node x@h", { session });
  assertEquals(none.code, 1);
  assertMatch(none.remarks, /not_member/);
});

Deno.test("wait-for-service returns when the service is up, and fails when it never is", async () => {
  const { session } = threeMembers();
  const here = await run("wait-for-service kv", { session });
  assertEquals([here.code, here.out], [0, "kv is up on dev1@127.0.0.1\n"]);
  let looks = 0;
  session.before = () => {
    looks++;
    session.answers.services = looks === 1
      ? new WhorlError("connection_closed", "It is restarted")
      : looks === 2
      ? { [DEV2]: ["echo"] }
      : { [DEV2]: ["echo", "kv"] };
  };
  const later = await run(`wait-for-service kv ${DEV2} --json`, { session });
  assertEquals([later.code, looks], [0, 3]);
  assertEquals(JSON.parse(later.out), { node: DEV2, service: "kv", up: true });
  const never = await run("wait-for-service nosuch --timeout 20ms", {
    session,
  });
  assertEquals([never.code, never.out], [1, ""]);
  assertMatch(never.remarks, /Cannot find nosuch up on dev1.*20ms \(timeout\)/);
});

Deno.test("ring-status shows the progress of each pending transfer and what it waits for", async () => {
  const { session, dev1 } = threeMembers();
  assert(!(session.answers.ring_status instanceof Error));
  const pending = (partition: number, owner: string) => ({
    index: String(BigInt(partition) << 154n),
    owner,
    nextOwner: "dev4@127.0.0.1",
    waitingOn: ["kv"],
    complete: [],
  });
  session.answers.ring_status = {
    ...session.answers.ring_status,
    transfers: [pending(1, DEV1), pending(2, DEV1), pending(3, DEV3)],
  };
  dev1.transfers = [
    fakeTransfer({ sourcePartition: 1 }),
    fakeTransfer({
      sourcePartition: 2,
      state: "waiting",
      itemsPerSecond: 0,
      reason: "no free slot",
    }),
    fakeTransfer({ sourcePartition: 2, kind: "hinted" }),
  ];
  const { out } = await run("ring-status --only report", { session });
  assert(out.includes(`
Owner:      dev1@127.0.0.1
Next Owner: dev4@127.0.0.1

Index: ${1n << 154n}
  Waiting on: [kv]
  kv: sending 50%, 500 of 1000 objects, 100/s

Index: ${2n << 154n}
  Waiting on: [kv]
  kv: waiting, no free slot

----`));
  assert(out.includes(`Index: ${3n << 154n}\n  Waiting on: [kv]\n\n----`));
  const json = JSON.parse((await run("ring-status --json", { session })).out);
  assertEquals(json.transfers[0].underWay, [dev1.transfers[0]]);
  assertEquals(json.transfers[2].underWay, null);
});
