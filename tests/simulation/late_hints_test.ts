import { assert, assertEquals } from "@std/assert";
import type { StoredValue } from "../../src/simulation/finished_run.ts";
import { kvChecks, simulate } from "../../src/simulation/mod.ts";

/**
 * What is violated in a run without faults in which another node has a copy of
 * something for `forMs` virtual milliseconds after all data was at home.
 */
async function violationsWith(forMs: number): Promise<string[]> {
  let strayed = false;
  const { violations } = await simulate({
    seed: 1,
    start: "formed",
    faults: [],
    check: (run) => {
      const untilMs = run.now() + forMs;
      return kvChecks({
        ...run,
        stored: async (module) => {
          const stored = await run.stored(module);
          if (run.now() >= untilMs) return stored;
          const copy = stored[0] as StoredValue;
          strayed = true;
          const host = copy.host === "n1" ? "n2" : "n1";
          return [...stored, { ...copy, host }];
        },
      });
    },
  });
  assert(strayed);
  return violations.map(({ check }) => check);
}

// In seed 5001606 an operation that had been answered put a hint on a fallback
// a moment before the look.
Deno.test("kvChecks() waits for hints to go home, and reports one that stays", async () => {
  assertEquals(await violationsWith(10), []);
  assertEquals(await violationsWith(1_500), []);
  assertEquals(await violationsWith(Infinity), ["stray_replica"]);
});
