/**
 * Damages every byte of every file of a log, one at a time, and looks whether
 * that is noticed: nothing wrong is ever served.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { isWhorlError } from "../../src/base/errors.ts";
import type { Disk } from "../../src/environment/disk.ts";
import type { DiskImage } from "../../src/simulation/disk/simulated_disk.ts";
import { DiskBench } from "../../src/simulation/testing/disk_bench.ts";
import {
  readWatermark,
  WatermarkFile,
} from "../../src/storage/commit_watermark.ts";
import {
  FILE_HEADER_BYTES,
  type FoundBatch,
  readBatch,
} from "../../src/raft/log/wal_codec.ts";
import type { GroupLog } from "../../src/raft/log/raft_log.ts";
import { openRaftLogs } from "../../src/raft/log/stored_raft_logs.ts";
import { testConfig, testEntry, testMembership } from "./log_driver.ts";

/** The quick form leaves some of them out. */
const stride = Deno.env.get("WHORL_RAFT_LOG_SEEDS") === undefined ? 3 : 1;
const SNAPSHOT = 12;
const LAST = 30;
const LIVE = [2, 3, 9, 12];
const silent = { onWritten() {}, onFailed() {}, onRotten() {} };
const options = {
  folder: "/raft",
  walBytesMax: 1_000,
  segmentEntriesMax: 5,
  compactEvery: 1,
};

/** All that a log says of itself. */
async function contentOf(log: GroupLog): Promise<unknown> {
  const { recovered } = log;
  const entries = await log.entries(SNAPSHOT + 1, LAST, Infinity);
  const live = await log.read(Array.from({ length: LAST }, (_, i) => i + 1));
  const snapshot = await log.readSnapshot();
  const pieces: Uint8Array[] = [];
  if (snapshot !== undefined) {
    for await (const piece of snapshot.state) pieces.push(piece);
  }
  return {
    recovered,
    entries,
    live: [...live.values()].sort((a, b) => a.index - b.index),
    snapshot: snapshot && {
      ...snapshot,
      live: [...snapshot.live],
      state: pieces,
    },
  };
}

async function makeImage(): Promise<DiskImage> {
  const bench = new DiskBench("whole");
  const environment = bench.live();
  await bench.run((async () => {
    const logs = await openRaftLogs({ ...options, environment });
    await logs.create(testConfig(7));
    const log = await logs.open(7, silent);
    log.saveVote(2, "b@h", () => {});
    for (let index = 1; index <= LAST; index++) {
      log.append([testEntry(index, 1, `entry ${index}`.repeat(3))]);
      log.noteApplied(index);
      await new Promise<void>((resolve) => environment.setTimer(2, resolve));
    }
    await log.takeSnapshot(
      {
        index: SNAPSHOT,
        term: 1,
        membership: { ...testMembership, index: 1 },
        machineVersion: 3,
      },
      [new Uint8Array(100).fill(1), new Uint8Array(7).fill(2)],
      LIVE,
    );
    await log.compact();
    await log.close();
    await logs.close();
  })());
  return bench.disk.image();
}

/** All files below `folder`. */
async function filesIn(disk: Disk, folder: string): Promise<string[]> {
  const files: string[] = [];
  for (const name of (await disk.names(folder)).sort()) {
    const path = `${folder}/${name}`;
    const entry = await disk.entry(path);
    if (entry?.type === "folder") files.push(...await filesIn(disk, path));
    else files.push(path);
  }
  return files;
}

/** What a log with that damage says, or how it is noticed. */
async function look(
  image: DiskImage,
  damage: (disk: Disk) => Promise<void>,
): Promise<{ noticed: string } | { content: unknown }> {
  const bench = new DiskBench("damaged", {}, image);
  const environment = bench.live();
  return await bench.run((async () => {
    await damage(environment.disk);
    try {
      const logs = await openRaftLogs({ ...options, environment });
      const log = await logs.open(7, silent);
      if (log.recovered.damaged) {
        // For ever, whatever becomes of the files.
        await logs.close();
        const again = await openRaftLogs({ ...options, environment });
        assert((await again.open(7, silent)).recovered.damaged);
        return { noticed: "damaged" };
      }
      return { content: await contentOf(log) };
    } catch (error) {
      if (!isWhorlError(error)) throw error;
      return { noticed: error.code };
    }
  })());
}

Deno.test("no damaged byte of a log goes unnoticed where it matters", async () => {
  const image = await makeImage();
  const whole = await look(image, async () => {});
  assert("content" in whole, JSON.stringify(whole));
  const bench = new DiskBench("files", {}, image);
  const { disk } = bench.live();
  const noticed = new Map<string, Set<string>>();
  for (const path of await bench.run(filesIn(disk, "/raft"))) {
    const bytes = await bench.run(disk.readFile(path)) as Uint8Array;
    const kind = path.split("/").at(-1)?.replace(/\d+/, "N") as string;
    const codes = noticed.get(kind) ?? new Set();
    noticed.set(kind, codes);
    for (let at = 0; at < bytes.length; at += stride) {
      const found = await look(image, async (disk) => {
        const file = await disk.open(path, { mode: "create" });
        file.writeAt(new Uint8Array([bytes[at] as number ^ 1 << at % 8]), at);
        await file.sync();
        file.close();
      });
      if ("noticed" in found) codes.add(found.noticed);
      else {
        assertEquals(found, whole, `${path} at ${at}`);
        codes.add("as before");
      }
    }
  }
  const seen = [...noticed].map(([kind, codes]) =>
    `${kind}: ${[...codes].sort().join(", ")}`
  );
  assertEquals(seen.sort(), [
    "config: as before",
    "live: damaged",
    "manifest: damaged",
    "seg-N: store_corrupt",
    "state: store_corrupt",
    "wal-N.log: as before, damaged",
    "wal.mark: as before",
    "wal.spare: as before",
  ]);
});

