/**
 * Runs simulations of a range of seeds, one after the other, in a process of
 * its own: a planted bug may end it, or keep it for ever. What comes of each
 * seed is a line of JSON.
 *
 *     seed_loop.ts FROM TO PROFILE          every seed
 *     seed_loop.ts FROM TO PROFILE first    up to the first that fails
 *
 * @module
 */
import { SCHEDULE_PROFILES, simulate } from "../../src/simulation/mod.ts";

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

if (import.meta.main) {
  const [from, to, named, mode] = Deno.args;
  const profile = SCHEDULE_PROFILES.find((known) => known === named) ?? "small";
  for (let seed = Number(from); seed <= Number(to); seed++) {
    say({ begun: seed });
    const { violations: [violation] } = await simulate({
      seed,
      profile,
    });
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
