/**
 * The short form of `deno task nemesis:ra_kv`, and how it judges.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { HistoryRecorder } from "../../../src/simulation/history.ts";
import { runNemesis } from "../nemesis.ts";
import { summaryText } from "../nemesis_summary.ts";
import { logsIn, withReports } from "../short_run.ts";
import type { RaKvHistory } from "./ra_kv_load.ts";
import { judgeKeys, RA_KV_STORE } from "./ra_kv_store.ts";

/** Chosen because its short round has all of these kinds. */
const SEED = "short 7544";
const KINDS = ["kill", "leader_asleep", "wal_kill", "log_damage"];

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

Deno.test("judgeKeys() judges the keys it is given, by all that was done to them", () => {
  let now = 0;
  const history: RaKvHistory = new HistoryRecorder(() => ++now);
  for (const key of ["sound", "stale"]) {
    for (const [at, value] of ["old", "new"].entries()) {
      history.succeed(history.invoke("a", key, { type: "put", value }), at + 1);
    }
    const read = history.invoke("b", key, { type: "get" });
    history.succeed(read, key === "stale" ? "old" : "new");
  }
  const checksOf = (...keys: string[]): string[] =>
    judgeKeys(history.records, keys).map(({ check }) => check);
  assertEquals(checksOf("sound"), []);
  assertEquals(checksOf("sound", "stale"), ["linearizability"]);
});
