/**
 * The short form of `deno task nemesis:membership`.
 *
 * @module
 */
import { assert } from "@std/assert";
import { membershipText, runMembership } from "./membership_run.ts";
import { logsIn, withReports } from "../short_run.ts";

Deno.test("a cluster of processes grows to five members and shrinks to two under load, each time with a SIGKILL, and loses nothing", () =>
  withReports(async (reports) => {
    const lines: string[] = [];
    const summary = await runMembership({
      seed: "short",
      plans: 0,
      reports,
      tell: (line) => lines.push(line),
      signal: new AbortController().signal,
    });
    const told = [...lines, membershipText(summary)].join("\n");
    if (!summary.passed) throw new Error(`${told}\n${logsIn(summary)}`);
    assert(summary.killed >= 5, told);
  }));
