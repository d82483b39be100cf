/**
 * The prompt on a node, near or far: what `attach` opens and what `start
 * --prompt` shows beside the node it supervises.
 *
 * @module
 */
import type { AdminSession } from "../src/node/admin_protocol.ts";
import type { Prompt } from "../src/prompt/prompt.ts";
import { sessionPrompt } from "../src/prompt/session_prompt.ts";
import type { World } from "./world.ts";

/** A prompt with the names of `session`, whose node is called `name`. @param options.ending What ending it comes to. */
export function nodePrompt(
  session: AdminSession,
  name: string,
  world: World,
  options: { ending: string; historyPath?: string; signal?: AbortSignal },
): Prompt {
  return sessionPrompt(session, {
    name,
    banner:
      `Talking to ${name}. .help for help, Ctrl-D or .exit ${options.ending}`,
    isTerminal: world.input.isTerminal && world.output.isTerminal,
    color: world.output.color,
    ...options,
  });
}
