/**
 * A process that appends to a log on the real disk, takes snapshots, and writes
 * out what was acknowledged, until it is killed.
 *
 *     deno run -A tests/raft_log/append_forever.ts <folder>
 *
 * @module
 */
import { systemStorage } from "../../src/storage/testing/system_storage.ts";
import { openRaftLogs } from "../../src/raft/log/stored_raft_logs.ts";
import { testConfig, testEntry, testMembership } from "./log_driver.ts";

const encoder = new TextEncoder();

function tell(line: string): void {
  Deno.stdout.writeSync(encoder.encode(`${line}\n`));
}

const logs = await openRaftLogs({
  folder: Deno.args[0] as string,
  environment: systemStorage,
  walBytesMax: 20_000,
  segmentEntriesMax: 100,
  compactEvery: 2,
});
if (logs.groups.length === 0) await logs.create(testConfig(7));
let written: () => void = () => {};
const log = await logs.open(7, {
  onWritten(index) {
    tell(`written ${index}`);
    written();
  },
  onFailed(error) {
    throw error;
  },
  onRotten(error) {
    throw error;
  },
});
tell(`found ${log.lastIndex}`);
while (true) {
  const durable = new Promise<void>((resolve) => written = resolve);
  const first = log.lastIndex + 1;
  log.append(
    Array.from(
      { length: 5 },
      (_, i) => testEntry(first + i, 1, `entry ${first + i}`),
    ),
  );
  await durable;
  if (log.lastIndex % 400 !== 0) continue;
  const index = log.lastIndex - 50;
  const live = Array.from({ length: index / 10 }, (_, i) => 10 * (i + 1));
  log.takeSnapshot(
    {
      index,
      term: 1,
      membership: { ...testMembership, index },
      machineVersion: 1,
    },
    [encoder.encode(`state at ${index}`)],
    live,
  ).then(() => tell(`snapshot ${index}`));
}
