/**
 * `whorl ring-status`: who owns which partition, and what is pending.
 *
 * @module
 */
import { ringStatusReport } from "../../src/ring/membership_display.ts";
import { ringStatusText } from "../../src/ring/ring_display.ts";
import type { Command } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { withSession } from "../session_flags.ts";
import { ringStatusRows } from "./cluster_rows.ts";

/** `whorl ring-status` */
export const ringStatusCommand: Command = {
  name: "ring-status",
  summary: "draw the ring; show claimant, pending transfers, unreachable nodes",
  about:
    "First the ring as a picture: a letter for the owner of each partition, in groups of four, which should " +
    "be four different nodes where there are as many. Then the claimant and whether all members agree on " +
    "the ring, the transfers that are pending, and the members that cannot be reached.",
  positionals: [],
  flags: [{
    name: "only",
    value: "PART",
    says: "one of the two parts",
    choices: ["ring", "report"],
    default: "both",
  }],
  talksToNode: true,
  examples: [
    { line: "ring-status --data data/dev1", says: "all of it" },
    { line: "ring-status --only ring --data data/dev1", says: "the picture" },
  ],
  run: (invocation, world) =>
    withSession(invocation, world, async (session, options) => {
      const status = await session.call("ring_status", {}, options);
      if (invocation.on("json")) writeJson(world.output, status);
      else {
        const parts = [
          { name: "ring", text: () => ringStatusText(status) },
          {
            name: "report",
            text: () => ringStatusReport(ringStatusRows(status)),
          },
        ];
        const only = invocation.text("only");
        world.output.write(
          parts.filter(({ name }) => only === undefined || only === name)
            .map(({ text }) => text()).join("\n"),
        );
      }
      return ExitCode.ok;
    }),
};
