import { assert, assertEquals, assertMatch } from "@std/assert";
import { hasScript } from "./testing/script_program.ts";
import { Terminal } from "./testing/terminal.ts";

const program = new URL("./testing/prompt_program.ts", import.meta.url).href;
const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** Sends `input` through a pipe and gives what came out. */
async function piped(
  input: string,
  flags: readonly string[] = [],
): Promise<{ code: number; out: string; err: string }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", ...flags, program],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(encoder.encode(input));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

Deno.test("Prompt from a pipe prints results only and ends with the input", async () => {
  const { code, out, err } = await piped([
    "let x = 20",
    "let x = 21",
    "x * 2",
    `await kv.put("users", "ann", { age: 41 })`,
    `const { value } = await kv.get("users", "ann")`,
    "value",
    "{ a: 1, b: [2] }",
    "function twice(n) {",
    "  return 2 * n",
    "}",
    "",
    "twice(_.b[0])",
    "[1, 2].map((n) =>",
    "  n + 1)",
    "123n",
    "-0",
    "undefined",
    "null",
    "if (false) 1",
    "await Promise.all([1, Promise.resolve(2)])",
    ".help",
  ].join("\n"));
  assertEquals([code, err], [0, ""]);
  assertEquals(
    out,
    [
      "42",
      '{ context: "1", siblings: 1, replicas: [] }',
      "{ age: 41 }",
      "{ a: 1, b: [ 2 ] }",
      "4",
      "[ 2, 3 ]",
      "123n",
      "-0",
      "null",
      "[ 1, 2 ]",
      "no help here",
      "",
    ].join("\n"),
  );
});

Deno.test("Prompt tells failures by code and message, goes on, and ends with 1", async () => {
  const { code, out, err } = await piped([
    "await refuse()",
    "nobody",
    "throw 'text'",
    "a b",
    "1 + 1",
    "function (",
  ].join("\n"));
  assertEquals([code, out], [1, "2\n"]);
  assertEquals(err.split("\n"), [
    "overload: Cannot take more { max: 9 }",
    "ReferenceError: nobody is not defined",
    'Thrown: "text"',
    "SyntaxError: Unexpected identifier 'b'",
    "SyntaxError: The input ends in the middle of code",
    "",
  ]);
});

Deno.test("Prompt survives a promise nobody awaited", async () => {
  const { code, out, err } = await piped(
    "void refuse()\nawait new Promise((done) => setTimeout(done, 20))\n7\n",
  );
  assertEquals([code, out], [1, "7\n"]);
  assertMatch(err, /^overload: /);
});

// V8's inspector ends the process when it loses a promise somebody awaits by it.
Deno.test("Prompt survives that what it awaits is collected as garbage", async () => {
  const { code, out, err } = await piped(
    [
      "let late = () => { console.log('alive'); Deno.exit(7) }",
      "let collect = () => { for (let i = 0; i < 4; i++) gc(); setTimeout(late) }",
      "void setTimeout(collect, 20)",
      "await new Promise(() => {})",
    ].join("\n"),
    ["--v8-flags=--expose-gc"],
  );
  assertEquals([code, out, err], [7, "alive\n", ""]);
});

Deno.test("Prompt that is ended gives up what is running and what waits", async () => {
  await using child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", program],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(encoder.encode("'up'\nawait hang()\n'not reached'\n"));
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let shown = "";
  while (!shown.includes("up")) shown += (await reader.read()).value ?? "";
  child.kill("SIGTERM");
  for (let read; !(read = await reader.read()).done;) shown += read.value;
  assertEquals((await child.status).code, 0);
  assertEquals(shown, '"up"\nsignal fired\n(interrupted)\n');
  await writer.close().catch((error) => {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  });
});

Deno.test("Prompt leaves at .exit and does not run what comes after", async () => {
  const { code, out } = await piped("1\n.exit\n2\n");
  assertEquals([code, out], [0, "1\n"]);
});

const noTerminal = !await hasScript();

