/**
 * Every story with a few seeds. `deno task scenarios` plays them with as many as
 * one likes.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { KEPT_SCENARIO_SEEDS } from "./kept_scenario_seeds.ts";
import { play } from "./scenario.ts";
import { SCENARIOS } from "./scenario_table.ts";

/** Seeds of a story in every test. */
const SEEDS = 2;

for (const scenario of SCENARIOS) {
  Deno.test(`${scenario.name}: ${scenario.what}`, async () => {
    const kept = KEPT_SCENARIO_SEEDS.filter(({ name }) =>
      name === scenario.name
    ).map(({ seed }) => seed);
    for (const seed of [...Array(SEEDS).keys(), ...kept]) {
      const { violations, counts } = await play(scenario, seed);
      assertEquals(violations, [], `seed ${seed}`);
      assert(counts.ok > 0);
    }
  });
}
