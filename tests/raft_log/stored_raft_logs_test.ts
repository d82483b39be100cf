import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ByteWriter } from "../../src/base/byte_writer.ts";
import { WhorlError } from "../../src/base/errors.ts";
import type { Disk } from "../../src/environment/disk.ts";
import type { StorageEnvironment } from "../../src/environment/environment.ts";
import { DiskBench } from "../../src/simulation/testing/disk_bench.ts";
import type { Membership, RaftEntry } from "../../src/raft/raft_entry.ts";
import { writeMembership } from "../../src/raft/membership_codec.ts";
import type {
  GroupConfig,
  GroupLog,
  GroupLogEvents,
} from "../../src/raft/log/raft_log.ts";
import { STATE_HEADER_BYTES } from "../../src/raft/log/snapshot_codec.ts";
import type { StoredGroupLog } from "../../src/raft/log/stored_group_log.ts";
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

const silent: GroupLogEvents = { onWritten() {}, onFailed() {}, onRotten() {} };

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
  onRotten(error: Error): void {
    this.failed.push(error.message);
  }
}

function logsOn(environment: StorageEnvironment) {
  return openRaftLogs({ folder: "/raft", environment });
}

async function contentOf(log: GroupLog): Promise<string[]> {
  const entries = await log.entries(1, log.lastIndex, Infinity);
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
  assertEquals(await contentOf(found), ["1/3 a", "2/3 b", "3/3 c"]);
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
  assertEquals(await contentOf(found), ["1/1 ", "2/1 ", "3/2 x"]);
  assertEquals(found.recovered.terms, [{ first: 1, term: 1 }, {
    first: 3,
    term: 2,
  }]);
});

Deno.test("an entry that was overwritten and is put in again counts when the second one is durable", async () => {
  const bench = new DiskBench("again");
  const logs = await bench.run(logsOn(bench.live()));
  await bench.run(logs.create(config(7)));
  const syncsWhenTold: number[] = [];
  const log = await bench.run(logs.open(7, {
    onWritten: () => syncsWhenTold.push(bench.disk.counts.syncs - before),
    onFailed() {},
    onRotten() {},
  }));
  const before = bench.disk.counts.syncs;
  log.append([entry(1, 1), entry(2, 1)]);
  await bench.happen(0);
  // While that is being synced: on the disk, another entry comes between.
  log.append([entry(2, 2)]);
  log.append([entry(2, 1)]);
  await bench.happen(5);
  assertEquals(syncsWhenTold, [2]);
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
    if (way === "errors") bench.disk.writeErrorProbability = 1;
    await bench.run(logs.close());
    bench.disk.writeErrorProbability = 0;
    bench.crash("power");
    const next = await bench.run(logsOn(bench.live()));
    const found = await bench.run(next.open(7, silent));
    assert(!found.recovered.damaged);
    assert(found.lastIndex >= 1 && found.lastIndex <= 2);
  }
});

Deno.test("a log is told that the disk refuses while it is opened, whenever that is, and is not opened afterwards", async () => {
  for (let events = 0; events < 5; events++) {
    const bench = new DiskBench("meanwhile");
    const logs = await bench.run(logsOn(bench.live()));
    for (const uid of [7, 8]) await bench.run(logs.create(config(uid)));
    const log = await bench.run(logs.open(7, silent));
    const told = new Told();
    const opening = logs.open(8, told);
    await bench.happen(events);
    bench.disk.writeErrorProbability = 1;
    log.append([entry(1, 1)]);
    await bench.happen(20);
    await opening;
    assertEquals(told.failed.length, 1);
    // Whoever would open it then is told as well: nobody else may have been.
    const late = new Told();
    await assertRejects(() => logs.open(8, late), WhorlError);
    await bench.happen(1);
    assertEquals(late.failed.length, 1);
    bench.crash("process");
  }
});

