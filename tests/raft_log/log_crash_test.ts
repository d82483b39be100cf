/**
 * Cuts the power, or kills the process, after every single disk operation of a
 * script, and looks whether everything that was acknowledged is there, and
 * nothing that was never put in. The quick form takes only some of the moments;
 * this one takes all of the moments of 100 scripts:
 *
 *     WHORL_RAFT_LOG_SEEDS=100 deno test -A tests/raft_log/log_crash_test.ts
 *
 * @module
 */
import { assert } from "@std/assert";
import { seededChance } from "../../src/base/chance.ts";
import { isWhorlError } from "../../src/base/errors.ts";
import { CrashMachine } from "./crash_machine.ts";

const seedsAsked = Deno.env.get("WHORL_RAFT_LOG_SEEDS");
const seeds = Number(seedsAsked ?? 3);
const stride = seedsAsked === undefined ? 17 : 1;
const ACTS = 40;

/** One script, with a crash after the operation `at` and perhaps another one soon after. Answers whether the script was over before. */
async function crashAt(seed: number, at: number): Promise<boolean> {
  const machine = new CrashMachine(seed);
  const { bench } = machine;
  const chance = seededChance(`${seed} ${at}`);
  const isDone = await machine.runUntil(machine.live(ACTS), at);
  bench.crash(chance.chance(0.3) ? "process" : "power");
  // Perhaps again, before it has come up or soon after.
  for (let again = 0; again < 2 && chance.chance(0.5); again++) {
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
  return isDone;
}

Deno.test("a log has, after a crash at any moment, what was acknowledged and nothing else", async () => {
  let crashes = 0;
  for (let seed = 0; seed < seeds; seed++) {
    for (let at = 1 + seed % stride, isDone = false; !isDone; at += stride) {
      try {
        isDone = await crashAt(seed, at);
      } catch (error) {
        throw new Error(`seed ${seed}, crash after operation ${at}`, {
          cause: error,
        });
      }
      crashes++;
    }
  }
  assert(crashes > 20 * seeds, `${crashes}`);
});

/** One script on a disk that begins to refuse, and a crash. Answers whether anybody was told. */
async function refuseAt(seed: number): Promise<boolean> {
  const machine = new CrashMachine(seed);
  const { bench, drivers } = machine;
  const { disk } = bench;
  const chance = seededChance(`refuse ${seed}`);
  await machine.runUntil(machine.live(ACTS), 30 + chance.below(400));
  bench.crash("process");
  if (chance.chance(0.3)) disk.full = true;
  else disk.writeErrorProbability = 0.02;
  // It may not even come up.
  const dying = machine.live(ACTS).catch((error) => {
    if (!isWhorlError(error)) throw error;
  });
  await machine.runUntil(dying, disk.counts.operations + chance.below(500));
  const isTold = drivers.some(({ failed }) => failed !== undefined);
  bench.crash(chance.chance(0.5) ? "process" : "power");
  disk.full = false;
  disk.writeErrorProbability = 0;
  // What a failed sync has left in the memory of the system must not pass for durable.
  await machine.runUntil(
    machine.live(ACTS),
    disk.counts.operations + chance.below(100),
  );
  bench.crash("power");
  await bench.run(machine.live(3));
  return isTold;
}

Deno.test("a log has what was acknowledged after its disk was full, or failed", async () => {
  let told = 0;
  const scripts = 30 * seeds;
  for (let seed = 0; seed < scripts; seed++) {
    try {
      if (await refuseAt(seed)) told++;
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  }
  assert(told > scripts / 4, `${told}`);
});
