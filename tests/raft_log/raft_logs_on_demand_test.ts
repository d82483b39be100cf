import { assert, assertEquals, assertRejects } from "@std/assert";
import { WhorlError } from "../../src/base/errors.ts";
import type { RaftLogs } from "../../src/raft/log/raft_log.ts";
import { openRaftLogsOnDemand } from "../../src/raft/log/raft_logs_on_demand.ts";
import { DiskBench } from "../../src/simulation/testing/disk_bench.ts";
import { testConfig } from "./log_driver.ts";

const FOLDER = "/raft";
const silent = { onWritten() {}, onFailed() {}, onRotten() {} };

function open(bench: DiskBench): Promise<RaftLogs> {
  return openRaftLogsOnDemand({ folder: FOLDER, environment: bench.live() });
}

Deno.test("openRaftLogsOnDemand() leaves nothing on a disk while there is nothing to keep", async () => {
  const bench = new DiskBench("nothing to keep");
  const logs = await bench.run(open(bench));
  assertEquals(logs.groups, []);
  assertEquals(logs.unreadable, []);
  assert(!logs.isDeleted(1));
  await assertRejects(() => logs.open(1, silent), WhorlError, "no groups");
  await assertRejects(() => logs.remove(1), WhorlError, "no groups");
  await bench.run(logs.close());
  const { disk } = bench.live();
  assertEquals(await bench.run(disk.names("/")), []);
  assertEquals(bench.disk.counts.syncs, 0);
});

Deno.test("openRaftLogsOnDemand() begins the logs once for all who need them, and keeps what they say through power loss", async () => {
  for (let seed = 0; seed < 20; seed++) {
    const bench = new DiskBench(`begun ${seed}`);
    const logs = await bench.run(open(bench));
    await bench.run(
      Promise.all([
        logs.create(testConfig(1)),
        logs.noteDeleted(9),
        logs.create(testConfig(2)),
      ]),
    );
    bench.crash("power");
    const next = await bench.run(open(bench));
    assertEquals(next.groups.map(({ uid }) => uid).sort(), [1, 2]);
    assert(next.isDeleted(9));
    await bench.run(next.close());
  }
});

Deno.test("openRaftLogsOnDemand() tries again when logs could not be begun", async () => {
  const bench = new DiskBench("full");
  const logs = await bench.run(open(bench));
  bench.disk.full = true;
  const errors = await bench.run(Promise.all([
    logs.create(testConfig(1)).catch((error) => error),
    logs.create(testConfig(2)).catch((error) => error),
  ]));
  assertEquals(errors.map(({ code }) => code), ["store_full", "store_full"]);
  bench.disk.full = false;
  await bench.run(logs.create(testConfig(1)));
  assertEquals(logs.groups.map(({ uid }) => uid), [1]);
  await bench.run(logs.close());
});

Deno.test("openRaftLogsOnDemand() closes logs that are just being begun, and begins none afterwards", async () => {
  const bench = new DiskBench("closed");
  const logs = await bench.run(open(bench));
  const creating = logs.create(testConfig(1)).catch((error) => error);
  await bench.run(logs.close());
  assertEquals((await bench.run(creating)).code, "closed");
  await assertRejects(() => logs.create(testConfig(2)), WhorlError, "closed");
  // Whatever has been begun is whole.
  const next = await bench.run(open(bench));
  assertEquals(next.groups, []);
  await bench.run(next.close());
});
