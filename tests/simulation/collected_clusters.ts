/**
 * Prints of how many simulated clusters nothing is left once the young have been
 * collected, for the test that asks for most of them. A cluster that is left
 * behind goes through two such collections and stays until all memory is
 * collected, which made a seed dearer by an eighth.
 *
 * Needs `--v8-flags=--expose-gc`, and room for a seed among the young.
 *
 * @module
 */
import { simulate } from "../../src/simulation/mod.ts";

/** How many clusters are looked for. */
export const CLUSTERS = 12;
/** Seeds before them: a call that is made for the first time remembers whom it called. */
const WARMUP_SEEDS = 12;

if (import.meta.main) {
  const { gc } = globalThis as unknown as {
    gc(options: { type: "minor" }): void;
  };
  // The trace is the last that the parts of a cluster let go of.
  const traceOf = async (seed: number): Promise<WeakRef<object>> =>
    new WeakRef((await simulate({ seed })).trace);
  const turn = (): Promise<void> =>
    new Promise((resolve) => void setTimeout(resolve, 0));

  for (let seed = 1; seed <= WARMUP_SEEDS; seed++) {
    await traceOf(CLUSTERS + seed);
  }
  const traces: WeakRef<object>[] = [];
  for (let seed = 1; seed <= CLUSTERS; seed++) {
    traces.push(await traceOf(seed));
    // What was looked at stays until the turn ends.
    await turn();
    for (let pass = 0; pass < 3; pass++) gc({ type: "minor" });
  }
  await turn();
  // deno-lint-ignore no-console -- this is the program's answer.
  console.log(
    traces.filter((trace) => trace.deref() === undefined).length,
  );
}
