/**
 * `whorl services`: which node offers what.
 *
 * @module
 */
import type { Command } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { withSession } from "../session_flags.ts";
import { renderTable } from "../table.ts";

/** `whorl services` */
export const servicesCommand: Command = {
  name: "services",
  summary: "list the services each node offers",
  about:
    "A node serves requests of a kind only while it offers the service; preference lists are made from these. " +
    "The list is what the node you talk to believes.",
  positionals: [],
  flags: [],
  talksToNode: true,
  examples: [{ line: "services --data data/dev1", says: "as dev1 sees it" }],
  run: (invocation, world) =>
    withSession(invocation, world, async (session, options) => {
      const byNode = await session.call("services", {}, options);
      if (invocation.on("json")) writeJson(world.output, byNode);
      else {
        const rows = Object.keys(byNode).sort().map((
          node,
        ) => [node, [...byNode[node]!].sort().join(", ")]);
        renderTable(world.output, ["Node", "Services"], rows);
      }
      return ExitCode.ok;
    }),
};
