/**
 * `whorl attach`: a prompt on a running node.
 *
 * @module
 */
import { HISTORY_FILE_NAME } from "../node_directory.ts";
import type { Command } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { nodePrompt } from "../node_prompt.ts";
import { ReconnectingSession } from "../reconnecting_session.ts";
import { openWithin, sessionRequest } from "../session_flags.ts";

/** `whorl attach` */
export const attachCommand: Command = {
  name: "attach",
  summary: "open a prompt on a running node",
  about:
    "A prompt where you type JavaScript with kv, raKv, cluster and node at hand; .help there lists what they do. It " +
    "runs in a process of its own: leaving or crashing it does not affect the node, and when the node " +
    "restarts the prompt finds it again.\n\n" +
    "From a pipe it evaluates what it reads, prints results only, and ends with exit code 1 if anything failed.",
  positionals: [],
  flags: [],
  talksToNode: true,
  examples: [
    {
      line: "attach --data data/dev1",
      says: "then type: await cluster.ring()",
    },
    {
      line: "attach --data data/dev1 < script.js",
      says: "run a script against a node",
    },
  ],
  async run(invocation, world): Promise<number> {
    const { target, options } = await sessionRequest(invocation, world);
    const open = () => openWithin(world, target, options);
    const first = await open();
    await using session = new ReconnectingSession(open, first);
    const prompt = nodePrompt(session, first.node, world, {
      ending: "leaves it running",
      ...("dataDirectory" in target
        ? { historyPath: `${target.dataDirectory}/${HISTORY_FILE_NAME}` }
        : {}),
    });
    return await prompt.run() || world.input.isTerminal
      ? ExitCode.ok
      : ExitCode.failed;
  },
};
