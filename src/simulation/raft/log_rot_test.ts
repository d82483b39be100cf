import { assert, assertEquals } from "@std/assert";
import {
  BATCH_HEADER_BYTES,
  encodeFileHeader,
  LINE_BYTES,
  RecordKind,
  sealBatch,
  setLine,
} from "../../raft/log/wal_codec.ts";
import { DiskBench } from "../testing/disk_bench.ts";
import { rotLog } from "./log_rot.ts";

const PATH = "/raft/wal-2.log";

/** A batch with one vote in it. */
function batchOf(salt: number, number: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(BATCH_HEADER_BYTES + LINE_BYTES);
  const view = new DataView(bytes.buffer);
  setLine(view, BATCH_HEADER_BYTES, RecordKind.vote, 7, 0, number, 0, 0);
  sealBatch(bytes, view, salt, number, 1, 0);
  return bytes;
}

// Raft seed 2002614: the last batch was hit, as older content stood behind it.
Deno.test("rotLog() never hits the last batch of a log, not even in a file that is used again", async () => {
  const present = [
    encodeFileHeader({ storeId: "00".repeat(8), salt: 1, number: 2 }),
    batchOf(1, 5),
    batchOf(1, 6),
  ];
  const content = new Uint8Array(
    [...present, batchOf(2, 3), batchOf(2, 4)].flatMap((part) => [...part]),
  );
  const lastAt = present.slice(0, 2)
    .reduce((bytes, { length }) => bytes + length, 0);
  const hit = new Set<number>();
  for (let seed = 0; seed < 200; seed++) {
    const bench = new DiskBench(seed);
    const { disk } = bench.live();
    await bench.run((async () => {
      await disk.makeFolder("/raft");
      const file = await disk.open(PATH, { mode: "create_new" });
      file.writeAt(content, 0);
      file.close();
      assertEquals(rotLog(bench.disk, "wal"), PATH);
      const after = await disk.readFile(PATH) as Uint8Array;
      const at = after.findIndex((byte, place) => byte !== content[place]);
      assert(at >= 0 && at < lastAt, `seed ${seed} hits byte ${at}`);
      hit.add(at);
    })());
  }
  assert(hit.size > 20, "many places are hit");
});
