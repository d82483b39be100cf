/**
 * The program `whorl`: the command line on the real world.
 *
 * @module
 */
import { openSession } from "../src/node/connect.ts";
import { startNode } from "../src/node/start_node.ts";
import { WHORL_VERSION } from "../src/node/version.ts";
import { runCommandLine } from "./main.ts";
import { systemWorld } from "./system_world.ts";

if (import.meta.main) {
  const code = await runCommandLine(
    Deno.args,
    systemWorld({
      openSession,
      startNode,
      version: WHORL_VERSION,
      module: import.meta.url,
    }),
  );
  // Whatever still runs in the background, such as a worker that hangs, must
  // not keep a command that is done from ending.
  Deno.exit(code);
}
