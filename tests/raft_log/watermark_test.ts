import { assertEquals } from "@std/assert";
import type { StorageEnvironment } from "../../src/environment/environment.ts";
import { DiskBench } from "../../src/simulation/testing/disk_bench.ts";
import {
  readWatermark,
  WatermarkFile,
} from "../../src/storage/commit_watermark.ts";

const storeId = "0123456789abcdef";

async function openAt(
  environment: StorageEnvironment,
  commit: number,
): Promise<WatermarkFile> {
  const found = await readWatermark(environment.disk, "/mark");
  return await WatermarkFile.open(
    "/mark",
    { storeId, epoch: 1, commit },
    environment,
    found,
  );
}

Deno.test("WatermarkFile.open() leaves the slot that is whole alone until the other one is as well", async () => {
  for (const damaged of [0, 1] as const) {
    for (let seed = 0; seed < 20; seed++) {
      const bench = new DiskBench(seed);
      const environment = bench.live();
      await bench.run((async () => {
        const file = await openAt(environment, 1);
        file.note(2);
        await file.close();
      })());
      const { disk } = environment;
      await bench.run((async () => {
        const file = await disk.open("/mark", { mode: "create" });
        file.writeAt(new Uint8Array(20), damaged * 512);
        await file.sync();
      })());
      // It dies while it writes the first of its slots.
      openAt(bench.live(), 3);
      await bench.happen(2);
      bench.crash("power");
      const mark = await bench.run(readWatermark(bench.live().disk, "/mark"));
      assertEquals(mark?.storeId, storeId);
    }
  }
});
