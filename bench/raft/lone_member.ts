/**
 * A member of a group of `ra_kv` alone, whose log is on a real disk, and how long
 * what it does keeps others on its node waiting: the longest time between two
 * turns of the event loop, and what the thread worked in that time, as other
 * programs work as well.
 *
 * @module
 */
// deno-lint-ignore-file no-console -- for programs that print
import { seededChance } from "../../src/base/chance.ts";
import { WhorlError } from "../../src/base/errors.ts";
import { silentLog } from "../../src/environment/log.ts";
import { RA_KV_MACHINE } from "../../src/ra_kv/ra_kv_command_codec.ts";
import { raKvMachine, type RaKvState } from "../../src/ra_kv/ra_kv_machine.ts";
import { openRaftLogs } from "../../src/raft/log/stored_raft_logs.ts";
import type { RaftMachine } from "../../src/raft/machine.ts";
import { RaftSystemProcess } from "../../src/raft/raft_system.ts";
import { systemStorage } from "../../src/storage/testing/system_storage.ts";

/** Name of the group. */
export const GROUP = "g";
/** Its machine. */
export const machine: RaftMachine<RaKvState> = raKvMachine({ hashSeed: 1 });

/** Processor time of this thread, in milliseconds. */
function workedMs(): number {
  const path = `/proc/self/task/${Deno.pid}/schedstat`;
  return Number(Deno.readTextFileSync(path).split(" ")[0]) / 1e6;
}

/** Tells the longest time between two turns of the event loop while `work` is done. */
export async function longestBlock<T>(
  what: string,
  work: () => Promise<T>,
): Promise<T> {
  let longest = 0;
  let longestWork = 0;
  let last = performance.now();
  let lastWork = workedMs();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const note = (): void => {
    const now = performance.now();
    const work = workedMs();
    longest = Math.max(longest, now - last);
    longestWork = Math.max(longestWork, work - lastWork);
    last = now;
    lastWork = work;
  };
  const look = (): void => {
    note();
    timer = setTimeout(look, 0);
  };
  look();
  const startMs = performance.now();
  try {
    return await work();
  } finally {
    note();
    clearTimeout(timer);
    console.log(
      `${what.padEnd(28)} ${
        Math.round(performance.now() - startMs)
      } ms, longest block ${longest.toFixed(1)} ms, of work ${
        longestWork.toFixed(1)
      } ms`,
    );
  }
}

/**
 * Opens the logs in `folder` and starts what they hold.
 *
 * @param snapshotEntriesMin Entries after which it takes a snapshot by itself.
 */
export async function startSystem(
  folder: string,
  snapshotEntriesMin: number,
): Promise<{
  readonly system: RaftSystemProcess;
  readonly stop: () => Promise<void>;
}> {
  const alone = new WhorlError("not_reachable", "alone");
  const logs = await longestBlock(
    "logs opened",
    () => openRaftLogs({ folder, environment: systemStorage }),
  );
  const system = new RaftSystemProcess({
    node: "a@h",
    runtime: systemStorage,
    wallClock: Date.now,
    chance: seededChance(1),
    log: silentLog,
    logs,
    machines: new Map([[RA_KV_MACHINE, machine as RaftMachine]]),
    snapshotEntriesMin,
    begin: () => undefined,
    end: () => {},
    isUp: () => false,
    secretNumber: () => 999,
    call: () => Promise.reject(alone),
    connect: () => Promise.reject(alone),
    onReport: () => {},
    failed: (error) => console.error(error),
  });
  await longestBlock("start", () => system.start());
  const stop = async (): Promise<void> => {
    await system.stopMember(GROUP);
    await system.close();
    await logs.close();
  };
  return { system, stop };
}
