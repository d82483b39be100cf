/**
 * The three terminals of the README: nodes as the tasks of `deno.json` start
 * them, joined by the command line, and used at a prompt. What the page shows
 * must be what they say.
 *
 * @module
 */
import { assertEquals, assertMatch } from "@std/assert";
import { runCommandLine } from "../../cli/main.ts";
import { capturedOutput } from "../../cli/output.ts";
import { systemWorld } from "../../cli/system_world.ts";
import { openSession } from "../../src/node/connect.ts";
import { readControlFile } from "../../src/node/control_file.ts";
import { startNode } from "../../src/node/start_node.ts";
import { consoleBlocks, patternOf } from "../harness/prompt_transcript.ts";
import { PromptProcess } from "../harness/prompt_process.ts";
import { until } from "../harness/until.ts";

/** How long a node may take to be up, and a cluster to settle, in milliseconds. */
const PATIENCE_MS = 30_000;
const ROOT = new URL("../../", import.meta.url);
const NODES = ["dev1", "dev2", "dev3"];
/** What a node logs while somebody types, such as that partitions have moved. */
const LOG_LINE = /^\d\d:\d\d:\d\d\.\d{3} \[\w+\] /;

Deno.test("three nodes in three terminals do what the README shows", async () => {
  const page = await Deno.readTextFile(new URL("README.md", ROOT));
  const section = page.split(/^(?=## )/m)
    .find((part) => part.startsWith("## Three nodes in three terminals\n"));
  const [joining, typing] = consoleBlocks(section ?? "");
  await using terminals = await Terminals.open();
  for (const { command, shown } of commandsIn(joining!)) {
    const pattern = new RegExp(`^${patternOf(shown)}$`);
    let said = await terminals.whorl(command);
    // Partitions move while the reader types.
    if (command.startsWith("member-status")) {
      await until(() => `${command}:\n${said}`, async () => {
        said = await terminals.whorl(command);
        return pattern.test(said);
      }, PATIENCE_MS);
    }
    assertMatch(said, pattern, command);
  }
  const [first, ...answer] = typing!.trimEnd().split("\n");
  const typed = /^(\w+)@127\.0\.0\.1> (.*)$/.exec(first!)!;
  const said = await terminals.ask(typed[1]!, typed[2]!);
  assertEquals(
    sameEachTime(said.filter((line) => !LOG_LINE.test(line)).join("\n")),
    sameEachTime(answer.join("\n")),
  );
});

/** The command lines of a block, without `deno task -q whorl`, and what is shown of each. */
function commandsIn(block: string): { command: string; shown: string }[] {
  return block.split(/^\$ /m).slice(1).map((part) => {
    const [line, ...shown] = part.split("\n");
    const command = /^deno task -q whorl (.*)$/.exec(line!)?.[1];
    if (command === undefined) throw new Error(`No command of whorl: ${line}`);
    return { command, shown: shown.join("\n").trimEnd() };
  });
}

/** A write's answer without its context, which of the replicas were quicker, and how wide the terminal is. */
function sameEachTime(answer: string): string {
  return answer
    .replace(/\s+/g, " ")
    .replace(/context: "[\w-]+"/, 'context: ""')
    .replaceAll(/state: "\w+"/g, 'state: ""');
}

/** Nodes as the tasks of these names start them, but on free ports and in a folder of their own. */
class Terminals implements AsyncDisposable {
  readonly #folder: string;
  readonly #prompts = new Map<string, PromptProcess>();
  readonly #addresses = new Map<string, string>();

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async open(): Promise<Terminals> {
    const folder = await Deno.makeTempDir({ prefix: "whorl-" });
    const terminals = new Terminals(folder);
    try {
      const config = await Deno.readTextFile(new URL("deno.json", ROOT));
      const { tasks } = JSON.parse(config);
      await Promise.all(
        NODES.map((name) => terminals.#start(name, tasks[name])),
      );
    } catch (error) {
      await terminals[Symbol.asyncDispose]();
      throw error;
    }
    return terminals;
  }

  async #start(name: string, task: string): Promise<void> {
    const line = this.#here(task).replace(
      /--listen \S+/,
      "--listen=127.0.0.1:0",
    )
      .replace("cli/whorl.ts", new URL("cli/whorl.ts", ROOT).href);
    const flags = line.split(" ").slice(2)
      .filter((flag) => flag !== "--quiet" && flag !== "--no-prompt");
    this.#prompts.set(name, new PromptProcess(["--unstable-kv", ...flags]));
    await until(`${name} is up`, async () => {
      const control = await readControlFile(`${this.#folder}/data/${name}`);
      if (control !== undefined) this.#addresses.set(name, control.address);
      return control !== undefined;
    }, PATIENCE_MS);
  }

  /** What the command line says of `command`, on both streams. */
  async whorl(command: string): Promise<string> {
    const output = capturedOutput();
    const module = new URL("cli/whorl.ts", ROOT).href;
    const world = {
      ...systemWorld({ openSession, startNode, version: "0", module }),
      output,
      env: () => undefined,
      onStopSignal: () => ({ [Symbol.dispose]() {} }),
    };
    await runCommandLine(this.#here(command).split(" "), world);
    return `${output.written}${output.remarks}`.trimEnd();
  }

  /** What the prompt of `name` answers. */
  ask(name: string, code: string): Promise<string[]> {
    return this.#prompts.get(name)!.ask(code);
  }

  /** `line` with the folder and the ports of these nodes. */
  #here(line: string): string {
    return line
      .replaceAll(/ data\//g, ` ${this.#folder}/data/`)
      .replaceAll(/(\w+)@127\.0\.0\.1:\d+/g, (whole, name) => {
        const address = this.#addresses.get(name);
        return address === undefined ? whole : `${name}@${address}`;
      });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      [...this.#prompts.values()].map((prompt) => prompt.end()),
    );
    await Deno.remove(this.#folder, { recursive: true });
  }
}
