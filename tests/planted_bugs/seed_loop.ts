/**
 * Runs simulations of a range of seeds, one after the other, in a process of
 * its own: a planted bug may end it, or keep it for ever. What comes of each
 * seed is a line of JSON.
 *
 *     seed_loop.ts FROM TO OF          every seed of a profile or a story
 *     seed_loop.ts FROM TO OF first    up to the first that fails
 *
 * @module
 */
import {
  SCHEDULE_PROFILES,
  simulate,
  type SimulationResult,
} from "../../src/simulation/mod.ts";

/** What a line says: the seed has begun, or is over. */
export type SeedLine =
  | { readonly begun: number }
  | {
    readonly ended: number;
    /** The first check that failed, if any did. */
    readonly check?: string;
    readonly message?: string;
  };

const encoder = new TextEncoder();

function say(line: SeedLine): void {
  Deno.stdout.writeSync(encoder.encode(`${JSON.stringify(line)}\n`));
}

/** What runs a seed of a profile or a story. */
async function runnerOf(
  name: string | undefined,
): Promise<(seed: number) => Promise<SimulationResult>> {
  const profile = SCHEDULE_PROFILES.find((known) => known === name);
  if (profile !== undefined) return (seed) => simulate({ seed, profile });
  const [{ SCENARIOS }, { play }] = await Promise.all([
    import("../simulation/scenarios/scenario_table.ts"),
    import("../simulation/scenarios/scenario.ts"),
  ]);
  const story = SCENARIOS.find((known) => known.name === name);
  if (story === undefined) throw new Error(`There is no story ${name}`);
  return (seed) => play(story, seed);
}

if (import.meta.main) {
  const [from, to, of, mode] = Deno.args;
  const run = await runnerOf(of);
  for (let seed = Number(from); seed <= Number(to); seed++) {
    say({ begun: seed });
    const { violations: [violation] } = await run(seed);
    if (violation === undefined) {
      say({ ended: seed });
      continue;
    }
    const { check, message } = violation;
    say({ ended: seed, check, message: message.slice(0, 2_000) });
    if (mode === "first") break;
  }
  // Whatever a bug has left open must not keep the process.
  Deno.exit(0);
}
