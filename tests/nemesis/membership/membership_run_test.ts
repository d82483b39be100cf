/**
 * The short form of `deno task nemesis:membership`.
 *
 * @module
 */
import { assert } from "@std/assert";
import { membershipText, runMembership } from "./membership_run.ts";
import { removeLeftovers } from "../run_directory.ts";

Deno.test("a cluster of processes grows to five members and shrinks to two under load, each time with a SIGKILL, and loses nothing", async () => {
  const reports = await Deno.makeTempDir({ prefix: "whorl-nemesis-" });
  try {
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
  } finally {
    await removeLeftovers(reports);
    await Deno.remove(reports, { recursive: true });
  }
});

/** The end of what each node logged. */
function logsIn({ directory }: { readonly directory: string }): string {
  return [...Deno.readDirSync(`${directory}/logs`)].map(({ name }) => {
    const text = Deno.readTextFileSync(`${directory}/logs/${name}`);
    return `--- ${name}\n${text.split("\n").slice(-60).join("\n")}`;
  }).join("\n");
}
