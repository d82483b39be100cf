import { assert, assertEquals } from "@std/assert";
import {
  CHECKPOINTS_MAX,
  checkpointToDrop,
} from "../../src/raft/log/group_checkpoints.ts";
import type { GroupLog, RaftLogs } from "../../src/raft/log/raft_log.ts";
import { openRaftLogs } from "../../src/raft/log/stored_raft_logs.ts";
import type { SnapshotMeta } from "../../src/raft/raft_entry.ts";
import type { DiskImage } from "../../src/simulation/disk/simulated_disk.ts";
import { replaceFile } from "../../src/storage/atomic_file.ts";
import { DiskBench } from "../../src/simulation/testing/disk_bench.ts";
import { testConfig, testEntry, testMembership } from "./log_driver.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const silent = { onWritten() {}, onFailed() {}, onRotten() {} };
const SNAPSHOTS = "/raft/groups/7/snapshots";

function metaAt(index: number): SnapshotMeta {
  return { index, term: 1, membership: testMembership, machineVersion: 2 };
}

/** A group with entries 1 to 100, and checkpoints or a snapshot at some of them. */
class Checkpointed {
  readonly bench: DiskBench;
  logs!: RaftLogs;
  log!: GroupLog;

  constructor(seed: string, image?: DiskImage) {
    this.bench = new DiskBench(seed, {}, image);
  }

  run<T>(promise: Promise<T>): Promise<T> {
    return this.bench.run(promise);
  }

  async open(): Promise<void> {
    const environment = this.bench.live();
    this.logs = await this.run(openRaftLogs({ folder: "/raft", environment }));
    if (this.logs.groups.length === 0) {
      await this.run(this.logs.create(testConfig(7)));
    }
    this.log = await this.run(this.logs.open(7, silent));
    if (this.log.lastIndex > 0) return;
    const entries = Array.from(
      { length: 100 },
      (_, at) => testEntry(at + 1, 1, `${at + 1}`),
    );
    this.log.append(entries);
  }

  async take(...indexes: number[]): Promise<void> {
    for (const index of indexes) {
      await this.run(
        this.log.takeCheckpoint(
          metaAt(index),
          [encoder.encode(`state at `), encoder.encode(`${index}`)],
          [index],
        ),
      );
    }
  }

  get indexes(): number[] {
    return this.log.checkpoints.map(({ index }) => index);
  }

  /** What a restart would begin from. */
  async begin(): Promise<string | undefined> {
    const found = await this.run(this.log.readCheckpoint());
    if (found === undefined) return undefined;
    assertEquals(found.meta, metaAt(found.meta.index));
    return found.state.map((piece) => decoder.decode(piece)).join("");
  }

  async entries(first: number): Promise<number> {
    const entries = await this.run(
      Promise.resolve(this.log.entries(first, 100, Infinity)),
    );
    return entries.length;
  }

  get folders(): Promise<string[]> {
    return this.run(this.bench.live().disk.names(SNAPSHOTS));
  }
}

Deno.test("checkpointToDrop() lets go of the one whose neighbours are nearest, and of neither end", () => {
  assertEquals(checkpointToDrop([1, 5, 9]), 1);
  assertEquals(checkpointToDrop([1, 10, 20, 21, 40]), 2);
  assertEquals(checkpointToDrop([1, 2, 100, 200]), 1);
  const kept = Array.from({ length: 100 }, (_, at) => at).reduce<number[]>(
    (list, index) => {
      list.push(index);
      if (list.length > CHECKPOINTS_MAX) list.splice(checkpointToDrop(list), 1);
      return list;
    },
    [],
  );
  assertEquals([kept[0], kept.at(-1), kept.length], [0, 99, CHECKPOINTS_MAX]);
  const gaps = kept.slice(1).map((index, at) => index - kept[at]!);
  assert(Math.max(...gaps) <= 100 * 4 / CHECKPOINTS_MAX, `${kept}`);
});

