/**
 * `whorl stop`: stop a node in order, and wait until it is gone.
 *
 * @module
 */
import { isWhorlError, WhorlError } from "../../src/base/errors.ts";
import type { Command, Invocation } from "../command.ts";
import { UsageError } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { pidOfParent } from "../pid_file.ts";
import { openWithin, sessionRequest } from "../session_flags.ts";
import type { World } from "../world.ts";

/** How often it is asked whether the node is gone, in milliseconds. */
const LOOK_INTERVAL_MS = 50;

/** How long a parent may take to kill its node, in milliseconds. */
const FORCE_MS = 5_000;

/** `whorl stop` */
export const stopCommand: Command = {
  name: "stop",
  summary: "stop a node in order and wait until it is gone",
  about:
    "The node finishes what it is doing, closes its stores and ends, and so does the parent that would " +
    "otherwise restart it. The command returns when it is gone, or fails after --timeout.\n\n" +
    "With --force and --data a node that does not answer is ended through its parent, by SIGTERM and at last " +
    "by SIGKILL. What was acknowledged is on disk in any case.",
  positionals: [],
  flags: [{
    name: "force",
    says: "end it even if it does not answer (needs --data)",
  }],
  talksToNode: true,
  examples: [
    { line: "stop --data data/dev1", says: "in order" },
    { line: "stop --data data/dev1 --force --timeout 5", says: "it hangs" },
  ],
  async run(invocation, world): Promise<number> {
    const { target, options } = await sessionRequest(invocation, world);
    const dataDirectory = "dataDirectory" in target
      ? target.dataDirectory
      : undefined;
    const force = invocation.on("force");
    if (force && dataDirectory === undefined) {
      throw new UsageError(
        "--force ends a process on this machine: give --data",
      );
    }
    const parent = dataDirectory && await pidOfParent(dataDirectory);
    try {
      await using session = await openWithin(world, target, options);
      await session.call("stop", {}, options);
    } catch (error) {
      // Gone in the middle of the answer is what was asked for.
      const isAnswer = isWhorlError(error, "connection_closed") ||
        isWhorlError(error, "closed");
      if (!isAnswer && (!force || !parent)) throw error;
      if (!isAnswer && parent) Deno.kill(parent, "SIGTERM");
    }
    const isGone = async () =>
      dataDirectory !== undefined && parent
        ? await pidOfParent(dataDirectory) !== parent
        : await nobodyAnswers(invocation, world);
    if (!await within(options.timeoutMs!, isGone)) {
      if (!force || !parent) {
        throw new WhorlError(
          "timeout",
          `Cannot see the node gone within ${options.timeoutMs} ms` +
            (parent ? ": --force ends it" : ""),
        );
      }
      // The second signal makes the parent kill the node.
      Deno.kill(parent, "SIGTERM");
      if (!await within(FORCE_MS, isGone)) Deno.kill(parent, "SIGKILL");
    }
    if (invocation.on("json")) writeJson(world.output, { stopped: true });
    else world.output.write("ok\n");
    return ExitCode.ok;
  },
};

/** Whether `holds` becomes true in time. */
async function within(
  ms: number,
  holds: () => Promise<boolean>,
): Promise<boolean> {
  const deadlineMs = performance.now() + ms;
  while (!await holds()) {
    if (performance.now() > deadlineMs) return false;
    await new Promise((resolve) => setTimeout(resolve, LOOK_INTERVAL_MS));
  }
  return true;
}

async function nobodyAnswers(
  invocation: Invocation,
  world: World,
): Promise<boolean> {
  const { target, options } = await sessionRequest(invocation, world);
  try {
    await using _ = await openWithin(world, target, options);
    return false;
  } catch (error) {
    if (isWhorlError(error, "node_not_running")) return true;
    // It is closing its doors: not gone yet.
    if (isWhorlError(error, "connection_closed")) return false;
    throw error;
  }
}
