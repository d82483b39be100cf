/**
 * What a command is: a declaration from which parsing, help and shell
 * completions are made, and a function that runs it.
 *
 * @module
 */
import type { World } from "./world.ts";

/** A flag a command takes, written `--name value` or `--name=value`. */
export interface Flag {
  /** Its name without dashes. */
  readonly name: string;
  /** What stands for the value in help, such as `FILE`. Without it the flag is a switch. */
  readonly value?: string;
  /** One sentence for help, without a period. */
  readonly says: string;
  /** One letter that means the same, after one dash. */
  readonly short?: string;
  /** Whether it may be given more than once. */
  readonly repeats?: boolean;
  /** The only values it takes. */
  readonly choices?: readonly string[];
  /** What it is when not given, for help. */
  readonly default?: string;
  /** Left out of help: for processes that start each other. */
  readonly hidden?: boolean;
}

/** A word a command takes by its place. */
export interface Positional {
  /** What stands for it in help, such as `BUCKET`. */
  readonly name: string;
  readonly says: string;
  /** Whether it may be missing. */
  readonly optional?: boolean;
}

/** A command line worth showing. */
export interface Example {
  /** Without the leading `whorl`. */
  readonly line: string;
  /** What it does, one sentence without a period. */
  readonly says: string;
}

/** A command line that was understood. */
export interface Invocation {
  /** The positionals in order. */
  readonly words: readonly string[];
  /** The last value of a flag that takes one. */
  readonly text: (flag: string) => string | undefined;
  /** All values of a flag that repeats. */
  readonly texts: (flag: string) => readonly string[];
  /** Whether a switch is on. */
  readonly on: (flag: string) => boolean;
  /** The value of a flag as a whole number. @throws {UsageError} If it is something else or out of bounds. */
  readonly count: (
    flag: string,
    bounds?: { min?: number; max?: number },
  ) => number | undefined;
}

/** One command of `whorl`. */
export interface Command {
  /** One word, or two for a command of a group: `cluster join`. */
  readonly name: string;
  /** One line for the list of commands, without a period. */
  readonly summary: string;
  /** A few sentences that teach what it is for and what it answers. */
  readonly about: string;
  readonly positionals: readonly Positional[];
  readonly flags: readonly Flag[];
  readonly examples: readonly Example[];
  /** Left out of help and completions. */
  readonly hidden?: boolean;
  /** Whether it takes the flags that say which node (see `session_flags.ts`). */
  readonly talksToNode?: boolean;
  /**
   * Carries it out and resolves to the exit code.
   *
   * @throws {UsageError} If the command line makes no sense.
   * @throws {WhorlError} If it failed; the caller prints it.
   */
  run(invocation: Invocation, world: World): Promise<number>;
}

/** The command line cannot be understood. */
export class UsageError extends Error {
  override name = "UsageError";
}
