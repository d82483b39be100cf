/**
 * `whorl completions`: scripts that teach a shell the commands and flags.
 *
 * @module
 */
import type { Command } from "../command.ts";
import { UsageError } from "../command.ts";
import { ExitCode } from "../exit_code.ts";
import { flagsOf } from "../global_flags.ts";
import { nearest } from "../suggestion.ts";
import { completionScript, SHELLS } from "../shell_completions.ts";

/** `whorl completions` for `commands`, which it is one of itself. */
export const completionsCommand = (
  commands: () => readonly Command[],
): Command => ({
  name: "completions",
  summary: "print a script that completes whorl in bash, zsh or fish",
  about:
    "Prints a script for the shell named. Load it once to try it, or from the shell's start-up file to keep it.",
  positionals: [{ name: "SHELL", says: "bash, zsh or fish" }],
  flags: [],
  examples: [
    {
      line:
        "completions bash > ~/.local/share/bash-completion/completions/whorl",
      says: "bash",
    },
    { line: "completions zsh > ~/.zfunc/_whorl", says: "zsh" },
    {
      line: "completions fish > ~/.config/fish/completions/whorl.fish",
      says: "fish",
    },
  ],
  run(invocation, world): Promise<number> {
    const word = invocation.words[0]!;
    const shell = SHELLS.find((shell) => shell === word);
    if (shell === undefined) {
      const near = nearest(word, SHELLS);
      throw new UsageError(
        `SHELL must be one of ${SHELLS.join(", ")}: it is ${
          JSON.stringify(word)
        }` + (near === undefined ? "" : `. Did you mean ${near}?`),
      );
    }
    world.output.write(completionScript(shell, commands(), flagsOf));
    return Promise.resolve(ExitCode.ok);
  },
});
