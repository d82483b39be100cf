/**
 * Help texts, made from the commands' declarations so that they cannot disagree
 * with what is parsed. No line is wider than {@linkcode HELP_COLUMNS_MAX}.
 *
 * @module
 */
import type { Command, Flag } from "./command.ts";
import { styleFor } from "./style.ts";

/** Widest line of a help text, in characters. */
export const HELP_COLUMNS_MAX = 100;

const EXIT_CODES = [
  "0    done",
  '1    failed: refused, not found, records rejected, or "Node is not running!"',
  "2    the command line was not understood; nothing was tried",
  "130  interrupted by Ctrl-C",
];

/** The help of the whole program: what there is and how to go on. */
export function renderOverview(
  commands: readonly Command[],
  sessionFlags: readonly Flag[],
  globalFlags: readonly Flag[],
  color: boolean,
): string {
  const { strong, dim } = styleFor(color);
  const shown = commands.filter((command) => !command.hidden);
  return [
    "Whorl runs masterless, fault-tolerant clusters: a ring of nodes, each of which can be asked",
    "for anything. This program starts nodes and talks to them.",
    "",
    `${strong("Usage:")} whorl COMMAND [options]`,
    "",
    strong("Commands:"),
    ...columns(shown.map((command) => [command.name, command.summary])),
    "",
    strong("Which node a command talks to:"),
    ...flagLines(sessionFlags),
    "",
    strong("Options of every command:"),
    ...flagLines(globalFlags),
    "",
    strong("Exit codes:"),
    ...EXIT_CODES.map((line) => `  ${line}`),
    "",
    strong("A first cluster, in one terminal and then in another:"),
    "  whorl dev                                      " +
    dim("three nodes, joined; Ctrl-C stops them"),
    "  whorl member-status --data data/dev1           " +
    dim("who owns how much of the ring"),
    `  whorl put users ann '{"age":41}' --data data/dev1`,
    "  whorl get users ann --data data/dev3           " +
    dim("any node answers"),
    "",
    "whorl help COMMAND says more, for example: whorl help cluster join",
    "",
  ].join("\n");
}

/** The help of one command. */
export function renderCommandHelp(
  command: Command,
  sessionFlags: readonly Flag[],
  globalFlags: readonly Flag[],
  color: boolean,
): string {
  const { strong } = styleFor(color);
  const lines = [
    `whorl ${command.name}: ${command.summary}`,
    "",
    `${strong("Usage:")} ${usageLine(command)}`,
    "",
    ...wrap(command.about, HELP_COLUMNS_MAX),
  ];
  if (command.positionals.length > 0) {
    lines.push(
      "",
      strong("Arguments:"),
      ...columns(command.positionals.map(({ name, says }) => [name, says])),
    );
  }
  if (command.flags.some((flag) => !flag.hidden)) {
    lines.push("", strong("Options:"), ...flagLines(command.flags));
  }
  if (command.talksToNode) {
    lines.push("", strong("Which node:"), ...flagLines(sessionFlags));
  }
  lines.push(
    "",
    strong("Options of every command:"),
    ...flagLines(globalFlags),
  );
  if (command.examples.length > 0) {
    lines.push("", strong("Examples:"));
    for (const { line, says } of command.examples) {
      lines.push(`  ${styleFor(color).dim(`# ${says}`)}`, `  whorl ${line}`);
    }
  }
  return lines.join("\n") + "\n";
}

/** The help of a group of commands such as `cluster`. */
export function renderGroupHelp(
  group: string,
  commands: readonly Command[],
  color: boolean,
): string {
  const { strong } = styleFor(color);
  return [
    `${strong("Usage:")} whorl ${group} COMMAND [options]`,
    "",
    strong("Commands:"),
    ...columns(commands.map((command) => [command.name, command.summary])),
    "",
    `whorl help ${commands[0]?.name ?? group} says more about one of them`,
    "",
  ].join("\n");
}

/** How a command is called, on one line. */
export function usageLine(command: Command): string {
  const words = command.positionals.map(({ name, optional }) =>
    optional ? `[${name}]` : name
  );
  return ["whorl", command.name, ...words, "[options]"].join(" ");
}

function flagLines(flags: readonly Flag[]): string[] {
  return columns(
    flags.filter((flag) => !flag.hidden).map((flag) => {
      const short = flag.short === undefined ? "" : `-${flag.short}, `;
      const value = flag.value === undefined ? "" : ` ${flag.value}`;
      const remarks = [
        flag.choices === undefined ? "" : `one of ${flag.choices.join(", ")}`,
        flag.default === undefined ? "" : `default: ${flag.default}`,
        flag.repeats ? "may be repeated" : "",
      ].filter((remark) => remark !== "");
      const says = remarks.length === 0
        ? flag.says
        : `${flag.says} (${remarks.join("; ")})`;
      return [`${short}--${flag.name}${value}`, says];
    }),
  );
}

/** Two columns, the right one wrapped. */
function columns(rows: readonly (readonly [string, string])[] | string[][]) {
  const left = Math.min(30, Math.max(0, ...rows.map(([name]) => name!.length)));
  const lines: string[] = [];
  for (const [name, says] of rows) {
    const [first = "", ...more] = wrap(says!, HELP_COLUMNS_MAX - left - 4);
    if (name!.length > left) {
      lines.push(`  ${name}`, `  ${"".padEnd(left)}  ${first}`);
    } else {
      lines.push(`  ${name!.padEnd(left)}  ${first}`);
    }
    for (const line of more) lines.push(`  ${"".padEnd(left)}  ${line}`);
  }
  return lines;
}

/** Breaks text between words; paragraphs stand apart by an empty line. */
function wrap(text: string, width: number): string[] {
  return text.split("\n\n").flatMap((paragraph, index) => {
    const lines = index === 0 ? [] : [""];
    let line = "";
    for (const word of paragraph.split(/\s+/)) {
      if (line !== "" && line.length + 1 + word.length > width) {
        lines.push(line);
        line = word;
      } else {
        line = line === "" ? word : `${line} ${word}`;
      }
    }
    lines.push(line);
    return lines;
  });
}
