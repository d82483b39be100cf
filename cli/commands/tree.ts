/**
 * `whorl tree`: the live supervision tree of a node.
 *
 * @module
 */
import { renderTree } from "../../supervisors/tree_view.ts";
import type { Command } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { withSession } from "../session_flags.ts";

/** `whorl tree` */
export const treeCommand: Command = {
  name: "tree",
  summary: "draw a node's supervision tree",
  about:
    "Every process of the node under its supervisor: the strategy or the kind of process (task, worker, " +
    "subprocess), how often it was restarted, and why it last ended.",
  positionals: [],
  flags: [],
  talksToNode: true,
  examples: [{ line: "tree --data data/dev1", says: "what runs in dev1" }],
  run: (invocation, world) =>
    withSession(invocation, world, async (session, options) => {
      const root = await session.call("tree", {}, options);
      if (invocation.on("json")) writeJson(world.output, root);
      else world.output.write(`${renderTree(root)}\n`);
      return ExitCode.ok;
    }),
};