Deno.test("a broken last batch is damage if it was acknowledged, and as if never written if not", async () => {
  for (const wasAcknowledged of [true, false]) {
    const bench = new DiskBench("tail");
    const environment = bench.live();
    const { disk } = environment;
    await bench.run((async () => {
      const logs = await openRaftLogs({ folder: "/raft", environment });
      for (const uid of [7, 8]) await logs.create(testConfig(uid));
      const other = await logs.open(8, silent);
      other.append([testEntry(1, 1, "another's")]);
      await other.close();
      const log = await logs.open(7, silent);
      for (let index = 1; index <= 3; index++) {
        log.append([testEntry(index, 1, `entry ${index}`)]);
        await new Promise<void>((resolve) => environment.setTimer(2, resolve));
      }
      await logs.close();
      const path = "/raft/wal-1.log";
      const bytes = await disk.readFile(path) as Uint8Array;
      const file = await disk.open(path, { mode: "create" });
      file.writeAt(new Uint8Array([0]), bytes.length - 1);
      file.close();
      const mark = await readWatermark(disk, "/raft/wal.mark");
      if (mark !== undefined && !wasAcknowledged) {
        const older = { ...mark, commit: mark.commit - 1 };
        await disk.remove("/raft/wal.mark");
        await (await WatermarkFile.open(
          "/raft/wal.mark",
          older,
          environment,
          undefined,
        )).close();
      }
      const next = await openRaftLogs({ folder: "/raft", environment });
      const found = await next.open(7, silent);
      assertEquals(found.recovered.damaged, wasAcknowledged);
      assertEquals(found.lastIndex, 2);
      // The body is known to be that of one group.
      const { recovered } = await next.open(8, silent);
      assertEquals([recovered.damaged, recovered.lastIndex], [false, 1]);
      await next.close();
    })());
  }
});

Deno.test("a broken batch at the head of the only file is damage when there are others behind it, though the watermark ends before it", async () => {
  const bench = new DiskBench("head");
  const environment = bench.live();
  const { disk } = environment;
  await bench.run((async () => {
    const logs = await openRaftLogs({ ...options, environment });
    await logs.create(testConfig(7));
    const log = await logs.open(7, silent);
    let index = 0;
    let only: Uint8Array | undefined;
    let second: FoundBatch | undefined;
    while (second === undefined) {
      log.append([testEntry(++index, 1, `entry ${index}`)]);
      await new Promise<void>((resolve) => environment.setTimer(20, resolve));
      const names = (await disk.names("/raft")).filter((name) =>
        /^wal-\d+\.log$/.test(name)
      );
      if (names.length > 1 || names[0] === "wal-1.log") continue;
      only = await disk.readFile(`/raft/${names[0]}`) as Uint8Array;
      const first = readBatch(only, FILE_HEADER_BYTES, undefined);
      second = first && readBatch(only, first.end, undefined);
    }
    await logs.close();
    const mark = await readWatermark(disk, "/raft/wal.mark");
    if (mark === undefined) throw new Error("There is no watermark");
    // As if it had been written the last time just before that file was begun.
    await disk.remove("/raft/wal.mark");
    await (await WatermarkFile.open(
      "/raft/wal.mark",
      { ...mark, commit: second.number - 2 },
      environment,
      undefined,
    )).close();
    const file = await disk.open(`/raft/wal-${mark.epoch}.log`, {
      mode: "create",
    });
    const at = FILE_HEADER_BYTES + 20;
    file.writeAt(new Uint8Array([~(only?.[at] as number)]), at);
    file.close();
    const next = await openRaftLogs({ ...options, environment });
    const found = await next.open(7, silent);
    assert(found.recovered.damaged, `${found.lastIndex} of ${index}`);
    await next.close();
  })());
});

Deno.test("broken batches are damage when there is a sound one behind them, however far, and however long that is", async () => {
  // A file is searched by 512 KiB: the second batch begins in the first of them and ends in the second, where the third is.
  const texts = ["short", "x".repeat(600 * 1024), "short"];
  for (const broken of [1, 2]) {
    const bench = new DiskBench("far");
    const environment = bench.live();
    const { disk } = environment;
    await bench.run((async () => {
      const logs = await openRaftLogs({ folder: "/raft", environment });
      await logs.create(testConfig(7));
      const log = await logs.open(7, silent);
      for (let index = 1; index <= broken + 1; index++) {
        log.append([testEntry(index, 1, texts[index - 1] as string)]);
        await new Promise<void>((resolve) => environment.setTimer(2, resolve));
      }
      await logs.close();
      const path = "/raft/wal-1.log";
      const bytes = await disk.readFile(path) as Uint8Array;
      const file = await disk.open(path, { mode: "create" });
      let at = FILE_HEADER_BYTES;
      for (let i = 0; i < broken; i++) {
        file.writeAt(new Uint8Array([~(bytes[at] as number)]), at);
        at = (readBatch(bytes, at, undefined) as FoundBatch).end;
      }
      file.close();
      // As if none of it was known to be durable.
      const mark = await readWatermark(disk, "/raft/wal.mark");
      if (mark === undefined) throw new Error("There is no watermark");
      await disk.remove("/raft/wal.mark");
      await (await WatermarkFile.open(
        "/raft/wal.mark",
        { ...mark, commit: 0 },
        environment,
        undefined,
      )).close();
      const next = await openRaftLogs({ folder: "/raft", environment });
      const found = await next.open(7, silent);
      assert(found.recovered.damaged, `${broken} broken`);
      await next.close();
    })());
  }
});
