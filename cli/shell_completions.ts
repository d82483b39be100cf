/**
 * Completion scripts for shells, made from the commands' declarations.
 *
 * @module
 */
import type { Command, Flag } from "./command.ts";

/** The shells there are scripts for. */
export const SHELLS = ["bash", "zsh", "fish"] as const;
/** One of them. */
export type Shell = (typeof SHELLS)[number];

/** The script for `shell`. */
export function completionScript(
  shell: Shell,
  commands: readonly Command[],
  flagsOf: (command: Command) => readonly Flag[],
): string {
  const shown = commands.filter(({ hidden }) => !hidden).map((command) => ({
    ...command,
    flags: flagsOf(command).filter(({ hidden }) => !hidden),
  }));
  switch (shell) {
    case "bash":
      return bash(shown);
    case "zsh":
      return zsh(shown);
    case "fish":
      return fish(shown);
    default:
      return shell satisfies never;
  }
}

function firstWords(commands: readonly Command[]): string[] {
  const words = commands.map(({ name }) => name.split(" ")[0]!);
  return [...new Set([...words, "help"])];
}

function secondWords(commands: readonly Command[], group: string): string[] {
  return commands.flatMap(({ name }) => {
    const [first, second] = name.split(" ");
    return first === group && second !== undefined ? [second] : [];
  });
}

function groups(commands: readonly Command[]): string[] {
  return [
    ...new Set(
      commands.filter(({ name }) => name.includes(" "))
        .map(({ name }) => name.split(" ")[0]!),
    ),
  ];
}

function bash(commands: readonly Command[]): string {
  const flagCases = commands.map(({ name, flags }) =>
    `    "${name}") words="${
      flags.map((flag) => `--${flag.name}`).join(" ")
    }" ;;`
  );
  const choiceCases = choices(commands).map(([flag, values]) =>
    `    --${flag}) COMPREPLY=($(compgen -W "${
      values.join(" ")
    }" -- "$current")); return ;;`
  );
  const groupCases = groups(commands).map((group) =>
    `    ${group}) command="$command \${COMP_WORDS[2]}"; second="${
      secondWords(commands, group).join(" ")
    }" ;;`
  );
  return `\
_whorl() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}"
  local command="\${COMP_WORDS[1]}" words="" second=""
  COMPREPLY=()
  if [[ $COMP_CWORD -eq 1 ]]; then
    COMPREPLY=($(compgen -W "${firstWords(commands).join(" ")}" -- "$current"))
    return
  fi
  case "$command" in
${groupCases.join("\n")}
  esac
  if [[ $COMP_CWORD -eq 2 && -n "$second" ]]; then
    COMPREPLY=($(compgen -W "$second" -- "$current"))
    return
  fi
  case "$previous" in
${choiceCases.join("\n")}
  esac
  case "$command" in
${flagCases.join("\n")}
  esac
  if [[ "$current" == -* ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$current"))
  else
    COMPREPLY=($(compgen -f -- "$current"))
  fi
}
complete -o filenames -F _whorl whorl
`;
}

function zsh(commands: readonly Command[]): string {
  const described = commands.filter(({ name }) => !name.includes(" "))
    .map(({ name, summary }) => `    ${quoted(`${name}:${summary}`)}`);
  const grouped = groups(commands).map((group) =>
    `    ${quoted(`${group}:${secondWords(commands, group).join(", ")}`)}`
  );
  const groupCases = groups(commands).map((group) =>
    `\
    ${group})
      if (( CURRENT == 3 )); then
        compadd -- ${secondWords(commands, group).join(" ")}
        return
      fi
      command="$command $words[3]" ;;`
  );
  const flagCases = commands.map(({ name, flags }) =>
    `    "${name}") _arguments ${
      flags.map((flag) =>
        quoted(
          `${flag.repeats ? "*" : ""}--${flag.name}[${
            flag.says.replace(/[[\]:]/g, " ")
          }]` + (flag.value === undefined
            ? ""
            : `:${flag.name}:${
              flag.choices ? `(${flag.choices.join(" ")})` : "_files"
            }`),
        )
      ).join(" ")
    } '*:file:_files' ;;`
  );
  return `\
#compdef whorl
_whorl() {
  local command="$words[2]"
  local -a commands=(
${[...described, ...grouped].join("\n")}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  case "$command" in
${groupCases.join("\n")}
  esac
  case "$command" in
${flagCases.join("\n")}
  esac
}
_whorl "$@"
`;
}

function fish(commands: readonly Command[]): string {
  const lines = [`complete -c whorl -f -n __fish_use_subcommand -a help`];
  for (const { name, summary, flags } of commands) {
    const [first, second] = name.split(" ") as [string, string | undefined];
    const seen = `__fish_seen_subcommand_from ${first}`;
    lines.push(
      second === undefined
        ? `complete -c whorl -f -n __fish_use_subcommand -a ${first} -d ${
          quoted(summary)
        }`
        : `complete -c whorl -f -n ${quoted(seen)} -a ${second} -d ${
          quoted(summary)
        }`,
    );
    const when = second === undefined
      ? seen
      : `${seen}; and __fish_seen_subcommand_from ${second}`;
    for (const flag of flags) {
      const value = flag.value === undefined
        ? ""
        : flag.choices === undefined
        ? " -r"
        : ` -x -a ${quoted(flag.choices.join(" "))}`;
      lines.push(
        `complete -c whorl -n ${quoted(when)} -l ${flag.name}${value} -d ${
          quoted(flag.says)
        }`,
      );
    }
  }
  for (const group of groups(commands)) {
    lines.push(
      `complete -c whorl -f -n __fish_use_subcommand -a ${group}`,
    );
  }
  return lines.join("\n") + "\n";
}

function choices(
  commands: readonly Command[],
): (readonly [string, readonly string[]])[] {
  const byName = new Map<string, readonly string[]>();
  for (const { flags } of commands) {
    for (const { name, choices } of flags) {
      if (choices !== undefined) byName.set(name, choices);
    }
  }
  return [...byName];
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
