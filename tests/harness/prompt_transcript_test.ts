/** Sees stories fail that are not true. */
import { assertEquals, assertRejects } from "@std/assert";
import { PromptProcess } from "./prompt_process.ts";
import { playTranscript, type TranscriptNodes } from "./prompt_transcript.ts";

const PROGRAM = new URL(
  "../../src/prompt/testing/prompt_program.ts",
  import.meta.url,
);

function block(...lines: readonly string[]): string {
  return ["```console", ...lines, "```"].join("\n");
}

function nodesOf(dev1: PromptProcess): TranscriptNodes {
  return {
    example: "rc_example",
    running: new Map([["dev1", dev1]]),
    start: () => Promise.reject(new Error("starts nothing")),
    addressOf: (name) => `host-of-${name}:7`,
    clean: () => Promise.resolve(),
  };
}

Deno.test("playTranscript() types and compares, and puts addresses in", async () => {
  await using dev1 = new PromptProcess(["-A", PROGRAM.href]);
  await playTranscript(
    block(
      "dev1@127.0.0.1> 6 * 7",
      "42",
      "dev1@127.0.0.1> ({ long: 'x'.repeat(70), other: 1 })",
      "{",
      '  long: "xxx…",',
      "  other: 1",
      "}",
      'dev1@127.0.0.1> "dev2@127.0.0.1:8199"',
      '"dev2@host-of-dev2:7"',
      "dev1@127.0.0.1> let count = 0",
      "# soon",
      "dev1@127.0.0.1> ++count",
      "3",
      "dev1@127.0.0.1> await refuse()",
      "overload: Cannot take more { max: 9 }",
    ),
    nodesOf(dev1),
  );
  assertEquals(await dev1.end(), 1);
});

Deno.test("playTranscript() fails where a story is not true, or nobody can play it", async () => {
  await using dev1 = new PromptProcess(["-A", PROGRAM.href]);
  for (
    const story of [
      block("dev1@127.0.0.1> 6 * 7", "43"),
      block("dev1@127.0.0.1> 6 * 7", "42", "43"),
      block("dev1@127.0.0.1> 6 * 7", "…3"),
      block("dev1@127.0.0.1> 6 * 7"),
      block("dev2@127.0.0.1> 6 * 7", "42"),
      block("$ rm -rf /"),
      block("$ deno task rc_example dev2"),
      block("42"),
    ]
  ) {
    await assertRejects(() => playTranscript(story, nodesOf(dev1)), story);
  }
  // What is not fenced as a story is text.
  await playTranscript("dev2@127.0.0.1> 6 * 7\n43", nodesOf(dev1));
});
