/**
 * The short form of `deno task nemesis:ra_kv`.
 *
 * @module
 */
import { assert } from "@std/assert";
import { runNemesis } from "../nemesis.ts";
import { summaryText } from "../nemesis_summary.ts";
import { logsIn, withReports } from "../short_run.ts";
import { RA_KV_STORE } from "./ra_kv_store.ts";

/** Chosen because its short round has all of these kinds. */
const SEED = "short 978";
const KINDS = ["kill", "partition_majority", "wal_kill", "log_damage"];

Deno.test("ra_kv on three processes is linearizable, and its members become equal, while processes, links and logs fail", () =>
  withReports(async (reports) => {
    const lines: string[] = [];
    const summary = await runNemesis({
      store: RA_KV_STORE,
      seed: SEED,
      nodes: 3,
      durationMs: 0,
      roundMs: 3_500,
      only: KINDS,
      reports,
      tell: (line) => lines.push(line),
      signal: new AbortController().signal,
    });
    const told = [...lines, summaryText(summary)].join("\n");
    if (!summary.passed) throw new Error(`${told}\n${logsIn(summary)}`);
    for (const { name, injected } of summary.faults) {
      assert(injected > 0, `${name} never struck\n${told}`);
    }
  }));
