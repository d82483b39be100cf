/**
 * Tests of how `.ci/run` counts: what it says last is all that some readers see.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";

const SCRIPT = fileURLToPath(new URL("../.ci/run", import.meta.url));

interface Outcome {
  readonly code: number;
  readonly output: string;
  readonly lastLine: string | undefined;
}

/** Lets `.ci/run` run a shell script in place of the tests. */
async function ciRun(script: string): Promise<Outcome> {
  const command = new Deno.Command("bash", {
    args: [SCRIPT, "bash", "-c", script],
    stdin: "null",
    stderr: "null",
  });
  const { code, stdout } = await command.output();
  const output = new TextDecoder().decode(stdout);
  return { code, output, lastLine: output.trimEnd().split("\n").at(-1) };
}

Deno.test(".ci/run adds up the summaries of all runs, and passes on their output", async () => {
  const { code, lastLine, output } = await ciRun(`
    echo 'a test ... ok (1ms)'
    echo 'ok | 12 passed (3 steps) | 0 failed | 1 ignored (2s)'
    echo 'about errors' >&2
    echo 'ok | 30 passed | 0 failed (2s)'`);
  assertEquals([code, lastLine], [0, "42 passed, 0 failed"]);
  assertStringIncludes(output, "a test ... ok (1ms)\n");
  assertStringIncludes(output, "about errors\n");
});

Deno.test(".ci/run counts failed tests and keeps the exit status", async () => {
  const { code, lastLine } = await ciRun(`
    echo 'FAILED | 7 passed (2 steps) | 3 failed (1 step) (9s)'; exit 3`);
  assertEquals([code, lastLine], [3, "7 passed, 3 failed"]);
});

Deno.test(".ci/run fails when a test failed, whatever the command says", async () => {
  const { code, lastLine } = await ciRun(
    "echo 'FAILED | 7 passed | 1 failed (9s)'",
  );
  assertEquals([code, lastLine], [1, "7 passed, 1 failed"]);
});

Deno.test(".ci/run ignores colours", async () => {
  const { code, lastLine } = await ciRun(
    "printf '\\033[0m\\033[32mok\\033[0m | 8 passed | 0 failed \\033[38;5;245m(10ms)\\033[0m\\n'",
  );
  assertEquals([code, lastLine], [0, "8 passed, 0 failed"]);
});

Deno.test(".ci/run counts a run without a summary as a failure", async () => {
  const silent = await ciRun("echo 'error: Type checking failed.'; exit 1");
  assertEquals([silent.code, silent.lastLine], [1, "0 passed, 1 failed"]);
  const quiet = await ciRun("true");
  assertEquals([quiet.code, quiet.lastLine], [1, "0 passed, 1 failed"]);
  const killed = await ciRun("kill -KILL $$");
  assertEquals([killed.code, killed.lastLine], [137, "0 passed, 1 failed"]);
  const absent = await ciRun("exec /nowhere/deno");
  assertEquals([absent.code, absent.lastLine], [127, "0 passed, 1 failed"]);
});

Deno.test(".ci/run does not hide a crash behind a good summary", async () => {
  const { code, lastLine } = await ciRun(
    "echo 'ok | 5 passed | 0 failed (1s)'; kill -SEGV $$",
  );
  assertEquals([code, lastLine], [139, "5 passed, 1 failed"]);
});

Deno.test(".ci/run counts a run without tests as a failure", async () => {
  const { code, lastLine } = await ciRun(
    "echo 'ok | 0 passed | 0 failed (0ms)'",
  );
  assertEquals([code, lastLine], [1, "0 passed, 1 failed"]);
});

Deno.test(".ci/run fails if tests leave files in the temporary directory, and removes them", async () => {
  const script = `
    echo 'ok | 5 passed | 0 failed (1s)'
    mkdir "$TMPDIR/whorl-left" "$TMPDIR/465e78cba6ad17ad" "$TMPDIR/node-cache"
    echo "in $TMPDIR"`;
  const { code, lastLine, output } = await ciRun(script);
  assertEquals([code, lastLine], [1, "5 passed, 1 failed"]);
  assertStringIncludes(
    output,
    "left behind in the temporary directory: 465e78cba6ad17ad whorl-left\n",
  );
  const [, folder] = /^in (.*)$/m.exec(output) ?? [];
  await assertRejects(() => Deno.stat(folder!), Deno.errors.NotFound);
  const tidy = await ciRun(`${script}; rmdir "$TMPDIR"/[4w]*`);
  assertEquals([tidy.code, tidy.lastLine], [0, "5 passed, 0 failed"]);
});

Deno.test(".ci/run does not take a test's own output for a summary", async () => {
  const { lastLine } = await ciRun(`
    echo '  ok | 99 passed | 0 failed (1s)'
    echo 'ok | 2 passed | 0 failed (1s)'`);
  assertEquals(lastLine, "2 passed, 0 failed");
});

Deno.test("deno task test runs every test, in its first run or its second", async () => {
  const { tasks } = JSON.parse(
    await Deno.readTextFile(new URL("../deno.json", import.meta.url)),
  );
  const { test, "test:parallel": first, "test:real_time": second } = tasks;
  assertEquals(
    test.split(" && ").slice(1),
    ["deno task test:parallel", "deno task test:real_time"],
  );
  const words = first.split(" ");
  assertEquals(
    words.filter((word: string) => !word.startsWith("--")),
    ["deno", "test"],
  );
  const left = words.find((word: string) => word.startsWith("--ignore="));
  assertEquals(
    left.slice("--ignore=".length).split(","),
    second.split(" ").filter((word: string) => !word.startsWith("--")).slice(2),
  );
});
