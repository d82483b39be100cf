/**
 * `whorl cluster clear`: forget what was staged.
 *
 * @module
 */
import { CLEARED_TEXT } from "../../src/ring/admin_messages.ts";
import type { Command } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { withSession } from "../session_flags.ts";

/** `whorl cluster clear` */
export const clusterClearCommand: Command = {
  name: "cluster clear",
  summary: "discard staged changes",
  about:
    "Drops everything that was staged and not committed. Nodes that had asked to join are alone again.",
  positionals: [],
  flags: [],
  talksToNode: true,
  examples: [{
    line: "cluster clear --data data/dev1",
    says: "discard what is staged",
  }],
  run: (invocation, world) =>
    withSession(invocation, world, async (session, options) => {
      await session.call("cluster_clear", {}, options);
      if (invocation.on("json")) writeJson(world.output, { cleared: true });
      else world.output.write(CLEARED_TEXT);
      return ExitCode.ok;
    }),
};
