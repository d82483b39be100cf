/**
 * The command line: finds the command, understands its arguments, runs it, and
 * turns what went wrong into a message and an exit code.
 *
 * @module
 */
import { isWhorlError, reasonOf, WhorlError } from "../src/base/errors.ts";
import { parseInvocation } from "./arguments.ts";
import { type Command, UsageError } from "./command.ts";
import { COMMANDS } from "./command_table.ts";
import { ExitCode } from "./exit_code.ts";
import {
  renderCommandHelp,
  renderGroupHelp,
  renderOverview,
  usageLine,
} from "./help.ts";
import { flagsOf, GLOBAL_FLAGS, sessionFlagsOf } from "./global_flags.ts";
import { writeJson } from "./json.ts";
import { SESSION_FLAGS } from "./session_flags.ts";
import { nearest } from "./suggestion.ts";
import type { World } from "./world.ts";

/** Carries out one command line and resolves to the exit code. */
export async function runCommandLine(
  args: readonly string[],
  world: World,
): Promise<number> {
  let command: Command | undefined;
  try {
    const ordered = flagsLast(args);
    if (ordered.length === 0 || isHelp(ordered[0]!)) {
      return showOverview(world);
    }
    if (ordered[0] === "--version" || ordered[0] === "version") {
      world.output.write(`whorl ${world.version}\n`);
      return ExitCode.ok;
    }
    if (ordered[0] === "help") return showHelp(ordered.slice(1), world);
    const found = findCommand(ordered);
    if ("group" in found) {
      return showGroup(found.group, ordered.slice(1), world);
    }
    command = found.command;
    const rest = ordered.slice(found.wordCount);
    const own = rest.includes("--") ? rest.slice(0, rest.indexOf("--")) : rest;
    if (own.some(isHelp)) return showCommand(command, world);
    const invocation = parseInvocation(command, flagsOf(command), rest);
    return await command.run(invocation, world);
  } catch (error) {
    return explain(error, command, args.includes("--json"), world);
  }
}

/** Moves flags that stand before the command behind it: `whorl --json ping`. */
function flagsLast(args: readonly string[]): readonly string[] {
  const known = new Map(
    [...SESSION_FLAGS, ...GLOBAL_FLAGS].map((flag) => [`--${flag.name}`, flag]),
  );
  let at = 0;
  while (at < args.length) {
    const flag = known.get(args[at]!.replace(/=.*$/s, ""));
    if (flag === undefined || flag.name === "help") break;
    at += flag.value !== undefined && !args[at]!.includes("=") ? 2 : 1;
  }
  return [...args.slice(at), ...args.slice(0, at)];
}

function findCommand(
  words: readonly string[],
): { command: Command; wordCount: number } | { group: string } {
  const [first, second] = words as [string, string | undefined];
  if (first.startsWith("-")) {
    throw new UsageError(
      `The command comes first: whorl COMMAND [options]. ${first} is none`,
    );
  }
  const one = COMMANDS.find(({ name }) => name === first);
  if (one !== undefined) return { command: one, wordCount: 1 };
  const group = COMMANDS.filter(({ name }) => name.startsWith(`${first} `));
  if (group.length === 0) throw unknownCommand(first, topWords());
  if (second === undefined || second.startsWith("-")) return { group: first };
  const two = group.find(({ name }) => name === `${first} ${second}`);
  if (two !== undefined) return { command: two, wordCount: 2 };
  throw unknownCommand(
    `${first} ${second}`,
    group.map(({ name }) => name),
  );
}

function topWords(): string[] {
  return [
    ...new Set(
      COMMANDS.filter((command) => !command.hidden)
        .map(({ name }) => name.split(" ")[0]!),
    ),
  ];
}

function unknownCommand(word: string, known: readonly string[]): UsageError {
  const near = nearest(word, known);
  return new UsageError(
    `There is no command ${JSON.stringify(word)}` +
      (near === undefined ? "" : `. Did you mean ${JSON.stringify(near)}?`),
  );
}

function isHelp(word: string): boolean {
  return word === "--help" || word === "-h";
}

function showOverview(world: World): number {
  const { output } = world;
  output.write(
    renderOverview(COMMANDS, SESSION_FLAGS, GLOBAL_FLAGS, output.color),
  );
  return ExitCode.ok;
}

function showHelp(words: readonly string[], world: World): number {
  if (words.length === 0) return showOverview(world);
  const found = findCommand(words);
  if ("group" in found) return showGroup(found.group, ["--help"], world);
  return showCommand(found.command, world);
}

function showCommand(command: Command, world: World): number {
  const { output } = world;
  output.write(
    renderCommandHelp(
      command,
      sessionFlagsOf(command),
      GLOBAL_FLAGS,
      output.color,
    ),
  );
  return ExitCode.ok;
}

function showGroup(
  group: string,
  rest: readonly string[],
  world: World,
): number {
  const commands = COMMANDS.filter(({ name }) => name.startsWith(`${group} `));
  const text = renderGroupHelp(group, commands, world.output.color);
  if (rest.some(isHelp)) {
    world.output.write(text);
    return ExitCode.ok;
  }
  world.output.remark(`whorl ${group} needs one more word\n\n${text}`);
  return ExitCode.usage;
}

/** Says what went wrong, to people or to scripts, and gives the exit code. */
function explain(
  error: unknown,
  command: Command | undefined,
  json: boolean,
  world: World,
): number {
  const { output } = world;
  if (error instanceof Deno.errors.BrokenPipe) {
    // The reader of our output has seen enough: `whorl tree | head -3`.
    return ExitCode.ok;
  }
  const usage = error instanceof UsageError;
  if (json) {
    writeJson(output, {
      error: {
        code: usage
          ? "usage"
          : error instanceof WhorlError
          ? error.code
          : "internal",
        message: reasonOf(error),
        details: error instanceof WhorlError ? error.details : {},
      },
    });
  } else if (isWhorlError(error, "node_not_running")) {
    // The first line is riak_core's; the second says where it was looked for.
    output.remark(`Node is not running!\n${error.message}\n`);
  } else if (usage) {
    const more = command === undefined ? "" : ` ${command.name}`;
    output.remark(
      `whorl: ${error.message}\n` +
        (command === undefined ? "" : `Usage: ${usageLine(command)}\n`) +
        `whorl help${more} says more\n`,
    );
  } else if (error instanceof WhorlError) {
    output.remark(`whorl: ${error.message} (${error.code})\n`);
  } else {
    // Not foreseen, so a bug of ours: show all of it.
    output.remark(`whorl: ${Deno.inspect(error)}\n`);
  }
  return usage ? ExitCode.usage : ExitCode.failed;
}
