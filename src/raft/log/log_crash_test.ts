/**
 * Cuts the power, or kills the process, after every single disk operation of a
 * script, and looks whether everything that was acknowledged is there, and
 * nothing that was never put in.
 *
 *     WHORL_RAFT_LOG_SEEDS=100 deno test -A src/raft/log/log_crash_test.ts
 *
 * @module
 */
import { assert } from "@std/assert";
import { seededChance } from "../../base/chance.ts";
import { DiskBench } from "../../simulation/testing/disk_bench.ts";
import type { RaftLogs } from "./raft_log.ts";
import { openRaftLogs } from "./stored_raft_logs.ts";
import { LogDriver, testConfig } from "./testing/log_driver.ts";

const seeds = Number(Deno.env.get("WHORL_RAFT_LOG_SEEDS") ?? 3);
const UIDS = [7, 8];
const ACTS = 40;

/** The life of a machine from a seed. */
class Machine {
  readonly bench: DiskBench;
  readonly drivers: LogDriver[];
  readonly #chance;
  #logs: RaftLogs | undefined;

  constructor(seed: number) {
    this.bench = new DiskBench(seed);
    this.#chance = seededChance(seed).fork("acts");
    this.drivers = UIDS.map((uid) =>
      new LogDriver(uid, this.#chance.fork(`group ${uid}`))
    );
  }

  /** Opens the logs, and acts until `count` acts are done. Never ends if the machine dies. */
  async live(count: number): Promise<void> {
    const environment = this.bench.live();
    const logs = await openRaftLogs({
      folder: "/raft",
      environment,
      walBytesMax: 900,
      segmentEntriesMax: 6,
      segmentBytesMax: 500,
      compactEvery: 2,
    });
    this.#logs = logs;
    for (const uid of UIDS) {
      if (logs.groups.every((group) => group.uid !== uid)) {
        await logs.create(testConfig(uid));
      }
    }
    for (const driver of this.drivers) await driver.open(logs);
    for (let i = 0; i < count; i++) {
      for (const driver of this.drivers) driver.act();
      const pauseMs = this.#chance.below(6);
      await new Promise<void>((resolve) =>
        environment.setTimer(pauseMs, resolve)
      );
    }
  }

  async close(): Promise<void> {
    await this.#logs?.close();
  }

  /** Lets time pass until `live` is done or so many operations of the disk are. Answers whether it is done. */
  async runUntil(live: Promise<void>, operations: number): Promise<boolean> {
    const { counts } = this.bench.disk;
    let isDone = false;
    let failure: unknown;
    live.then(() => isDone = true, (error) => failure = error);
    await this.bench.time.run(
      Infinity,
      () => isDone || failure !== undefined || counts.operations >= operations,
    );
    if (failure !== undefined) throw failure;
    return isDone;
  }
}

Deno.test("a log has, after a crash at any moment, what was acknowledged and nothing else", async () => {
  let crashes = 0;
  for (let seed = 0; seed < seeds; seed++) {
    for (let at = 1;; at++) {
      const machine = new Machine(seed);
      const { bench } = machine;
      const chance = seededChance(`${seed} ${at}`);
      try {
        const isDone = await machine.runUntil(machine.live(ACTS), at);
        bench.crash(at % 3 === 0 ? "process" : "power");
        // Perhaps once more, before it has come up again or soon after.
        if (chance.chance(0.5)) {
          const { operations } = bench.disk.counts;
          await machine.runUntil(
            machine.live(ACTS),
            operations + 1 + chance.below(60),
          );
          bench.crash(chance.chance(0.3) ? "process" : "power");
        }
        await bench.run(machine.live(3));
        await bench.run(machine.close());
        // In order as well.
        await bench.run(machine.live(1));
        crashes++;
        if (isDone) break;
      } catch (error) {
        console.error(`seed ${seed}, crash after operation ${at}`);
        throw error;
      }
    }
  }
  assert(crashes > 100 * seeds, `${crashes}`);
});
