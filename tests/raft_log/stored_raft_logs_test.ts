import { assert, assertEquals, assertThrows } from "@std/assert";
import type { StorageEnvironment } from "../../src/environment/environment.ts";
import { DiskBench } from "../../src/simulation/testing/disk_bench.ts";
import type { Membership, RaftEntry } from "../../src/raft/raft_entry.ts";
import type {
  GroupConfig,
  GroupLog,
  GroupLogEvents,
} from "../../src/raft/log/raft_log.ts";
import { openRaftLogs } from "../../src/raft/log/stored_raft_logs.ts";

const initial: Membership = {
  index: 0,
  members: [{ node: "a@h", uid: 7, kind: "voter", target: 0 }],
};

function config(uid: number): GroupConfig {
  return { uid, groupId: 1, name: `group ${uid}`, machine: "test", initial };
}

function entry(index: number, term: number, text = ""): RaftEntry {
  const body = new TextEncoder().encode(`\x02012345${text}`);
  return { index, term, body };
}

const silent: GroupLogEvents = { onWritten() {}, onFailed() {} };

/** What is told of a log. */
class Told implements GroupLogEvents {
  readonly written: string[] = [];
  readonly failed: string[] = [];
  onWritten(index: number, term: number): void {
    this.written.push(`${index}/${term}`);
  }
  onFailed(error: Error): void {
    this.failed.push(error.message);
  }
}

function logsOn(environment: StorageEnvironment) {
  return openRaftLogs({ folder: "/raft", environment });
}

function contentOf(log: GroupLog): string[] {
  const entries = log.entries(1, log.lastIndex, Infinity) as RaftEntry[];
  return entries.map(({ index, term, body }) =>
    `${index}/${term} ${new TextDecoder().decode(body.subarray(7))}`
  );
}

Deno.test("a log has, opened again, what was acknowledged: entries, term and vote", async () => {
  const bench = new DiskBench("again");
  const logs = await bench.run(logsOn(bench.live()));
  await bench.run(logs.create(config(7)));
  const told = new Told();
  const log = await bench.run(logs.open(7, told));
  assertEquals([log.lastIndex, log.lastTerm], [0, 0]);
  let voted = 0;
  log.saveVote(3, "b@h", () => voted++);
  log.append([entry(1, 3, "a"), entry(2, 3, "b")]);
  log.append([entry(3, 3, "c")]);
  assertEquals([told.written, voted], [[], 0]);
  await bench.happen(2);
  assertEquals([told.written, voted], [["3/3"], 1]);
  bench.crash("power");
  const next = await bench.run(logsOn(bench.live()));
  assertEquals(next.groups, [config(7)]);
  const found = await bench.run(next.open(7, silent));
  assertEquals(found.recovered, {
    term: 3,
    votedFor: "b@h",
    snapshot: undefined,
    lastIndex: 3,
    terms: [{ first: 1, term: 3 }],
    memberships: [],
    appliedIndex: 0,
    damaged: false,
  });
  assertEquals(contentOf(found), ["1/3 a", "2/3 b", "3/3 c"]);
});

Deno.test("append() puts entries over what stands there, and leaves no gap", async () => {
  const bench = new DiskBench("over");
  const logs = await bench.run(logsOn(bench.live()));
  await bench.run(logs.create(config(7)));
  const told = new Told();
  const log = await bench.run(logs.open(7, told));
  log.append([entry(1, 1), entry(2, 1), entry(3, 1), entry(4, 1)]);
  await bench.happen(0);
  // While that is being synced.
  log.append([entry(3, 2, "x")]);
  assertEquals([log.lastIndex, log.lastTerm, log.termAt(4)], [3, 2, undefined]);
  assertThrows(() => log.append([entry(5, 2)]), RangeError);
  await bench.run(log.close());
  assertEquals(told.written, ["3/2"]);
  await bench.run(logs.close());
  const next = await bench.run(logsOn(bench.live()));
  const found = await bench.run(next.open(7, silent));
  assertEquals(contentOf(found), ["1/1 ", "2/1 ", "3/2 x"]);
  assertEquals(found.recovered.terms, [{ first: 1, term: 1 }, {
    first: 3,
    term: 2,
  }]);
});

Deno.test("entries of one turn, of all groups, share one sync", async () => {
  const bench = new DiskBench("share");
  const logs = await bench.run(logsOn(bench.live()));
  const told: Told[] = [];
  const opened: GroupLog[] = [];
  for (const uid of [1, 2, 3]) {
    await bench.run(logs.create(config(uid)));
    told.push(new Told());
    opened.push(await bench.run(logs.open(uid, told.at(-1) as Told)));
  }
  const before = bench.disk.counts.syncs;
  for (const log of opened) log.append([entry(1, 1)]);
  await bench.happen(2);
  assertEquals(told.map(({ written }) => written), [["1/1"], ["1/1"], [
    "1/1",
  ]]);
  assertEquals(bench.disk.counts.syncs, before + 1);
});

Deno.test("a log tells once that the disk refuses, and acknowledges nothing more", async () => {
  for (const way of ["full", "errors"]) {
    const bench = new DiskBench(way);
    const logs = await bench.run(logsOn(bench.live()));
    await bench.run(logs.create(config(7)));
    const told = new Told();
    const log = await bench.run(logs.open(7, told));
    log.append([entry(1, 1)]);
    await bench.happen(5);
    if (way === "full") bench.disk.full = true;
    else bench.disk.writeErrorProbability = 1;
    log.append([entry(2, 1)]);
    await bench.happen(5);
    bench.disk.full = false;
    bench.disk.writeErrorProbability = 0;
    log.append([entry(3, 1)]);
    await bench.happen(5);
    assertEquals(told.written, ["1/1"]);
    assertEquals(told.failed.length, 1);
    bench.crash("power");
    const next = await bench.run(logsOn(bench.live()));
    const found = await bench.run(next.open(7, silent));
    assert(!found.recovered.damaged);
    assert(found.lastIndex >= 1 && found.lastIndex <= 2);
  }
});
