/**
 * Prints the digest of a long simulation, for the test that compares it with
 * that of another process.
 *
 * @module
 */
import { simulate } from "../../src/simulation/mod.ts";

/** What is run. */
export const LONG_RUN = {
  seed: "the same everywhere",
  operations: 1_000,
  loadMs: 30_000,
  trace: true,
};

if (import.meta.main) {
  const { trace } = await simulate(LONG_RUN);
  // deno-lint-ignore no-console -- this is the program's answer.
  console.log(`${trace.events.length} ${trace.digest()}`);
}