Deno.test("who appends waits when too many files are to be taken over, and goes on after that", async () => {
  const bench = new DiskBench("held");
  const environment = bench.live();
  const options = {
    folder: "/raft",
    environment,
    walBytesMax: 1_000,
    takeOverBytesPerSecond: 500,
  };
  await bench.run((async () => {
    const logs = await openRaftLogs(options);
    for (const uid of [7, 8]) await logs.create(config(uid));
    // One that has nothing but a vote in the files.
    const other = await logs.open(8, silent);
    let written: () => void = () => {};
    const log = await logs.open(7, {
      onWritten: () => written(),
      onFailed(error) {
        throw error;
      },
      onRotten() {},
    });
    let most = 0;
    for (let index = 1; index <= 100; index++) {
      const durable = new Promise<void>((resolve) => written = resolve);
      log.append([entry(index, 1, "x".repeat(400))]);
      if (index % 10 === 0) other.saveVote(index, "b@h", () => {});
      await durable;
      const names = await environment.disk.names("/raft");
      most = Math.max(
        most,
        names.filter((name) => name.endsWith(".log")).length,
      );
    }
    assert(most >= 5 && most <= 7, `${most} files`);
    await log.close();
    await logs.close();
    const next = await openRaftLogs(options);
    assertEquals((await contentOf(await next.open(7, silent))).length, 100);
    const { recovered } = await next.open(8, silent);
    assertEquals([recovered.term, recovered.votedFor], [100, "b@h"]);
    await next.close();
  })());
});

Deno.test("a group that is removed is gone, and its records are passed over", async () => {
  const bench = new DiskBench("removed");
  const environment = bench.live();
  await bench.run((async () => {
    const logs = await logsOn(environment);
    for (const uid of [7, 8]) {
      await logs.create(config(uid));
      const log = await logs.open(uid, silent);
      log.append([entry(1, 1, "a"), entry(2, 1, "b")]);
      await log.close();
    }
    await assertRejects(
      () => logs.create(config(7)),
      WhorlError,
      "Cannot create",
    );
    await logs.remove(7);
    await assertRejects(() => logs.open(7, silent), WhorlError, "Cannot find");
    await logs.close();
    const next = await logsOn(environment);
    assertEquals(next.groups, [config(8)]);
    assertEquals(await environment.disk.names("/raft/groups"), ["8"]);
    assertEquals(await contentOf(await next.open(8, silent)), [
      "1/1 a",
      "2/1 b",
    ]);
    // Under another number it comes back empty.
    await next.create(config(9));
    assertEquals((await next.open(9, silent)).lastIndex, 0);
    await next.close();
  })());
});

Deno.test("a log tells the members that its entries and its snapshot say", async () => {
  const bench = new DiskBench("members");
  const environment = bench.live();
  const membership = (index: number): Membership => ({
    index,
    members: [...initial.members, {
      node: "b@h",
      uid: 100 + index,
      kind: "promotable",
      target: index,
    }],
  });
  const memberEntry = (index: number): RaftEntry => {
    const into = new ByteWriter();
    into.raw(new Uint8Array([3, 0, 0, 0, 0, 0, 0]));
    writeMembership(into, membership(0));
    return { index, term: 1, body: into.copy() };
  };
  const members = (uid: number) => membership(uid).members;
  await bench.run((async () => {
    const logs = await openRaftLogs({
      folder: "/raft",
      environment,
      walBytesMax: 500,
      segmentEntriesMax: 2,
    });
    await logs.create(config(7));
    let log = await logs.open(7, silent);
    for (let index = 1; index <= 12; index++) {
      log.append([
        index % 4 === 0 ? memberEntry(index) : entry(index, 1, "x".repeat(90)),
      ]);
      await new Promise<void>((resolve) => environment.setTimer(5, resolve));
    }
    log.append([entry(12, 2, "over")]);
    await log.takeSnapshot(
      { index: 5, term: 1, membership: membership(4), machineVersion: 1 },
      [],
      [],
    );
    assert(log.overview().segments > 0);
    // By those who died with it open as well.
    for (let again = 0; again < 2; again++) {
      log = await logs.open(7, silent);
      assertEquals(log.recovered.memberships.map(({ index }) => index), [8]);
      assertEquals(log.recovered.memberships[0]?.members, members(0));
      assertEquals(log.recovered.snapshot?.membership, membership(4));
    }
    await logs.close();
    const next = await logsOn(environment);
    log = await next.open(7, silent);
    assertEquals(log.recovered.memberships.map(({ index }) => index), [8]);
    await next.close();
  })());
});

