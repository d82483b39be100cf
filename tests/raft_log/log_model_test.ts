/**
 * The log of a group beside a plain list in memory, under whatever order of
 * appends, overwrites, votes, snapshots, live reads and compactions.
 *
 * @module
 */
import { assert } from "@std/assert";
import fc from "fast-check";
import { seededChance } from "../../src/base/chance.ts";
import { openRaftLogs } from "../../src/raft/log/stored_raft_logs.ts";
import { DiskBench } from "../../src/simulation/testing/disk_bench.ts";
import { LogDriver, testConfig } from "./log_driver.ts";

const RUNS = Number(Deno.env.get("WHORL_RAFT_LOG_SEEDS") ?? 1) * 60;

const step = fc.record({
  seed: fc.nat(),
  pauseMs: fc.nat({ max: 5 }),
  then: fc.constantFrom("go on", "check", "open again"),
}, { noNullPrototype: true });

Deno.test("a log holds what a list in memory would", () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 60, size: "max" }),
      async (steps) => {
        const bench = new DiskBench("model");
        const environment = bench.live();
        const options = {
          folder: "/raft",
          environment,
          walBytesMax: 700,
          segmentEntriesMax: 5,
          segmentBytesMax: 400,
          compactEvery: 2,
        };
        const driver = new LogDriver(7, bench.chance);
        const pause = (ms: number): Promise<void> =>
          new Promise((resolve) => environment.setTimer(ms, resolve));
        const settle = async (): Promise<void> => {
          while (!driver.isIdle) await pause(1);
        };
        await bench.run((async () => {
          let logs = await openRaftLogs(options);
          await logs.create(testConfig(7));
          await driver.open(logs);
          for (const { seed, pauseMs, then } of steps) {
            driver.act(seededChance(seed));
            await pause(pauseMs);
            if (then === "go on") continue;
            await settle();
            await driver.check();
            if (then === "check" || seed % 4 > 0) continue;
            await logs.close();
            logs = await openRaftLogs(options);
            await driver.open(logs);
          }
          await settle();
          await driver.check();
          await logs.close();
          assert(driver.failed === undefined);
        })());
      },
    ),
    { numRuns: RUNS },
  ));
