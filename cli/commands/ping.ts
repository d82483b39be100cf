/**
 * `whorl ping`: is the node up?
 *
 * @module
 */
import type { Command } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { writeJson } from "../json.ts";
import { withSession } from "../session_flags.ts";

/** `whorl ping` */
export const pingCommand: Command = {
  name: "ping",
  summary: "ask a node whether it is up",
  about:
    'Connects, proves to know the cookie, and waits for the answer. Prints "pong" if the node is up; ' +
    'otherwise "Node is not running!" and exit code 1, so it can stand in a script\'s condition.',
  positionals: [],
  flags: [],
  talksToNode: true,
  examples: [
    {
      line: "ping --data data/dev1",
      says: "the node that runs on a data directory",
    },
    {
      line: "ping --node dev1@127.0.0.1:10101 --cookie-file data/dev-cookie",
      says: "a node somewhere else",
    },
  ],
  run: (invocation, world) =>
    withSession(invocation, world, async (session, options) => {
      const startedAtMs = performance.now();
      const { node } = await session.call("ping", {}, options);
      const roundTripMs = performance.now() - startedAtMs;
      if (invocation.on("json")) {
        writeJson(world.output, { node, roundTripMs });
      } else {
        world.output.write("pong\n");
      }
      return ExitCode.ok;
    }),
};
