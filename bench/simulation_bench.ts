/**
 * What simulated clusters cost: small schedules (3 nodes, ring 8, 50 operations,
 * at least one fault) one after the other, each from the start of its nodes to
 * the last check. Goal: 10 ms of processor time a seed, which is 100 seeds a
 * second and core, and 1,000 times real time.
 *
 * The floor is the clock alone, which calls as many events that do nothing and
 * sees after each that no promise is left that could go on.
 *
 *     deno bench --allow-env --allow-sys --allow-read \
 *       --v8-flags=--min-semi-space-size=64,--max-semi-space-size=64,--no-parallel-scavenge,--always-sparkplug \
 *       bench/simulation_bench.ts
 *
 * Other work on the machine makes the times longer and the processor time much
 * less so. So that is told as well, garbage collection and compiling in other
 * threads included.
 */
import process from "node:process";
import { simulate } from "../src/simulation/simulate.ts";
import { VirtualTime } from "../src/simulation/virtual_time.ts";

/** Seeds of one run; what they draw is as mixed as what thousands do. */
const SEEDS = 100;
/** Seeds before it, so that what is measured is compiled. */
const WARMUP_SEEDS = 100;
/** Events of a small schedule, about. */
const EVENTS = 2_000;

function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

for (let seed = SEEDS + 1; seed <= SEEDS + WARMUP_SEEDS; seed++) {
  await simulate({ seed });
}

Deno.bench({
  name: `${SEEDS} small schedules`,
  n: 3,
  warmup: 1,
  async fn() {
    const beginMs = processorMs();
    let events = 0, virtualMs = 0, failed = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const result = await simulate({ seed });
      events += result.events;
      virtualMs += result.virtualMs;
      if (result.violations.length > 0) failed++;
    }
    const ms = processorMs() - beginMs;
    // deno-lint-ignore no-console
    console.error(
      `${(ms / SEEDS).toFixed(1)} ms of processor a seed, ` +
        `${(events / SEEDS).toFixed(0)} events a seed, ` +
        `${(events / ms * 1_000).toFixed(0)} events/s, ` +
        `${(virtualMs / ms).toFixed(0)} times real time, ${failed} failed`,
    );
  },
});

Deno.bench({
  name: `the clock alone, ${EVENTS} events`,
  n: 20,
  warmup: 5,
  async fn() {
    const time = new VirtualTime();
    for (let event = 0; event < EVENTS; event++) time.schedule(event, () => {});
    await time.run(EVENTS);
  },
});
