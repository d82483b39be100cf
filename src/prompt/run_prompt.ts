/**
 * The prompt of an application on its own node.
 *
 * @module
 */
import { localSession } from "../node/local_session.ts";
import type { WhorlNode } from "../node/node.ts";

/** How {@linkcode runPrompt} sets a prompt up. */
export interface NodePromptOptions {
  /** Names in scope besides `kv`, `raKv`, `cluster` and `node`. */
  readonly names?: Readonly<Record<string, unknown>>;
  /** What `.help` prints about them, before the help on the others. */
  readonly help?: string;
  /** Printed first on a terminal. @default {the node's name, and how to get help} */
  readonly banner?: string;
  /** What ending the prompt does, as text after "Ctrl-D or .exit". @default {"ends the prompt"} */
  readonly ending?: string;
  /** File for the history of a terminal; without it, lines are not remembered. */
  readonly historyPath?: string;
  /**
   * Called when the prompt has opened on a terminal: text printed through
   * `print`, such as a log, appears above the line being typed. Not called when
   * input comes from a pipe.
   */
  readonly onTerminal?: (print: (text: string) => void) => void;
  /** Ends the prompt and interrupts the running command. */
  readonly signal?: AbortSignal;
}

/**
 * Opens a prompt on a running node of this process, for JavaScript with `kv`,
 * `raKv`, `cluster`, `node` and the application's names. On a terminal it has
 * history, completion and Ctrl-C; from a pipe it prints results only. A process
 * has one standard input, so one prompt can be open at a time.
 *
 * Code runs in this thread, beside the node: code that does not await blocks
 * the node, and is stopped after ten seconds. While the prompt is open,
 * unhandled rejections are printed there and do not end the process.
 *
 * ```ts ignore
 * await using node = await startNode({ name, cookie });
 * await runPrompt(node, {
 *   names: { greet: (who: string) => `Hello ${who}` },
 *   help: '  greet("ann")                                  say hello',
 * });
 * ```
 *
 * @returns When the prompt is left, the input ends, the node has stopped or
 * `signal` fires: true if nothing failed.
 * @throws {WhorlError} `invalid_argument` if one of `names` is taken, or
 * another prompt is open.
 */
export async function runPrompt(
  node: WhorlNode,
  options: NodePromptOptions = {},
): Promise<boolean> {
  const { signal, onTerminal, ending = "ends the prompt", ...others } = options;
  // Imported here, so that programs without a prompt load neither V8's
  // inspector nor readline.
  const { sessionPrompt } = await import("./session_prompt.ts");
  const stopped = new AbortController();
  node.stopped.catch(() => {}).finally(() => stopped.abort());
  const isTerminal = Deno.stdin.isTerminal() && Deno.stdout.isTerminal();
  await using session = localSession(node);
  const prompt = sessionPrompt(session, {
    name: node.name,
    isTerminal,
    color: Deno.stdout.isTerminal() && !Deno.noColor,
    banner: `This is ${node.name}. .help for help, Ctrl-D or .exit ${ending}`,
    ending,
    ...others,
    signal: signal === undefined
      ? stopped.signal
      : AbortSignal.any([signal, stopped.signal]),
  });
  if (isTerminal) onTerminal?.((text) => prompt.printAbove(text));
  return await prompt.run();
}
