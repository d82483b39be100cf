/**
 * `whorl member-status`: members and their share of the ring.
 *
 * @module
 */
import { membershipTable } from "../../src/ring/membership_display.ts";
import { memberRows } from "../../src/admin/cluster_rows.ts";
import type { Command } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { withSession } from "../session_flags.ts";

/** `whorl member-status` */
export const memberStatusCommand: Command = {
  name: "member-status",
  summary: "show members and their share of the ring",
  about:
    "The Membership table of riak_core, byte for byte: status, share of the ring, share after pending " +
    "transfers, node, and counts below.",
  positionals: [],
  flags: [],
  talksToNode: true,
  examples: [
    { line: "member-status --data data/dev1", says: "as a table" },
    { line: "member-status --json --data data/dev1", says: "for a script" },
  ],
  run: (invocation, world) =>
    withSession(invocation, world, async (session, options) => {
      const table = await session.call("member_status", {}, options);
      if (invocation.on("json")) writeJson(world.output, table);
      else world.output.write(membershipTable(memberRows(table)));
      return ExitCode.ok;
    }),
};
