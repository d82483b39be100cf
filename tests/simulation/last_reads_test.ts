import { assert, assertEquals } from "@std/assert";
import {
  kvChecks,
  type ScriptContext,
  simulate,
} from "../../src/simulation/mod.ts";
import type { SimulatedProcess } from "../../src/simulation/simulated_process.ts";

/** Longer than a node takes to be suspected, in virtual milliseconds. */
const UNTIL_SUSPECTED_MS = 8_000;
/** Longer than the checks wait for repairs. */
const STANDS_STILL_MS = 4_000;

// Seeds 62228 and 65662 had their last reads answered by fallbacks, which repair no primary.
Deno.test("kvChecks() reads from primaries, also while one is suspected that has lost what it had", async () => {
  for (const seed of [1, 2]) {
    let story: ScriptContext | undefined;
    let lost = 0;
    const { violations } = await simulate({
      seed,
      start: "formed",
      faults: [],
      script: (context) => {
        story = context;
        return Promise.resolve();
      },
      check: (run) => {
        const strike = async (): Promise<void> => {
          const { wipe, machine } = story as ScriptContext;
          const ofOne = (await run.stored("kv")).filter(({ host }) =>
            host === "n2"
          );
          lost = ofOne.length;
          const partitions = new Set(ofOne.map(({ partition }) => partition));
          for (const partition of partitions) await wipe(1, partition);
          const process = machine(1).process as SimulatedProcess;
          process.pause();
          await run.sleep(UNTIL_SUSPECTED_MS);
          void run.sleep(STANDS_STILL_MS).then(() => process.resume());
        };
        let struck: Promise<void> | undefined;
        return kvChecks({
          ...run,
          eventually: async (what, ask) => {
            // Between the look at what is at home and the first read.
            struck ??= strike();
            await struck;
            return await run.eventually(what, ask);
          },
        });
      },
    });
    assert(lost > 0, `seed ${seed}`);
    assertEquals(violations, [], `seed ${seed}`);
  }
});
