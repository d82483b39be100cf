/**
 * `whorl cluster status`: members, and whether they can be reached.
 *
 * @module
 */
import { clusterStatusText } from "../../src/ring/membership_display.ts";
import { clusterStatusRows } from "../../src/admin/cluster_rows.ts";
import type { Command } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { withSession } from "../session_flags.ts";

/** `whorl cluster status` */
export const clusterStatusCommand: Command = {
  name: "cluster status",
  summary: "show members, their share of the ring and who is reachable",
  about:
    "One line a member, as the node you talk to sees it: status, availability, share of the ring now and " +
    "after pending transfers. (C) marks the claimant, the member that carries out changes of membership.",
  positionals: [],
  flags: [],
  talksToNode: true,
  examples: [{
    line: "cluster status --data data/dev1",
    says: "as dev1 sees it",
  }],
  run: (invocation, world) =>
    withSession(invocation, world, async (session, options) => {
      const status = await session.call("cluster_status", {}, options);
      if (invocation.on("json")) writeJson(world.output, status);
      else {
        world.output.write(
          clusterStatusText(clusterStatusRows(status), status.ringReady),
        );
      }
      return ExitCode.ok;
    }),
};