/** A disk on which syncs of the write-ahead log wait while `isHeld`. */
function holdLog(environment: StorageEnvironment) {
  const held = { isHeld: false };
  const { disk } = environment;
  const open: Disk["open"] = async (path, options) => {
    const file = await disk.open(path, options);
    if (!path.endsWith(".log")) return file;
    const syncData = file.syncData.bind(file);
    file.syncData = async () => {
      while (held.isHeld) {
        await new Promise<void>((resolve) => environment.setTimer(1, resolve));
      }
      await syncData();
    };
    return file;
  };
  const holding = new Proxy(disk, {
    get(target, name) {
      if (name === "open") return open;
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return { held, environment: { ...environment, disk: holding } };
}

Deno.test("takeSnapshot() waits until what stays readable is durable", async () => {
  const bench = new DiskBench("snapshot");
  const { held, environment } = holdLog(bench.live());
  const logs = await bench.run(logsOn(environment));
  await bench.run(logs.create(config(7)));
  const log = await bench.run(logs.open(7, silent));
  held.isHeld = true;
  log.append([entry(1, 1, "a"), entry(2, 1, "b")]);
  const meta = { index: 2, term: 1, membership: initial, machineVersion: 0 };
  const taken = log.takeSnapshot(meta, [], [1]);
  await bench.happen(500);
  assertEquals(log.snapshot, undefined);
  held.isHeld = false;
  await bench.run(taken);
  bench.crash("power");
  const next = await bench.run(logsOn(bench.live()));
  const found = await bench.run(next.open(7, silent));
  assertEquals(found.snapshot, meta);
  assertEquals(await found.read([1, 2]), new Map([[1, entry(1, 1, "a")]]));
});

Deno.test("a cut that is not durable does not reach the manifest", async () => {
  const bench = new DiskBench("cut");
  const { held, environment } = holdLog(bench.live());
  const options = { folder: "/raft", walBytesMax: 300 };
  const logs = await bench.run(openRaftLogs({ ...options, environment }));
  await bench.run(logs.create(config(7)));
  let isWritten = false;
  const log = await bench.run(logs.open(7, {
    onWritten() {
      // The file is full, and about to be taken over.
      isWritten = true;
    },
    onFailed() {},
    onRotten() {},
  }));
  log.append([1, 2, 3, 4].map((index) => entry(index, 1, "x".repeat(90))));
  while (!isWritten) await bench.happen(1);
  held.isHeld = true;
  log.saveVote(2, undefined, () => {});
  log.append([entry(3, 2, "y")]);
  await bench.happen(500);
  bench.crash("power");
  const next = await bench.run(
    openRaftLogs({ ...options, environment: bench.live() }),
  );
  const { recovered } = await bench.run(next.open(7, silent));
  // Nobody was told of a later term, so what was acknowledged in this one is there.
  assertEquals([recovered.term, recovered.lastIndex], [0, 4]);
});

Deno.test("an entry that is appended while those before it are taken over into a segment is not taken for one of them", async () => {
  let between = 0;
  for (let events = 0; events < 40; events++) {
    const bench = new DiskBench("meanwhile", { operationMsMax: 2 });
    const logs = await bench.run(logsOn(bench.live()));
    await bench.run(logs.create(config(7)));
    const log = await bench.run(logs.open(7, silent)) as StoredGroupLog;
    log.append([entry(1, 1, "a"), entry(2, 1, "b")]);
    // As if what stood at 3 in a full file of the write-ahead log had been cut off.
    let isOver = false;
    const taking = log.takeOver(3, 0).then(() => isOver = true);
    await bench.happen(events);
    if (!isOver) between++;
    log.append([entry(3, 2, "c")]);
    await bench.run(taking);
    await bench.run(log.forgetTakenOver(3));
    const entries = await bench.run(
      Promise.resolve(log.entries(1, 3, Infinity)),
    );
    assertEquals(
      entries.map(({ index, term }) => `${index}/${term}`),
      ["1/1", "2/1", "3/2"],
      `after ${events} events`,
    );
  }
  assert(between > 5, `${between}`);
});

Deno.test("a group whose manifest has rotted is damaged, and nothing is in the way of what its node goes on to write", async () => {
  let segments = 0;
  for (let moment = 0; moment < 60; moment++) {
    const bench = new DiskBench(`rotten manifest ${moment}`);
    const open = () =>
      bench.run(openRaftLogs({
        folder: "/raft",
        environment: bench.live(),
        walBytesMax: 300,
        segmentEntriesMax: 4,
      }));
    const logs = await open();
    await bench.run(logs.create(config(7)));
    const log = await bench.run(logs.open(7, silent));
    for (let index = 1; index <= 12; index++) {
      log.append([entry(index, 1, "x".repeat(40))]);
    }
    // Segments are written, and the file of the write-ahead log they come from still there.
    await bench.happen(moment / 4);
    segments += log.overview().segments;
    bench.crash("process");
    assert(bench.disk.rot(({ path }) => path.endsWith("/manifest")));
    const told = new Told();
    const next = await open();
    const found = await bench.run(next.open(7, told));
    assert(found.recovered.damaged);
    await bench.happen(500);
    assertEquals(told.failed, [], `after ${moment / 4} ms`);
  }
  assert(segments > 0);
});

Deno.test("readSnapshot() takes a header that has rotted for rot, and not for that of a newer version", async () => {
  const meta = { index: 1, term: 1, membership: initial, machineVersion: 0 };
  for (let seed = 0; seed < 100; seed++) {
    const bench = new DiskBench(seed);
    const logs = await bench.run(logsOn(bench.live()));
    await bench.run(logs.create(config(7)));
    const log = await bench.run(logs.open(7, silent));
    log.append([entry(1, 1, "a")]);
    await bench.run(log.takeSnapshot(meta, [Uint8Array.of(1)], []));
    bench.disk.rot(
      ({ path }) => path.endsWith("/state"),
      () => STATE_HEADER_BYTES,
    );
    const stored = await log.readSnapshot();
    const { code } = await assertRejects(
      () => bench.run(Array.fromAsync(stored!.state)),
      WhorlError,
    );
    assertEquals(code, "store_corrupt", `seed ${seed}`);
  }
});

Deno.test("a group whose node has lost the write-ahead log and its watermark is damaged", async () => {
  const bench = new DiskBench("no log");
  const logs = await bench.run(logsOn(bench.live()));
  await bench.run(logs.create(config(7)));
  const log = await bench.run(logs.open(7, silent));
  log.append([entry(1, 1)]);
  await bench.happen(50);
  bench.crash("process");
  assertEquals(bench.disk.lose((path) => path.includes("/wal")), 2);
  const next = await bench.run(logsOn(bench.live()));
  assert((await bench.run(next.open(7, silent))).recovered.damaged);
});

Deno.test("entries are read while compaction puts other segments in their place", async () => {
  for (let seed = 0; seed < 20; seed++) {
    const bench = new DiskBench(seed, { operationMsMax: 2 });
    const environment = bench.live();
    await bench.run((async () => {
      const logs = await openRaftLogs({
        folder: "/raft",
        environment,
        walBytesMax: 400,
        segmentEntriesMax: 6,
        compactEvery: 1_000,
      });
      await logs.create(config(7));
      const log = await logs.open(7, silent);
      const pause = (ms: number): Promise<void> =>
        new Promise((resolve) => environment.setTimer(ms, resolve));
      for (let index = 1; index <= 60; index++) {
        log.append([entry(index, 1, `entry ${index}`.padEnd(80))]);
        await pause(20);
      }
      const live = Array.from({ length: 13 }, (_, i) => 3 * i + 1);
      const meta = {
        index: 40,
        term: 1,
        membership: initial,
        machineVersion: 0,
      };
      const before = log.overview().segments;
      let isDone = false;
      const work = log.takeSnapshot(meta, [], live).then(() => log.compact())
        .finally(() => isDone = true);
      const reads: Promise<void>[] = [];
      while (!isDone) {
        const index = live[reads.length % live.length] as number;
        reads.push((async () => {
          const found = await log.read([index]);
          assertEquals(found.get(index)?.index, index);
          const [first] = await log.entries(index, index, 1);
          assertEquals(first?.index, index);
        })());
        await pause(1 + seed % 3);
      }
      await Promise.all(reads);
      await work;
      assert(log.overview().segments < before - 3);
      await logs.close();
    })());
  }
});

Deno.test("entries() fails as a promise, and never throws, while a snapshot takes the place of what is asked for", async () => {
  let gone = 0;
  for (let events = 0; events < 60; events++) {
    const bench = new DiskBench("gone", { operationMsMax: 2 });
    const environment = bench.live();
    const logs = await bench.run(openRaftLogs({
      folder: "/raft",
      environment,
      walBytesMax: 400,
      segmentEntriesMax: 2,
      compactEvery: 1_000,
    }));
    await bench.run(logs.create(config(7)));
    const log = await bench.run(logs.open(7, silent));
    for (let index = 1; index <= 10; index++) {
      log.append([entry(index, 1, "x".repeat(90))]);
      await bench.happen(20);
    }
    // There are segments to be removed, and entries in memory as well.
    assert(log.overview().segments > 0 && log.overview().entriesInMemory > 0);
    const meta = { index: 10, term: 1, membership: initial, machineVersion: 0 };
    const taken = log.takeSnapshot(meta, [], []);
    await bench.happen(events);
    if (log.snapshot !== undefined && log.overview().entriesInMemory > 0) {
      gone++;
      const read = log.entries(10, 10, Infinity);
      const error = await assertRejects(
        () => bench.run(Promise.resolve(read)),
        WhorlError,
      );
      assertEquals(error.code, "compacted");
    }
    await bench.run(taken);
    await bench.run(logs.close());
  }
  assert(gone > 0);
});
