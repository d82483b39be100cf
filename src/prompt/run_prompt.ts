/**
 * The prompt of an application on its own node.
 *
 * @module
 */
import { localSession } from "../node/local_session.ts";
import type { WhorlNode } from "../node/node.ts";

/** How {@linkcode runPrompt} sets a prompt up. */
export interface NodePromptOptions {
  /** Names a person can use beside `kv`, `raKv`, `cluster` and `node`. */
  readonly names?: Readonly<Record<string, unknown>>;
  /** What `.help` says of them, before what it says of the others. */
  readonly help?: string;
  /** Printed first on a terminal. @default {who the node is, and how to get help} */
  readonly banner?: string;
  /** What ending the prompt comes to, as a person reads it after "Ctrl-D or .exit". @default {"ends the prompt"} */
  readonly ending?: string;
  /** File that remembers lines typed at a terminal; nothing is remembered without one. */
  readonly historyPath?: string;
  /**
   * Called on a terminal when the prompt is open: what is printed through `print`
   * from then on, such as a log, stands above the line being typed. Not called
   * where lines come from a pipe, as nobody is typing one.
   */
  readonly onTerminal?: (print: (text: string) => void) => void;
  /** Ends the prompt, and gives up on what is running. */
  readonly signal?: AbortSignal;
}

/**
 * Opens a prompt on a running node of this process, where people type JavaScript
 * with `kv`, `raKv`, `cluster`, `node` and the application's names. On a terminal it has
 * history, completion and Ctrl-C; from a pipe it prints results only. A process
 * has one standard input, so one prompt can be open at a time.
 *
 * What is typed runs in this thread, beside the node: code that does not await
 * holds it up, and is ended after ten seconds. While the prompt is open a
 * rejection that nobody handles is said there, and does not end the process.
 *
 * ```ts ignore
 * await using node = await startNode({ name, cookie });
 * await runPrompt(node, {
 *   names: { greet: (who: string) => `Hello ${who}` },
 *   help: '  greet("ann")                                  say hello',
 * });
 * ```
 *
 * @returns When the person leaves, the input ends, the node has stopped or
 * `signal` fires: true if nothing failed.
 * @throws {WhorlError} `invalid_argument` if one of `names` is there already, or
 * another prompt is open.
 */
export async function runPrompt(
  node: WhorlNode,
  options: NodePromptOptions = {},
): Promise<boolean> {
  const { signal, onTerminal, ending = "ends the prompt", ...others } = options;
  // Who opens none loads neither V8's inspector nor an editor of lines.
  const { sessionPrompt } = await import("./session_prompt.ts");
  const stopped = new AbortController();
  node.stopped.catch(() => {}).finally(() => stopped.abort());
  const isTerminal = Deno.stdin.isTerminal() && Deno.stdout.isTerminal();
  await using session = localSession(node);
  const prompt = sessionPrompt(session, {
    name: node.name,
    isTerminal,
    color: Deno.stdout.isTerminal() && !Deno.noColor,
    banner:
      `This is ${node.name}. .help says what there is, Ctrl-D or .exit ${ending}`,
    ending,
    ...others,
    signal: signal === undefined
      ? stopped.signal
      : AbortSignal.any([signal, stopped.signal]),
  });
  if (isTerminal) onTerminal?.((text) => prompt.printAbove(text));
  return await prompt.run();
}
