/**
 * A snapshot that comes from a leader: what must have come with it.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { isWhorlError } from "../../src/base/errors.ts";
import { openRaftLogs } from "../../src/raft/log/stored_raft_logs.ts";
import { DiskBench } from "../../src/simulation/testing/disk_bench.ts";
import { testConfig, testEntry } from "./log_driver.ts";

const silent = { onWritten() {}, onFailed() {}, onRotten() {} };
const LIVE = [3, 5, 8, 9];

/** What becomes of a snapshot at 10 of a log with three entries, if those at `sent` come with it. */
async function received(
  sent: readonly number[],
  appliedIndex?: number,
): Promise<string> {
  const bench = new DiskBench("received");
  const logs = await bench.run(openRaftLogs({
    folder: "/raft",
    environment: bench.live(),
  }));
  await bench.run(logs.create(testConfig(7)));
  const log = await bench.run(logs.open(7, silent));
  log.append([1, 2, 3].map((index) => testEntry(index, 1, `at ${index}`)));
  const meta = {
    index: 10,
    term: 2,
    membership: log.config.initial,
    machineVersion: 0,
  };
  const outcome = await bench.run((async () => {
    const receiver = await log.receiveSnapshot(meta);
    await receiver.writeLive(
      sent.map((index) => testEntry(index, 1, `at ${index}`)),
    );
    await receiver.writeState(new Uint8Array(5));
    try {
      await receiver.finish(LIVE, appliedIndex);
    } catch (error) {
      if (!isWhorlError(error)) throw error;
      return error.code;
    }
    const found = await log.read(LIVE);
    return `has ${[...found.keys()].toSorted((a, b) => a - b)}`;
  })());
  // One that was refused leaves nothing.
  const names = await bench.run(
    bench.live().disk.names("/raft/groups/7/snapshots"),
  );
  assertEquals(names.length, outcome.startsWith("has") ? 1 : 0);
  await bench.run(logs.close());
  return outcome;
}

Deno.test("a received snapshot counts only with every live entry that the member has not applied", async () => {
  assertEquals(await received([5, 8, 9], 3), "has 3,5,8,9");
  assertEquals(await received([5, 8, 9], 4), "has 3,5,8,9");
  for (const sent of [[], [9], [8, 9], [5, 9], [5, 8]]) {
    assertEquals(await received(sent, 3), "invalid_argument", `${sent}`);
  }
  assertEquals(await received([8, 9], 5), "has 3,8,9");
});

Deno.test("a received snapshot of which nobody knows what was to come must be whole from the first entry on that came", async () => {
  assertEquals(await received([8, 9]), "has 3,8,9");
  assertEquals(await received([]), "has 3");
  assertEquals(await received([5, 9]), "invalid_argument");
});