Deno.test("takeCheckpoint() leaves the log as it is, and a restart begins from the newest one", async () => {
  const group = new Checkpointed("take");
  await group.open();
  assertEquals(await group.begin(), undefined);
  await group.take(20, 60, 40);
  assertEquals(group.indexes, [20, 60]);
  assertEquals([group.log.snapshot, await group.entries(1)], [undefined, 100]);
  group.bench.crash("power");
  await group.open();
  assertEquals(group.indexes, [20, 60]);
  assertEquals(await group.begin(), "state at 60");
  assertEquals([group.log.snapshot, await group.entries(1)], [undefined, 100]);
  await group.take(...Array.from({ length: 20 }, (_, at) => 61 + at));
  assertEquals(group.indexes.length, CHECKPOINTS_MAX);
  assertEquals((await group.folders).length, CHECKPOINTS_MAX);
  assertEquals(group.indexes.at(-1), 80);
});

Deno.test("promoteCheckpoint() lets the log begin behind the newest one that is not beyond the index", async () => {
  for (const again of [false, true]) {
    const group = new Checkpointed(`promote ${again}`);
    await group.open();
    await group.take(20, 40, 60);
    if (again) {
      await group.run(group.logs.close());
      await group.open();
    }
    assertEquals(await group.run(group.log.promoteCheckpoint(19)), undefined);
    assertEquals(
      await group.run(group.log.promoteCheckpoint(59)),
      metaAt(40),
    );
    assertEquals([group.log.snapshot, group.indexes], [metaAt(40), [60]]);
    const live = await group.run(Promise.resolve(group.log.read([20, 39, 40])));
    assertEquals([...live.keys()], [40]);
    group.bench.crash("power");
    await group.open();
    assertEquals([group.log.snapshot, group.indexes], [metaAt(40), [60]]);
    const stored = (await group.run(group.log.readSnapshot()))!;
    const pieces = await group.run(Array.fromAsync(stored.state));
    assertEquals(
      pieces.map((piece) => decoder.decode(piece)).join(""),
      "state at 40",
    );
    assertEquals([...stored.live], [40]);
    assertEquals(await group.begin(), "state at 60");
    assertEquals((await group.folders).length, 2);
  }
});

Deno.test("a snapshot, taken or received, lets go of the checkpoints before it", async () => {
  const group = new Checkpointed("passed");
  await group.open();
  await group.take(20, 40, 60);
  await group.run(
    group.log.takeSnapshot(metaAt(40), [encoder.encode("taken")], []),
  );
  assertEquals(group.indexes, [60]);
  const receiver = await group.run(group.log.receiveSnapshot(metaAt(80)));
  await group.run(receiver.writeState(encoder.encode("received")));
  await group.run(receiver.finish([]));
  assertEquals([group.indexes, group.log.snapshot?.index], [[], 80]);
  await group.take(90);
  assertEquals((await group.folders).length, 2);
});

Deno.test("a checkpoint with a damaged byte is none: an older one does, and nothing is lost", async () => {
  const group = new Checkpointed("damage");
  await group.open();
  await group.take(20, 40);
  await group.run(group.logs.close());
  const image = group.bench.disk.image();
  let bytes = 0;
  for (const file of ["state", "live"]) {
    for (let at = 0, isDone = false; !isDone; at++, bytes++) {
      const other = new Checkpointed("damaged", image);
      const { disk } = other.bench.live();
      const name = (await other.folders).find((name) => name.startsWith("40_"));
      const path = `${SNAPSHOTS}/${name}/${file}`;
      const content = (await other.run(disk.readFile(path)))!;
      content[at]! ^= 1;
      isDone = at === content.length - 1;
      await other.run(replaceFile(disk, path, content));
      await other.open();
      assertEquals(await other.begin(), "state at 20", `${path} at ${at}`);
      assertEquals(other.log.recovered.damaged, false);
      assertEquals(await other.entries(1), 100);
      assertEquals(
        await other.run(other.log.promoteCheckpoint(50)),
        metaAt(20),
      );
      assertEquals((await other.folders).length, 1);
    }
  }
  assert(bytes > 100, `${bytes}`);
});

Deno.test("a checkpoint that rots while its group is open does not become a snapshot", async () => {
  const group = new Checkpointed("rot");
  await group.open();
  await group.take(20, 40);
  const name = (await group.folders).find((name) => name.startsWith("40_"));
  const path = `${SNAPSHOTS}/${name}/state`;
  const { disk } = group.bench.live();
  const content = (await group.run(disk.readFile(path)))!;
  content[content.length - 20]! ^= 1;
  await group.run(replaceFile(disk, path, content));
  assertEquals(await group.run(group.log.promoteCheckpoint(50)), metaAt(20));
  assertEquals([group.indexes, await group.entries(21)], [[], 80]);
});
