/**
 * Every story with a few seeds. `deno task scenarios` plays them with as many as
 * one likes.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { ENSEMBLE_LOSS_SCENARIOS } from "./ensemble_loss_scenarios.ts";
import { ENSEMBLE_SCENARIOS } from "./ensemble_scenarios.ts";
import { HANDOFF_SCENARIOS } from "./handoff_scenarios.ts";
import { KEPT_SCENARIO_SEEDS } from "./kept_scenario_seeds.ts";
import { MEMBERSHIP_SCENARIOS } from "./membership_scenarios.ts";
import { RA_KV_SCENARIOS } from "./ra_kv_scenarios.ts";
import { RESIZE_SCENARIOS } from "./resize_scenarios.ts";
import { play } from "./scenario.ts";

/** Seeds of a story in every test. */
const SEEDS = 2;

const SCENARIOS = [
  ...MEMBERSHIP_SCENARIOS,
  ...HANDOFF_SCENARIOS,
  ...RESIZE_SCENARIOS,
  ...ENSEMBLE_SCENARIOS,
  ...RA_KV_SCENARIOS,
  ...ENSEMBLE_LOSS_SCENARIOS,
];

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
