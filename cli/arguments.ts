/**
 * From words to an invocation, by a command's declaration. Words are split by
 * `parseArgs` of the standard library; what it lets pass (empty values,
 * switches with values, too many words) is refused here, with a suggestion
 * where one is near.
 *
 * @module
 */
import { parseArgs } from "npm:deno-std@1.4.0/cli/parse_args.js";
import {
  type Command,
  type Flag,
  type Invocation,
  UsageError,
} from "./command.ts";
import { nearest } from "./suggestion.ts";

/**
 * Understands `args` as arguments of `command`.
 *
 * @throws {UsageError} If they are not.
 */
export function parseInvocation(
  command: Command,
  flags: readonly Flag[],
  args: readonly string[],
): Invocation {
  const valued = flags.filter((flag) => flag.value !== undefined);
  const switches = flags.filter((flag) => flag.value === undefined);
  for (const flag of switches) refuseValue(flag, args);
  const unknown: string[] = [];
  const parsed: Record<string, unknown> & { _: string[]; "--"?: string[] } =
    parseArgs([...args], {
      string: ["_", ...valued.map((flag) => flag.name)],
      boolean: switches.map((flag) => flag.name),
      collect: valued.map((flag) => flag.name),
      alias: Object.fromEntries(
        flags.flatMap((flag) => flag.short ? [[flag.short, flag.name]] : []),
      ),
      "--": true,
      unknown: (word: string, key?: string) => {
        if (key === undefined) return true;
        unknown.push(word.replace(/=.*$/s, ""));
        return false;
      },
    });
  if (unknown.length > 0) throw unknownFlag(unknown[0]!, command, flags);

  // A value that begins with a dash is taken for a flag by the parser and
  // leaves an empty one behind; so does a flag that ends the line.
  for (const flag of valued) {
    const values = (parsed[flag.name] ?? []) as string[];
    const allowEmpty = args.includes(`--${flag.name}=`);
    if (values.includes("") && !allowEmpty) {
      throw new UsageError(
        `--${flag.name} needs a value: write --${flag.name} ${flag.value}` +
          ` (or --${flag.name}=${flag.value} if it begins with a dash)`,
      );
    }
    if (values.length > 1 && !flag.repeats) {
      throw new UsageError(`--${flag.name} is given more than once`);
    }
    for (const value of values) refuseOtherChoice(flag, value);
  }

  const words = [...parsed._, ...(parsed["--"] ?? [])];
  refuseWrongCount(command, words);
  const texts = (name: string) => (parsed[name] ?? []) as string[];
  return {
    words,
    texts,
    text: (name) => texts(name).at(-1),
    on: (name) => parsed[name] === true,
    count: (name, bounds) => countOf(name, texts(name).at(-1), bounds),
  };
}

function refuseValue(flag: Flag, args: readonly string[]): void {
  const given = args.find((word) => word.startsWith(`--${flag.name}=`));
  if (given !== undefined) {
    throw new UsageError(`--${flag.name} takes no value: it is a switch`);
  }
}

function refuseOtherChoice(flag: Flag, value: string): void {
  if (flag.choices === undefined || flag.choices.includes(value)) return;
  const near = nearest(value, flag.choices);
  throw new UsageError(
    `--${flag.name} must be one of ${flag.choices.join(", ")}: it is ${
      JSON.stringify(value)
    }` + (near === undefined ? "" : `. Did you mean ${near}?`),
  );
}

function refuseWrongCount(command: Command, words: readonly string[]): void {
  const { positionals } = command;
  const missing = positionals[words.length];
  if (missing !== undefined && !missing.optional) {
    throw new UsageError(`${missing.name} is missing: ${missing.says}`);
  }
  const extra = words[positionals.length];
  if (extra !== undefined) {
    const last = positionals.at(-1);
    const ends = last === undefined
      ? ""
      : `, which ends with ${last.name}: ${last.says}`;
    throw new UsageError(
      `${
        JSON.stringify(extra)
      } is one word too many for whorl ${command.name}${ends}`,
    );
  }
}

function unknownFlag(
  word: string,
  command: Command,
  flags: readonly Flag[],
): UsageError {
  const near = nearest(
    word.replace(/^-+/, ""),
    flags.filter((flag) => !flag.hidden).map((flag) => flag.name),
  );
  return new UsageError(
    `whorl ${command.name} has no flag ${word}` +
      (near === undefined ? "" : `. Did you mean --${near}?`),
  );
}

function countOf(
  name: string,
  text: string | undefined,
  { min = 0, max = Number.MAX_SAFE_INTEGER }: { min?: number; max?: number } =
    {},
): number | undefined {
  if (text === undefined) return undefined;
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (!(value >= min && value <= max)) {
    const range = max === Number.MAX_SAFE_INTEGER
      ? `of at least ${min}`
      : `between ${min} and ${max}`;
    throw new UsageError(
      `--${name} must be a whole number ${range}: it is ${
        JSON.stringify(text)
      }`,
    );
  }
  return value;
}
