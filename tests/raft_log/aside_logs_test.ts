/**
 * Logs that are put aside: which stay, and for how long.
 */
import { assertEquals } from "@std/assert";
import type { WhorlError } from "../../src/base/errors.ts";
import { ASIDE_LOGS_MAX, AsideLogs } from "../../src/raft/log/aside_logs.ts";
import type { RaftLogs } from "../../src/raft/log/raft_log.ts";
import { openRaftLogs } from "../../src/raft/log/stored_raft_logs.ts";
import { DiskBench } from "../../src/simulation/testing/disk_bench.ts";
import { replaceFile } from "../../src/storage/atomic_file.ts";
import { testConfig, testEntry } from "./log_driver.ts";

const FOLDER = "/raft";
const silent = { onWritten() {}, onFailed() {}, onRotten() {} };

/** Logs on a simulated disk, and which that were put aside had to go. */
class AsideBench {
  readonly bench: DiskBench;
  readonly removed: string[] = [];
  logs!: RaftLogs;

  constructor(seed: string) {
    this.bench = new DiskBench(seed);
  }

  async open(asideBytesMax?: number): Promise<void> {
    this.logs = await this.bench.run(openRaftLogs({
      folder: FOLDER,
      environment: this.bench.live(),
      ...(asideBytesMax === undefined ? {} : { asideBytesMax }),
      onAsideRemoved: (folder, failure: WhorlError | undefined) =>
        this.removed.push(
          `${folder.split("/").at(-1)} ${failure?.code ?? "gone"}`,
        ),
    }));
  }

  /** Makes a group with a snapshot of `byteCount` bytes and puts it aside. */
  async putAside(uid: number, byteCount = 0): Promise<void> {
    const { bench, logs } = this;
    await bench.run(logs.create(testConfig(uid)));
    if (byteCount > 0) {
      const log = await bench.run(logs.open(uid, silent));
      log.append([testEntry(1, 1, "there")]);
      const membership = log.config.initial;
      await bench.run(
        log.takeSnapshot(
          { index: 1, term: 1, membership, machineVersion: 0 },
          [new Uint8Array(byteCount)],
          [],
        ),
      );
      await bench.run(log.close());
    }
    await bench.run(logs.putAside(uid));
  }

  async folders(): Promise<number[]> {
    const { disk } = this.bench.live();
    const names = await this.bench.run(disk.names(`${FOLDER}/groups`));
    return names.map(Number).toSorted((a, b) => a - b);
  }
}

Deno.test("of logs put aside the oldest goes when there are too many, whatever its number", async () => {
  const aside = new AsideBench("many");
  await aside.open();
  const uids = Array.from({ length: ASIDE_LOGS_MAX }, (_, at) => 100 - at);
  for (const uid of uids) await aside.putAside(uid);
  assertEquals(aside.removed, []);
  await aside.putAside(101);
  await aside.bench.run(aside.logs.close());
  assertEquals(aside.removed, ["100 gone"]);
  // Another life knows which is the oldest.
  await aside.open();
  await aside.putAside(102);
  assertEquals(aside.removed, ["100 gone", "99 gone"]);
  assertEquals(
    await aside.folders(),
    [...uids.slice(2), 101, 102].toSorted((a, b) => a - b),
  );
});

Deno.test("of logs put aside the oldest go when they are too large, and the newest never", async () => {
  const aside = new AsideBench("large");
  await aside.open(40_000);
  await aside.putAside(1, 10_000);
  await aside.putAside(2, 10_000);
  await aside.putAside(3, 10_000);
  assertEquals(aside.removed, []);
  await aside.putAside(4, 25_000);
  assertEquals(aside.removed, ["1 gone", "2 gone"]);
  await aside.putAside(5, 100_000);
  assertEquals(aside.removed.slice(2), ["3 gone", "4 gone"]);
  await aside.bench.run(aside.logs.close());
  // Also by a smaller bound, when the logs are opened.
  await aside.open(10);
  assertEquals([await aside.folders(), aside.removed.length], [[5], 4]);
});

Deno.test("one that an older version put aside is older than all others", async () => {
  const aside = new AsideBench("older");
  await aside.open();
  await aside.putAside(1, 10_000);
  await aside.putAside(2, 10_000);
  const { disk } = aside.bench.live();
  await aside.bench.run(disk.remove(`${FOLDER}/groups/2/aside-2`));
  await aside.bench.run(aside.logs.close());
  await aside.open(15_000);
  assertEquals(aside.removed, ["2 gone"]);
  assertEquals(await aside.folders(), [1]);
});

Deno.test("a log put aside that cannot be removed keeps no other from being put aside", async () => {
  const { bench } = new AsideBench("stuck");
  const real = bench.live().disk;
  const disk = new Proxy(real, {
    get(target, name) {
      if (name === "remove") {
        return (path: string) =>
          path === "/1/manifest.aside"
            ? Promise.reject(
              Object.assign(new Error("busy"), { code: "EBUSY" }),
            )
            : target.remove(path);
      }
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const removed: string[] = [];
  const aside = new AsideLogs(disk, 0, (folder, failure) => {
    removed.push(`${folder} ${failure?.code ?? "gone"}`);
  });
  for (const folder of ["/1", "/2", "/3"]) {
    await bench.run((async () => {
      await disk.makeFolder(folder);
      await replaceFile(disk, `${folder}/manifest`, new Uint8Array([1]));
      await aside.add(folder);
      await aside.makeRoom();
    })());
  }
  assertEquals(removed, ["/1 store_unavailable", "/2 gone"]);
});
