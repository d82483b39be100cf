import { assert, assertEquals } from "@std/assert";
import { isWhorlError } from "../../src/base/errors.ts";
import type { Disk } from "../../src/environment/disk.ts";
import { DiskBench } from "../../src/simulation/testing/disk_bench.ts";
import { IndexRanges } from "../../src/raft/log/index_ranges.ts";
import {
  readState,
  SnapshotWriter,
} from "../../src/raft/log/snapshot_files.ts";
import { WorkPace } from "../../src/raft/log/work_pace.ts";

const FOLDER = "/snapshot";
const PIECES = [Uint8Array.of(1, 2, 3), Uint8Array.of(4, 5)];

/** The pieces of the snapshot up to its end or to what is damaged, and how that ended. */
async function read(disk: Disk) {
  const pieces: Uint8Array[] = [];
  try {
    for await (const piece of readState(disk, FOLDER)) pieces.push(piece);
  } catch (error) {
    assert(isWhorlError(error, "store_corrupt"), `${error}`);
    return { pieces, isWhole: false };
  }
  return { pieces, isWhole: true };
}

// Raft seed 2000865: the end of a snapshot was taken for a piece, and the
// machine refused that instead of the log noticing the damage.
Deno.test("readState() gives out no piece that was not written, whichever bit is wrong", async () => {
  const bench = new DiskBench("snapshot");
  const environment = bench.live();
  const { disk } = environment;
  await bench.run((async () => {
    const pace = new WorkPace(environment, 1_000_000_000);
    const writer = await SnapshotWriter.begin(disk, pace, FOLDER);
    for (const piece of PIECES) await writer.write(piece);
    await writer.finish({
      index: 1,
      term: 1,
      membership: { index: 0, members: [] },
      machineVersion: 0,
    }, IndexRanges.none);
    assertEquals(await read(disk), { pieces: PIECES, isWhole: true });

    const path = `${FOLDER}/state`;
    const content = await disk.readFile(path) as Uint8Array<ArrayBuffer>;
    for (let bit = 0; bit < content.length * 8; bit++) {
      const damaged = content.slice();
      damaged[bit >>> 3] = (damaged[bit >>> 3] as number) ^ 1 << (bit & 7);
      await disk.remove(path);
      const file = await disk.open(path, { mode: "create_new" });
      file.writeAt(damaged, 0);
      file.close();
      const { pieces, isWhole } = await read(disk);
      assertEquals(pieces, PIECES.slice(0, pieces.length), `bit ${bit}`);
      assertEquals(isWhole, false, `bit ${bit}`);
    }
  })());
});
