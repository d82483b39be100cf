/**
 * `whorl handoff config`: what is set about transfers, by node.
 *
 * @module
 */
import { askMembers } from "../../src/admin/member_calls.ts";
import type { Command } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { withSession } from "../session_flags.ts";
import { writeConfigs } from "../transfers/config_rows.ts";

/** `whorl handoff config` */
export const handoffConfigCommand: Command = {
  name: "handoff config",
  summary: "show the transfer limit and the enabled directions of each node",
  about:
    "A row for each member: how many transfers may run at once, in and out together, and whether transfers " +
    'from others (inbound) and to others (outbound) may run. Set them with "whorl transfer-limit" and ' +
    '"whorl handoff enable" or "disable"; all take effect at once.',
  positionals: [],
  flags: [],
  talksToNode: true,
  examples: [
    { line: "handoff config --data data/dev1", says: "of all members" },
    { line: "transfer-limit 4 --data data/dev1", says: "more at a time" },
  ],
  run: (invocation, world) =>
    withSession(invocation, world, async (session, { timeoutMs }) => {
      const configs = await askMembers(session, "handoff_config", {}, {
        nodes: null,
        timeoutMs,
      });
      writeConfigs(world.output, configs, invocation.on("json"));
      return ExitCode.ok;
    }),
};
