/**
 * The short form of `deno task nemesis:ra_kv_mix`.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { logsIn, withReports } from "../short_run.ts";
import { MIX_KINDS } from "./mix_plan.ts";
import { mixText, runMix } from "./mix_run.ts";

/** Chosen because its 40 operations are of all kinds, and find members to add and to remove. */
const SEED = "short 2915";

Deno.test("members on three processes become equal after a mix of all kinds of operations, and after a restart of all", () =>
  withReports(async (reports) => {
    const lines: string[] = [];
    const summary = await runMix({
      seed: SEED,
      nodes: 3,
      operations: 40,
      partitionMsMax: 1_000,
      reports,
      tell: (line) => lines.push(line),
      signal: new AbortController().signal,
    });
    const told = [...lines, mixText(summary)].join("\n");
    if (!summary.passed) throw new Error(`${told}\n${logsIn(summary)}`);
    for (const kind of MIX_KINDS) {
      const { done, failed } = summary.kinds[kind];
      assert(done + failed > 0, `${kind} never came\n${told}`);
    }
    assertEquals(summary.agreements, 2, told);
  }));
