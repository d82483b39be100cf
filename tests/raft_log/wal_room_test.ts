/**
 * The write-ahead log of a node makes room for itself ahead of what is written.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { Disk } from "../../src/environment/disk.ts";
import type { StorageEnvironment } from "../../src/environment/environment.ts";
import type { GroupLog } from "../../src/raft/log/raft_log.ts";
import { openRaftLogs } from "../../src/raft/log/stored_raft_logs.ts";
import { WalSpare } from "../../src/raft/log/wal_spare.ts";
import { DiskBench } from "../../src/simulation/testing/disk_bench.ts";

const MIB = 1024 * 1024;
const FILE_BYTES = 16 * 1024;
const silent = { onWritten() {}, onFailed() {}, onRotten() {} };

async function openGroup(environment: StorageEnvironment) {
  const logs = await openRaftLogs({
    folder: "/raft",
    environment,
    walBytesMax: FILE_BYTES,
  });
  if (logs.groups.length === 0) {
    await logs.create({
      uid: 7,
      groupId: 7,
      name: "seven",
      machine: "test",
      initial: { index: 0, members: [] },
    });
  }
  return { logs, log: await logs.open(7, silent) };
}

function append(log: GroupLog, bytes: number): void {
  const body = new Uint8Array(bytes).fill(7);
  log.append([{ index: log.lastIndex + 1, term: 1, body }]);
}

function pause(environment: StorageEnvironment, afterMs: number) {
  return new Promise<void>((resolve) =>
    environment.setTimer(afterMs, () => resolve())
  );
}

/** The files of the write-ahead log with their sizes. */
async function filesOn({ disk }: StorageEnvironment): Promise<string[]> {
  const names = await disk.names("/raft");
  const files = names.filter((name) => /^wal[-.](\d|spare)/.test(name));
  const sizes = files.map(async (name) =>
    `${name} ${(await disk.entry(`/raft/${name}`))?.sizeBytes}`
  );
  return (await Promise.all(sizes)).sort();
}

Deno.test("a write-ahead log that is used goes on in files that have room already", async () => {
  const bench = new DiskBench("room");
  const environment = bench.live();
  await bench.run((async () => {
    const { logs, log } = await openGroup(environment);
    assertEquals(await filesOn(environment), ["wal-1.log 64"]);
    append(log, 8);
    await pause(environment, 50);
    assertEquals(await filesOn(environment), [
      "wal-1.log 128",
      "wal-2.log 1024",
    ]);
    append(log, 600);
    await pause(environment, 50);
    // The first one is taken over, and was too small to be kept.
    assertEquals(await filesOn(environment), [
      "wal-2.log 1024",
      `wal.spare ${FILE_BYTES}`,
    ]);
    append(log, 600);
    await pause(environment, 50);
    append(log, FILE_BYTES);
    await pause(environment, 50);
    // It was full before there was a spare, so that the next one grows;
    assertEquals(await filesOn(environment), [
      "wal-3.log 16504",
      "wal-4.log 64",
      `wal.spare ${FILE_BYTES}`,
    ]);
    append(log, 8);
    await pause(environment, 50);
    // but not for long, and the one that was taken over is a spare as it is.
    assertEquals(await filesOn(environment), [
      "wal-4.log 128",
      `wal-5.log ${FILE_BYTES}`,
      "wal.spare 16504",
    ]);
    await log.close();
    await logs.close();
  })());
});

Deno.test("a file in which many groups have records is not left early", async () => {
  const bench = new DiskBench("many");
  const environment = bench.live();
  await bench.run((async () => {
    const { logs, log } = await openGroup(environment);
    const others: GroupLog[] = [];
    for (let uid = 100; uid < 164; uid++) {
      await logs.create({
        uid,
        groupId: uid,
        name: `group ${uid}`,
        machine: "test",
        initial: { index: 0, members: [] },
      });
      others.push(await logs.open(uid, silent));
    }
    for (const each of [log, ...others]) append(each, 8);
    await pause(environment, 50);
    const [first, ...more] = await filesOn(environment);
    assert(first?.startsWith("wal-1.log"), first);
    assertEquals(more, []);
    // There is room for what follows when it is full.
    append(log, FILE_BYTES / 2);
    await pause(environment, 50);
    const [still, spare] = await filesOn(environment);
    assert(still?.startsWith("wal-1.log"), still);
    assertEquals(spare, `wal.spare ${FILE_BYTES}`);
    append(log, FILE_BYTES / 2);
    await pause(environment, 500);
    const now = await filesOn(environment);
    assert(now.includes(`wal-2.log ${FILE_BYTES}`), now.join());
    for (const each of [log, ...others]) await each.close();
    await logs.close();
  })());
});

Deno.test("WalSpare.close() does not wait for what is being made, and leaves nothing of it", async () => {
  const bench = new DiskBench("beside", { operationMsMax: 20 });
  const environment = bench.live();
  await bench.run((async () => {
    const spare = await WalSpare.open(environment, "/");
    let isThere = false;
    spare.prepare(64 * MIB, () => isThere = true);
    await pause(environment, 100);
    assertEquals(spare.roomBytes, 0);
    await spare.close();
    assert(!isThere);
    assertEquals(await environment.disk.names("/"), []);
  })());
});

Deno.test("a log goes on in a file that grows when no room can be made", async () => {
  const bench = new DiskBench("refused");
  const given = bench.live();
  let tries = 0;
  const open: Disk["open"] = (path, options) => {
    if (!path.endsWith("wal.spare.tmp")) return given.disk.open(path, options);
    tries++;
    return Promise.reject(new Error("There is no room"));
  };
  const environment: StorageEnvironment = {
    ...given,
    disk: new Proxy(given.disk, {
      get(disk, name) {
        if (name === "open") return open;
        const value = Reflect.get(disk, name);
        return typeof value === "function" ? value.bind(disk) : value;
      },
    }),
  };
  await bench.run((async () => {
    const { logs, log } = await openGroup(environment);
    for (let i = 0; i < 20; i++) {
      append(log, 100);
      await pause(environment, 5);
    }
    const { durableIndex } = log.overview();
    assertEquals(durableIndex, 20);
    // Once for a part of it, and once for all.
    assert(tries <= 2, `${tries} tries`);
    const [present] = await filesOn(environment);
    assert(present?.startsWith("wal-1.log"), present);
    await log.close();
    await logs.close();
  })());
});

Deno.test("WalSpare.give() keeps a file that is large enough, and one only", async () => {
  const bench = new DiskBench("give");
  const environment = bench.live();
  const { disk } = environment;
  await bench.run((async () => {
    const spare = await WalSpare.open(environment, "/");
    for (const [name, bytes] of [["a", 10], ["b", 100], ["c", 100]] as const) {
      const file = await disk.open(`/${name}`, { mode: "create_new" });
      file.writeAt(new Uint8Array(bytes), 0);
      file.close();
    }
    const given = ["a", "b", "c"].map((name) => spare.give(`/${name}`, 100));
    // Asked for while they are being renamed.
    const roomy = await spare.take("/d", new Uint8Array(4).fill(1));
    await Promise.all(given);
    assertEquals(roomy?.roomBytes, 100);
    roomy?.file.close();
    assertEquals(await disk.names("/"), ["d"]);
    assertEquals(
      (await disk.readFile("/d"))?.subarray(0, 5).join(),
      "1,1,1,1,0",
    );
    await spare.close();
  })());
});
