import { assert, assertEquals, assertRejects } from "@std/assert";
import type { RaftLogs } from "../../src/raft/log/raft_log.ts";
import {
  decodeDeletedGroups,
  DELETED_GROUPS_MAX,
  DELETED_GROUPS_NAME,
  encodeDeletedGroups,
} from "../../src/raft/log/deleted_groups.ts";
import { openRaftLogs } from "../../src/raft/log/stored_raft_logs.ts";
import { replaceFile } from "../../src/storage/atomic_file.ts";
import { DiskBench } from "../../src/simulation/testing/disk_bench.ts";
import { testConfig, testEntry, textOf } from "./log_driver.ts";

const FOLDER = "/raft";
const PATH = `${FOLDER}/${DELETED_GROUPS_NAME}`;
const silent = { onWritten() {}, onFailed() {}, onRotten() {} };

function open(bench: DiskBench): Promise<RaftLogs> {
  return openRaftLogs({ folder: FOLDER, environment: bench.live() });
}

Deno.test("decodeDeletedGroups() reads what encodeDeletedGroups() wrote, and notices each damaged byte", () => {
  const groups = new Set([3, 2 ** 48 - 1, 1]);
  const bytes = encodeDeletedGroups(groups);
  assertEquals(decodeDeletedGroups(bytes, PATH), groups);
  for (let at = 0; at < bytes.length; at++) {
    const damaged = bytes.slice();
    damaged[at] = damaged[at]! ^ 1;
    assertEquals(decodeDeletedGroups(damaged, PATH), undefined);
    assertEquals(decodeDeletedGroups(bytes.slice(0, at), PATH), undefined);
  }
});

Deno.test("noteDeleted() is remembered after a crash at any moment, once it is answered", async () => {
  let moments = 0;
  for (let at = 1, isDone = false; !isDone; at++, moments++) {
    const bench = new DiskBench(at);
    const logs = await bench.run(open(bench));
    const before = bench.disk.counts.operations;
    let noted = 0;
    const noting = (async () => {
      for (const groupId of [11, 12, 13]) {
        await logs.noteDeleted(groupId);
        noted = groupId;
      }
    })();
    noting.catch(() => {});
    await bench.time.run(
      Infinity,
      () => noted === 13 || bench.disk.counts.operations >= before + at,
    );
    isDone = noted === 13;
    bench.crash("power");
    const next = await bench.run(open(bench));
    const known = [11, 12, 13].filter((groupId) => next.isDeleted(groupId));
    const answered = Math.max(0, noted - 10);
    assert(known.length >= answered && known.length <= answered + 1);
    assertEquals(known, [11, 12, 13].slice(0, known.length));
    assert(!next.isDeleted(14));
  }
  assert(moments > 10, `${moments}`);
});

Deno.test("a damaged list of deleted groups is put aside, and keeps nothing from being opened", async () => {
  const bench = new DiskBench("damaged");
  const logs = await bench.run(open(bench));
  await bench.run(logs.noteDeleted(5));
  await bench.run(logs.close());
  const { disk } = bench.live();
  const bytes = (await bench.run(disk.readFile(PATH)))!;
  await bench.run(replaceFile(disk, PATH, bytes.slice(0, -1)));
  const next = await bench.run(open(bench));
  assert(!next.isDeleted(5));
  assert((await bench.run(disk.entry(`${PATH}.aside`))) !== undefined);
  await bench.run(next.noteDeleted(6));
  await bench.run(next.close());
  const last = await bench.run(open(bench));
  assert(last.isDeleted(6));
});

Deno.test("noteDeleted() forgets those that were deleted first", async () => {
  const groups = Array.from({ length: DELETED_GROUPS_MAX }, (_, at) => at + 1);
  const bench = new DiskBench("many");
  const { disk } = bench.live();
  await bench.run((async () => {
    await disk.makeFolder(FOLDER);
    await replaceFile(disk, PATH, encodeDeletedGroups(new Set(groups)));
  })());
  const logs = await bench.run(open(bench));
  await bench.run(logs.noteDeleted(DELETED_GROUPS_MAX + 7));
  assertEquals(
    [1, 2, DELETED_GROUPS_MAX + 7].map((groupId) => logs.isDeleted(groupId)),
    [false, true, true],
  );
});

Deno.test("putAside() makes room for another member of the group, and keeps what was stored", async () => {
  const bench = new DiskBench("aside");
  const environment = bench.live();
  const logs = await bench.run(open(bench));
  await bench.run(logs.create(testConfig(7)));
  const log = await bench.run(logs.open(7, silent));
  log.append([testEntry(1, 1, "kept")]);
  await bench.run(
    log.takeSnapshot(
      { index: 1, term: 1, membership: log.config.initial, machineVersion: 0 },
      [new Uint8Array([1, 2, 3])],
      [1],
    ),
  );
  await assertRejects(() => logs.putAside(7), "it is open");
  await bench.run(log.close());
  await bench.run(logs.putAside(7));
  assertEquals(logs.groups, []);
  await bench.run(logs.create({ ...testConfig(8), groupId: 7 }));
  await bench.run(logs.close());
  // Neither opening nor another life takes it away, and it is no group.
  const next = await bench.run(open(bench));
  assertEquals(next.groups.map(({ uid }) => uid), [8]);
  assertEquals(next.unreadable, []);
  const names = await bench.run(environment.disk.names(`${FOLDER}/groups/7`));
  assertEquals(names.toSorted(), [
    "aside-1",
    "config",
    "manifest.aside",
    "snapshots",
  ]);
});

Deno.test("a group of which neither manifest nor config can be read keeps no other from being opened", async () => {
  const bench = new DiskBench("unreadable");
  const { disk } = bench.live();
  const logs = await bench.run(open(bench));
  for (const uid of [7, 8]) {
    await bench.run(logs.create(testConfig(uid)));
    const log = await bench.run(logs.open(uid, silent));
    log.append([testEntry(1, 1, `of ${uid}`)]);
  }
  await bench.run(logs.close());
  for (const name of ["config", "manifest"]) {
    const path = `${FOLDER}/groups/7/${name}`;
    const bytes = (await bench.run(disk.readFile(path)))!;
    bytes[12]! ^= 1;
    await bench.run(replaceFile(disk, path, bytes));
  }
  const next = await bench.run(open(bench));
  assertEquals(next.unreadable, [`${FOLDER}/groups/7`]);
  assertEquals(next.groups.map(({ uid }) => uid), [8]);
  const log = await bench.run(next.open(8, silent));
  assertEquals(log.recovered.damaged, false);
  const entries = await bench.run(
    Promise.resolve(log.entries(1, 1, Infinity)),
  );
  assertEquals(entries.map(textOf), ["1:of 8"]);
  // Once it is aside, nobody is told again.
  await bench.run(next.close());
  const last = await bench.run(open(bench));
  assertEquals([last.unreadable, last.groups.length], [[], 1]);
});
