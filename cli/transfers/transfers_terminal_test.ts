import { assert, assertEquals, assertMatch } from "@std/assert";
import { readControlFile } from "../../src/node/control_file.ts";
import { hasScript } from "../../src/prompt/testing/script_program.ts";
import { eachLine } from "../lines.ts";
import { ScreenModel } from "../testing/screen_model.ts";

const PROGRAM = new URL("../testing/handoff_program.ts", import.meta.url);
const WHORL = new URL("../whorl.ts", import.meta.url);
const DENO = ["run", "--quiet", "--no-check", "--unstable-kv", "--allow-all"];

/** A node with a scripted handoff on `directory`, whose transfers take a second each. */
async function startScripted(directory: string): Promise<AsyncDisposable> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [...DENO, PROGRAM.pathname, directory, "1"],
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const stderr: string[] = [];
  const ended = eachLine(child.stderr, (line) => void stderr.push(line))
    .then(() => child.status);
  let over = false;
  ended.then(() => over = true);
  while (await readControlFile(directory) === undefined) {
    assert(!over, stderr.join("\n"));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return {
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await ended;
    },
  };
}

/** Runs `whorl` in a terminal of `columns` by `rows`; resolves to all it wrote there. */
async function inTerminal(
  columns: number,
  rows: number,
  words: readonly string[],
): Promise<string> {
  const command = [Deno.execPath(), ...DENO, WHORL.pathname, ...words]
    .map((word) => `'${word}'`).join(" ");
  const { stdout } = await new Deno.Command("script", {
    args: [
      "--quiet",
      "--return",
      "--command",
      `stty cols ${columns} rows ${rows}; ${command}; echo code $?`,
      "/dev/null",
    ],
    env: { NO_COLOR: "1" },
  }).output();
  return new TextDecoder().decode(stdout).replaceAll("\r\n", "\n");
}

Deno.test({
  name:
    "whorl transfers in a terminal shows bars that move in place, then that all are done",
  ignore: !await hasScript(),
  async fn() {
    const directory = await Deno.makeTempDir();
    try {
      await using _ = await startScripted(directory);
      const written = await inTerminal(60, 8, [
        "transfers",
        "--interval",
        "100ms",
        "--data",
        directory,
      ]);
      // What was on the screen whenever a frame was complete.
      const screen = new ScreenModel(60, 8);
      // deno-lint-ignore no-control-regex -- it ends each frame.
      const frames = written.split(/(?<=\x1b\[J)/).map((part) =>
        screen.feed(part).join("\n")
      );
      assert(frames.length > 5, written);
      const moving = frames.filter((frame) => frame.includes("█"));
      assert(new Set(moving).size > 3, frames.join("\n----\n"));
      for (const frame of moving) {
        // In place: its title stands there once.
        assertEquals(frame.split("Active Transfers:").length, 2, frame);
        assertMatch(frame, /dev1@127.0.0.1 → dev4@127.0.0.1\n {2}[█░]{10} /);
      }
      assertMatch(
        frames.at(-1)!,
        /^All transfers are done, after [\d.]+s\ncode 0\n$/,
      );
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});