Deno.test({
  name:
    "Prompt on a terminal completes, continues, clears, gives up and leaves",
  ignore: noTerminal,
  async fn() {
    await using terminal = new Terminal(program);
    await terminal.until("Welcome");
    await terminal.until("dev1> ");

    // Completion of a name, then of its members.
    await terminal.type("ref");
    await terminal.until("ref");
    await terminal.type("\t");
    await terminal.until("use");
    await terminal.type("\x15kv.calls.pu");
    await terminal.until("kv.calls.pu");
    await terminal.type("\t");
    await terminal.until("t");
    await terminal.type("\r");
    await terminal.until("0\r\n");

    // Code that goes on over lines has another label.
    await terminal.until("dev1> ");
    await terminal.type("[1,\r");
    await terminal.until("...> ");
    await terminal.type("2]\r");
    await terminal.until("[ 1, 2 ]");

    // Ctrl-C clears what was begun; what comes next is read afresh.
    await terminal.until("dev1> ");
    await terminal.type("(((\r");
    await terminal.until("...> ");
    await terminal.type("\x03");
    await terminal.until("dev1> ");
    await terminal.type("5 * 5\r");
    await terminal.until("25\r\n");

    // Ctrl-C gives up on what runs, and the signal reaches it.
    await terminal.until("dev1> ");
    await terminal.type("await hang()\r");
    await terminal.until("\r\n");
    await terminal.type("\x03");
    await terminal.until("signal fired");
    await terminal.until("(interrupted)");

    // Errors do not end it, Ctrl-D does.
    await terminal.until("dev1> ");
    await terminal.type("await refuse()\r");
    await terminal.until("overload: Cannot take more");
    await terminal.until("dev1> ");
    await terminal.type("\x04");
    assertEquals(await terminal.code(), 1);
  },
});

Deno.test({
  name: "Prompt on a terminal answers each pasted line behind its prompt",
  ignore: noTerminal,
  async fn() {
    await using terminal = new Terminal(program);
    await terminal.until("dev1> ");
    await terminal.type("6 * 7\rawait kv.get('users', 'ann')\n[1,\r\n2]\r8 *");
    const shown = await terminal.until("dev1> 8 *");
    const lines = shown.split("\n").map((line) => line.trim());
    assertEquals(lines[0], "6 * 7");
    assertEquals(lines[1], "42");
    assertEquals(lines[2], "dev1> await kv.get('users', 'ann')");
    assertEquals(lines.slice(-4), [
      "dev1> [1,",
      "...> 2]",
      "[ 1, 2 ]",
      "dev1> 8 *",
    ]);

    // Ctrl-C gives up on what runs, and forgets what was typed behind it.
    await terminal.type(" 8\rawait hang()\r'forgotten'\r");
    await terminal.until("64\r\n");
    await terminal.until("hang()\r");
    await terminal.until("\n");
    await terminal.type("\x03");
    const after = await terminal.until("dev1> ");
    assertMatch(after, /interrupted/);
    await terminal.type("'read'\r");
    const answer = await terminal.until("dev1> ");
    assert(!answer.includes("forgotten"), answer);
    await terminal.type("\x04");
    assertEquals(await terminal.code(), 0);
  },
});

Deno.test({
  name: "Prompt on a terminal remembers lines from one time to the next",
  ignore: noTerminal,
  async fn() {
    const directory = await Deno.makeTempDir();
    try {
      const path = `${directory}/history`;
      {
        await using terminal = new Terminal(program, [path]);
        await terminal.until("dev1> ");
        await terminal.type("6 * 7\r");
        await terminal.until("42\r\n");
        await terminal.until("dev1> ");
        await terminal.type(".exit\r");
        assertEquals(await terminal.code(), 0);
      }
      assertEquals(await Deno.readTextFile(path), "6 * 7\n.exit\n");
      assert((await Deno.stat(path)).mode! % 0o100 === 0, "only the owner's");
      await using terminal = new Terminal(program, [path]);
      await terminal.until("dev1> ");
      await terminal.type("\x1b[A\x1b[A");
      await terminal.until("6 * 7");
      await terminal.type("\r");
      await terminal.until("42\r\n");
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});
