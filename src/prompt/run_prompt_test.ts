import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { hasScript } from "./testing/script_program.ts";
import { Terminal } from "./testing/terminal.ts";

const program = new URL("./testing/node_prompt_program.ts", import.meta.url);

/** Sends `lines` to the prompt and gives what came out; without lines the input stays open. */
async function typed(
  lines: readonly string[] | undefined,
  ...args: readonly string[]
): Promise<{ out: string; err: string; code: number }> {
  await using child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", program.href, ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  if (lines !== undefined) {
    await writer.write(new TextEncoder().encode(`${lines.join("\n")}\n`));
    await writer.close();
  }
  const [out, err, { code }] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.status,
  ]);
  if (lines === undefined) await writer.close().catch(() => {});
  return { out, err, code };
}

Deno.test("runPrompt() has the names of the application, and those of attach on its own node", async () => {
  const { out, err, code } = await typed([
    "greet('ann')",
    "pair()",
    "pair().left + pair().right",
    "const { context } = await kv.put('users', 'ann', { age: 41 })",
    "(await kvOfNode.get('users', 'ann')).value",
    "await node.ping()",
    "node.name",
    "(await node.info()).ringSize",
    "(await cluster.members()).members",
    "await cluster.members()",
    "await cluster.ring()",
    "await cluster.transfers()",
    "await cluster.ready()",
    "await cluster.status()",
    "await node.tree()",
    "await node.services()",
    ".help",
  ]);
  assertEquals([err, code], ["", 0]);
  const said = out.split("\n");
  assertEquals(said.slice(0, 7), [
    '"Hello ann"',
    "1 and 2",
    "3",
    "{ age: 41 }",
    '"pong"',
    '"dev1@127.0.0.1"',
    "8",
  ]);
  for (
    const text of [
      "================================= Membership ==================================",
      "valid     100.0%      --      dev1@127.0.0.1",
      "Node a: 8 (100.0%) dev1@127.0.0.1",
      "aaaa|aaaa|",
      "No transfers active",
      "node",
      "JavaScript, with these names:\n\n  greet(name)                                   say hello\n\n  await kv.put(",
    ]
  ) assertStringIncludes(out, text);
  assertEquals(said.slice(-2), ["went well", ""]);
});

Deno.test("runPrompt() tells failures by their code, and that there were some", async () => {
  const { out, err } = await typed([
    "await cluster.commit()",
    "await cluster.join('nonsense:1')",
    "await cluster.join('dev1@127.0.0.1')",
    "await openAnother()",
    "await nameTwice()",
  ]);
  assertEquals(out, "something failed\n");
  assertEquals(
    err.split("\n").map((line) => line.split(":")[0]),
    [
      "nothing_planned",
      "invalid_argument",
      "not_reachable",
      "invalid_argument",
      "invalid_argument",
      "",
    ],
  );
});

Deno.test("runPrompt() ends with its signal, and with its node", async () => {
  const aborted = await typed(undefined, "aborted");
  assertEquals([aborted.out, aborted.code], ["went well\n", 0]);
  const { out } = await typed([
    "await node.stop()",
    "await new Promise(() => {})",
    "'not reached'",
  ]);
  assertEquals(out, "{}\n(interrupted)\nwent well\n");
  assert(!out.includes("not reached"));
});

Deno.test({
  name:
    "runPrompt() on a terminal prints above the line being typed, and ends with the node",
  ignore: !await hasScript(),
  async fn() {
    await using terminal = new Terminal(program.href);
    await terminal.until("not said to a pipe");
    await terminal.until("dev1@127.0.0.1> ");
    await terminal.type("void setTimeout(() => node.stop(), 50)\r");
    await terminal.until("dev1@127.0.0.1> ");
    await terminal.type("half a line");
    await terminal.until("half a line");
    await terminal.until("heard of ");
    await terminal.until("dev1@127.0.0.1> half a line");
    await terminal.until("went well");
    assertEquals(await terminal.code(), 0);
  },
});
