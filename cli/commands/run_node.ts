/**
 * `whorl run-node`: the process of a node, as its parent starts it. Not meant
 * for people, who get a parent with `whorl start`.
 *
 * @module
 */
import { reasonOf, WhorlError } from "../../src/base/errors.ts";
import {
  removeControlFile,
  writeControlFile,
} from "../../src/node/control_file.ts";
import type { Command } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { upLine } from "../node_child.ts";
import { NODE_FLAGS, nodeSetup } from "../node_flags.ts";
import { logToRemarks } from "../node_log.ts";
import type { RunningNode, World } from "../world.ts";

/** `whorl run-node` */
export const runNodeCommand: Command = {
  name: "run-node",
  hidden: true,
  summary: "the process of a node, started by its parent",
  about:
    "Starts the node in this process, says so on standard output in one line of JSON, and stops on SIGTERM, " +
    "SIGINT, or when standard input ends, which is how it learns that its parent is gone.",
  positionals: [],
  flags: NODE_FLAGS,
  examples: [],
  async run(invocation, world): Promise<number> {
    const { options, directory, cookieFile, logLevel } = await nodeSetup(
      invocation,
      world,
    );
    await logToRemarks(logLevel, world.output);
    // Before the node listens: Deno opens a pipe for signals when it is first
    // asked for them, and does not survive finding no file descriptor left then.
    const { promise: told, resolve } = Promise.withResolvers<void>();
    // Later signals are ignored: the parent decides when patience ends.
    using _ = world.onStopSignal(() => resolve());
    let node: RunningNode;
    try {
      node = await world.startNode(options);
    } catch (error) {
      const code = error instanceof WhorlError ? ` (${error.code})` : "";
      world.output.remark(
        `Cannot start ${options.name}: ${reasonOf(error)}${code}\n`,
      );
      return ExitCode.startFailed;
    }
    await writeControlFile(directory, {
      node: node.name,
      address: node.address,
      pid: Deno.pid,
      cookieFile,
    });
    try {
      world.output.write(upLine({ up: node.name, address: node.address }));
      await untilTold(world, node, told);
      return ExitCode.ok;
    } finally {
      await removeControlFile(directory, Deno.pid);
    }
  },
};

/** Resolves when the node has stopped, because it was told to or by itself. */
async function untilTold(
  world: World,
  node: RunningNode,
  told: Promise<void>,
): Promise<void> {
  const parent = world.input.bytes().getReader();
  const orphaned = (async () => {
    while (!(await parent.read()).done);
  })();
  try {
    await Promise.race([told, orphaned, node.stopped]);
    await node.stop();
    await node.stopped;
  } finally {
    await parent.cancel();
  }
}
