import { assert, assertEquals, assertRejects } from "@std/assert";
import { WhorlError } from "../../src/base/errors.ts";
import type { RaftLogs } from "../../src/raft/log/raft_log.ts";
import { openRaftLogsOnDemand } from "../../src/raft/log/raft_logs_on_demand.ts";
import { DiskBench } from "../../src/simulation/testing/disk_bench.ts";
import { testConfig, testEntry } from "./log_driver.ts";

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

/** Events of the simulated machine within which logs are begun and all is kept. */
const BEGUN_EVENTS = 70;

/** A crash after so many events of the first group and the first note. Answers what had been acknowledged by then. */
async function crashWhileBegun(
  seed: number,
  events: number,
  how: "process" | "power",
): Promise<string> {
  const bench = new DiskBench(`begun ${seed}`);
  const logs = await bench.run(open(bench));
  const done: string[] = [];
  logs.create(testConfig(1)).then(() => done.push("group"));
  logs.noteDeleted(9).then(() => done.push("note"));
  await bench.happen(events);
  bench.crash(how);

  const next = await bench.run(open(bench));
  assertEquals(next.unreadable, []);
  const isThere = next.groups.length > 0;
  assert(isThere || !done.includes("group"), "the group is lost");
  assert(next.isDeleted(9) || !done.includes("note"), "the note is lost");
  if (!isThere) await bench.run(next.create(testConfig(1)));
  assertEquals(next.groups, [testConfig(1)]);
  await bench.run(next.noteDeleted(10));
  const written = Promise.withResolvers<number>();
  const log = await bench.run(next.open(1, {
    onWritten: written.resolve,
    onFailed: written.reject,
    onRotten: written.reject,
  }));
  assertEquals([log.recovered.damaged, log.lastIndex], [false, 0]);
  log.append([testEntry(1, 1, "first")]);
  assertEquals(await bench.run(written.promise), 1);
  bench.crash("power");

  const last = await bench.run(open(bench));
  assertEquals([last.groups, last.unreadable], [[testConfig(1)], []]);
  assert(last.isDeleted(10) && (last.isDeleted(9) || !done.includes("note")));
  const { damaged, lastIndex } =
    (await bench.run(last.open(1, silent))).recovered;
  assertEquals([damaged, lastIndex], [false, 1]);
  await bench.run(last.close());
  return done.sort().join(" and ");
}

Deno.test("openRaftLogsOnDemand() begins logs whole or goes on with them after a crash at any moment", async () => {
  const seen = new Set<string>();
  for (const how of ["process", "power"] as const) {
    for (let seed = 0; seed < 3; seed++) {
      for (let events = 0; events < BEGUN_EVENTS; events++) {
        try {
          seen.add(await crashWhileBegun(seed, events, how));
        } catch (cause) {
          throw new Error(`seed ${seed}, ${how} after event ${events}`, {
            cause,
          });
        }
      }
    }
  }
  // The last crashes came after everything, and the others before.
  assert(seen.has("") && seen.has("group and note"), [...seen].join(", "));
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
