/**
 * The flags of every command, and all that one command takes.
 *
 * @module
 */
import type { Command, Flag } from "./command.ts";
import { SESSION_FLAGS } from "./session_flags.ts";

/** The flags of every command. */
export const GLOBAL_FLAGS: readonly Flag[] = [
  { name: "json", says: "print one JSON document on standard output" },
  { name: "help", short: "h", says: "show this help" },
];

/** The flags by which `command` is told which node; one it declares itself means something else there. */
export function sessionFlagsOf(command: Command): readonly Flag[] {
  if (!command.talksToNode) return [];
  return SESSION_FLAGS.filter(({ name }) =>
    !command.flags.some((own) => own.name === name)
  );
}

/** All flags `command` takes. */
export function flagsOf(command: Command): readonly Flag[] {
  return [...command.flags, ...sessionFlagsOf(command), ...GLOBAL_FLAGS];
}
