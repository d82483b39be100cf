/**
 * What `whorl new` makes is an application whose own checks and tests pass, with
 * Whorl by path and by URL, and whose nodes can be talked to.
 *
 * @module
 */
import { assertEquals, assertMatch } from "@std/assert";
import { ServedTree } from "./harness/served_tree.ts";
import { textLines } from "./harness/text_lines.ts";

const CLI = "cli/whorl.ts";
const CLI_FLAGS = ["run", "--quiet", "--no-prompt", "--allow-read"];
const ROOT = new URL("../", import.meta.url);

interface Ran {
  readonly code: number;
  readonly out: string;
}

async function deno(
  directory: string,
  ...args: readonly string[]
): Promise<Ran> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: directory,
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout) + decoder.decode(stderr) };
}

/** Calls `test` with a directory in which `whorl new shop` has been run by the command at `cli`. */
async function withApplication(
  cli: string,
  flags: readonly string[],
  test: (directory: string) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    const made = await deno(
      directory,
      ...[...CLI_FLAGS, "--allow-write=.", "--allow-env", "--allow-sys"],
      ...[...flags, cli, "new", "shop"],
    );
    assertEquals(made.code, 0, made.out);
    await test(`${directory}/shop`);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("new creates an application whose types and tests pass, with Whorl by path", async () => {
  const beganMs = performance.now();
  await withApplication(
    new URL(CLI, ROOT).href,
    [],
    async (directory) => {
      const { code, out } = await deno(directory, "task", "test");
      assertEquals(code, 0, out);
      assertMatch(out, /2 passed .* 0 failed/);
      const seconds = (performance.now() - beganMs) / 1_000;
      // deno-lint-ignore no-console -- how long a beginner waits is worth knowing.
      console.log(
        `from "whorl new" to tests that pass: ${seconds.toFixed(1)} s`,
      );
      for (const task of [["fmt", "--check"], ["lint"]]) {
        const looked = await deno(directory, ...task);
        assertEquals(looked.code, 0, looked.out);
      }
    },
  );
});

Deno.test("new creates an application with the Whorl of its command, whose node answers at its prompt", async () => {
  await using tree = new ServedTree();
  await withApplication(
    tree.url + CLI,
    ["--allow-import"],
    async (directory) => {
      const config = JSON.parse(
        await Deno.readTextFile(`${directory}/deno.json`),
      );
      assertEquals(config.imports["@whorl/whorl"], `${tree.url}mod.ts`);
      // Type-checking and testing it again would show nothing that the path does not.
      const port = /--listen 127\.0\.0\.1:\d+/;
      const words = config.tasks.dev1.replace(port, "--listen 127.0.0.1:0");
      const [cookie, , ...args] = words.split(" ");
      await using node = new Deno.Command(Deno.execPath(), {
        args,
        cwd: directory,
        env: { WHORL_COOKIE: cookie.split("=")[1] },
        stdin: "piped",
        stdout: "piped",
        stderr: "null",
      }).spawn();
      const writer = node.stdin.getWriter();
      await writer.write(
        new TextEncoder().encode(
          'const { id } = await shop.add("milk", "2 litres")\n' +
            '(await shop.entries("milk")).map((entry) => entry.text)\n' +
            "await shop.lists()\n",
        ),
      );
      await writer.close();
      const lines: string[] = [];
      for await (const line of textLines(node.stdout)) lines.push(line);
      assertEquals(lines.filter((line) => line.startsWith("[")), [
        '[ "2 litres" ]',
        '[ "milk" ]',
      ]);
      assertEquals((await node.status).code, 0);
    },
  );
});
