import { assertEquals } from "@std/assert";
import type { StorageEnvironment } from "../../src/environment/environment.ts";
import { DiskBench } from "../../src/simulation/testing/disk_bench.ts";
import { WatermarkFile } from "../../src/storage/commit_watermark.ts";
import { Wal } from "../../src/raft/log/wal.ts";
import type { WalGroup } from "../../src/raft/log/wal_batch.ts";

const STORE_ID = "00".repeat(8);
/** Full with its first batch. */
const FILE_BYTES = 128;

async function openWal(environment: StorageEnvironment): Promise<Wal> {
  const folder = "/raft";
  await environment.disk.makeFolder(folder);
  return await Wal.open(environment, {
    folder,
    storeId: STORE_ID,
    mark: await WatermarkFile.open(
      `${folder}/wal.mark`,
      { storeId: STORE_ID, epoch: 1, commit: 0 },
      environment,
      undefined,
    ),
    fileNumber: 1,
    nextBatch: 1,
    closed: [],
    unsure: undefined,
    fileBytesMax: FILE_BYTES,
    closedFilesMax: 4,
    onClosed() {},
    onFailed() {},
  });
}

// Raft seed 2001808: taking over a file failed while a batch was synced, and the
// node stopped.
Deno.test("a write-ahead log that fails during a sync says nothing more when the sync ends", async () => {
  const bench = new DiskBench("wal", {
    weather: { syncMsMin: 5, syncMsMax: 5, liesAboutSync: false },
  });
  const environment = bench.live();
  const wal = await bench.run(openWal(environment));
  const durable: number[] = [];
  const group: WalGroup = {
    uid: 7,
    batch: undefined,
    place: 0,
    cuts: 0,
    onDurable: (index) => void durable.push(index),
  };
  wal.putEntry(group, 1, 1, new Uint8Array(FILE_BYTES));
  const written = wal.written();
  await bench.time.run(bench.time.now() + 1);
  wal.fail(new Error("segments are full"));
  assertEquals(
    await written.then(() => "written", (error) => error.code),
    "internal",
  );
  await bench.run(wal.close());
  await bench.time.run(bench.time.now() + 100);
  assertEquals(durable, []);
});
