/**
 * `whorl capabilities`: what the versions in the cluster can all do.
 *
 * @module
 */
import type {
  CapabilityOverride,
  CapabilityStatus,
} from "../../src/cluster/capability.ts";
import type { Command } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { withSession } from "../session_flags.ts";
import { renderTable } from "../table.ts";

const BY: Readonly<Record<CapabilityStatus["by"], string>> = {
  negotiated: "common to all",
  preferred: "preferred by the operator",
  used: "set by the operator",
  default: "nothing is common to all",
};

/** `whorl capabilities` */
export const capabilitiesCommand: Command = {
  name: "capabilities",
  summary: "show which features all members support",
  about:
    "Each member says which modes of which capability its version supports; the most preferred one that all " +
    "members support is used. A row for each capability: its mode, why it is that one, the modes the node you " +
    "talk to supports with the preferred one first, and the members that do not support that first one: " +
    "upgrade those to get it.",
  positionals: [],
  flags: [],
  talksToNode: true,
  examples: [
    {
      line: "capabilities --data data/dev1",
      says: "whether an upgrade is complete",
    },
    {
      line: "capabilities --json --data data/dev1",
      says: "with what each member supports",
    },
  ],
  run: (invocation, world) =>
    withSession(invocation, world, async (session, options) => {
      const capabilities = await session.call("capabilities", {}, options);
      if (invocation.on("json")) writeJson(world.output, capabilities);
      else {
        renderTable(
          world.output,
          ["Capability", "Mode", "Why", "Supported", "Members without"],
          capabilities.map(rowOf),
          [],
          [3],
        );
      }
      return ExitCode.ok;
    }),
};

function rowOf(
  { name, mode, by, override, supported, lacking }: CapabilityStatus,
): string[] {
  return [
    name,
    mode,
    BY[by] + overrideText(override, mode),
    supported.join(", "),
    lacking.length === 0 ? "-" : lacking.join(", "),
  ];
}

/** What an operator wants and does not get yet. */
function overrideText(
  { use, prefer }: CapabilityOverride,
  mode: string,
): string {
  const wanted = use ?? prefer;
  return wanted === undefined || wanted === mode ? "" : `, not ${wanted} yet`;
}
