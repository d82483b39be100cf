/**
 * `whorl stats`: figures of a node.
 *
 * @module
 */
import type { Command } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { withSession } from "../session_flags.ts";
import { renderTable } from "../table.ts";

/** `whorl stats` */
export const statsCommand: Command = {
  name: "stats",
  summary: "print a node's figures",
  about:
    "Counters and gauges of one node since it was started, by dotted name; the unit ends the name. " +
    "PREFIX keeps those whose name begins with it.",
  positionals: [{
    name: "PREFIX",
    says: "only names that begin so",
    optional: true,
  }],
  flags: [],
  talksToNode: true,
  examples: [
    { line: "stats --data data/dev1", says: "all of them" },
    { line: "stats memory --json --data data/dev1", says: "for a script" },
  ],
  run: (invocation, world) =>
    withSession(invocation, world, async (session, options) => {
      const stats = await session.call("stats", {}, options);
      const prefix = invocation.words[0] ?? "";
      const kept = Object.entries(stats.values)
        .filter(([name]) => name.startsWith(prefix))
        .sort(([a], [b]) => a < b ? -1 : 1);
      if (invocation.on("json")) {
        writeJson(world.output, { ...stats, values: Object.fromEntries(kept) });
      } else {
        const rows = kept.map(([name, value]) => [name, figure(value)]);
        renderTable(world.output, ["Figure", "Value"], rows, ["left", "right"]);
      }
      if (kept.length > 0) return ExitCode.ok;
      world.output.remark(`No figure begins with "${prefix}"\n`);
      return ExitCode.failed;
    }),
};

function figure(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(2);
}
