/**
 * A machine on which two groups keep their logs, that dies now and then.
 *
 * @module
 */
import { type Chance, seededChance } from "../../src/base/chance.ts";
import { DiskBench } from "../../src/simulation/testing/disk_bench.ts";
import type { RaftLogs } from "../../src/raft/log/raft_log.ts";
import { openRaftLogs } from "../../src/raft/log/stored_raft_logs.ts";
import { LogDriver, testConfig } from "./log_driver.ts";

const UIDS = [7, 8];

/** One of them, from a seed. */
export class CrashMachine {
  readonly bench: DiskBench;
  readonly drivers: readonly LogDriver[];
  readonly #chance: Chance;
  #logs: RaftLogs | undefined;

  constructor(seed: number) {
    // Where syncs take their time, more is under way at once.
    this.bench = new DiskBench(seed, {
      weather: {
        syncMsMin: 0,
        syncMsMax: seed % 2 === 0 ? 0 : 6,
        liesAboutSync: false,
      },
      operationMsMax: seed % 3,
    });
    this.#chance = seededChance(seed).fork("acts");
    this.drivers = UIDS.map((uid) =>
      new LogDriver(uid, this.#chance.fork(`group ${uid}`))
    );
  }

  /** Opens the logs, looks what is there, and acts so often. Never ends if the machine dies. */
  async live(acts: number): Promise<void> {
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
    for (let i = 0; i < acts; i++) {
      for (const driver of this.drivers) driver.act();
      const pauseMs = this.#chance.below(6);
      await new Promise<void>((resolve) =>
        environment.setTimer(pauseMs, resolve)
      );
    }
  }

  /** Closes the logs in order. */
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
