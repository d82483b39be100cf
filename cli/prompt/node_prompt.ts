/**
 * The prompt on a node, near or far: what `attach` opens and what `start
 * --prompt` shows beside the node it supervises.
 *
 * @module
 */
import type { AdminSession } from "../../src/node/admin_protocol.ts";
import type { World } from "../world.ts";
import { Prompt } from "./prompt.ts";
import { SESSION_HELP, sessionScope } from "./session_scope.ts";

/** A prompt with the names of `session`, whose node is called `name`. */
export function nodePrompt(
  session: AdminSession,
  name: string,
  world: World,
  options: { historyPath?: string; signal?: AbortSignal } = {},
): Prompt {
  const scope = sessionScope(session, name);
  return new Prompt({
    label: name,
    scope: scope.names,
    onCommand: (signal) => scope.onCommand(signal),
    help: SESSION_HELP,
    banner:
      `Talking to ${name}. .help says what there is, Ctrl-D or .exit leaves`,
    isTerminal: world.input.isTerminal && world.output.isTerminal,
    color: world.output.color,
    ...options,
  });
}
