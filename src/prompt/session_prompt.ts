/**
 * A prompt with the names of a session in scope.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import type { AdminSession } from "../node/admin_protocol.ts";
import { Prompt, type PromptOptions } from "./prompt.ts";
import { SESSION_HELP, sessionScope } from "./session_scope.ts";

/** Options that do not follow from the session. */
export interface SessionPromptOptions
  extends Omit<PromptOptions, "label" | "scope" | "help" | "onCommand"> {
  /** Name of the node, printed before each line. */
  readonly name: string;
  /** Names in scope besides those of the session. */
  readonly names?: Readonly<Record<string, unknown>>;
  /** What `.help` prints about them. */
  readonly help?: string;
}

/**
 * A prompt with `kv`, `raKv`, `cluster`, `node` and the names of `options`.
 *
 * @throws {WhorlError} `invalid_argument` if a name is taken.
 */
export function sessionPrompt(
  session: AdminSession,
  { name, names = {}, help, ...options }: SessionPromptOptions,
): Prompt {
  const scope = sessionScope(session, name);
  const twice = Object.keys(names).find((own) =>
    Object.hasOwn(scope.names, own)
  );
  if (twice !== undefined) {
    throw new WhorlError(
      "invalid_argument",
      `Cannot add the name '${twice}' to the prompt as it is taken`,
    );
  }
  const about = help === undefined ? "" : `${help.trimEnd()}\n\n`;
  return new Prompt({
    ...options,
    label: name,
    scope: { ...names, ...scope.names },
    onCommand: (signal) => scope.onCommand(signal),
    help: `JavaScript, with these names:\n\n${about}${SESSION_HELP}\n` +
      `_ is the last result. Tab completes, Ctrl-C interrupts, Ctrl-D or .exit ${options.ending}.`,
  });
}
