/**
 * flavio as a person has it: nodes in processes of their own, with somebody who
 * types at their prompts and asks over HTTP. What the README tells is played as
 * it stands there.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { ExampleNodes } from "../harness/example_nodes.ts";
import { PromptProcess } from "../harness/prompt_process.ts";
import { patternOf, playTranscript } from "../harness/prompt_transcript.ts";
import { until } from "../harness/until.ts";

const README = await Deno.readTextFile(
  new URL("../../examples/flavio/README.md", import.meta.url),
);

/** Nodes of flavio, which serve HTTP on free ports. */
function flavioNodes(): Promise<ExampleNodes> {
  return ExampleNodes.make("flavio", ["--http", "0"]);
}

Deno.test("flavio does what its README shows", async (t) => {
  await using nodes = await flavioNodes();
  let asked = 0;
  for (const section of README.split(/^(?=##+ )/m).slice(1)) {
    const name = section.split("\n", 1)[0]!;
    if (!/^```(console|sh)$/m.test(section)) continue;
    const ok = await t.step(name, async () => {
      await playTranscript(section, nodes);
      await seeEachOther(nodes);
      asked += await playRequests(section, nodes);
    });
    // What follows needs what was done.
    if (!ok) return;
  }
  assertEquals(asked, 9);
});

/** Waits until each node sees all members serve: what it sends goes to their owners then. */
async function seeEachOther(nodes: ExampleNodes): Promise<void> {
  for (const [name, node] of nodes.running) {
    let seen = "nothing";
    await until(
      () => `${name} sees all members serve flavio: ${seen}`,
      async () => {
        seen = (await node.ask(
          'const serving = await node.services(); (await cluster.members()).members.filter(({ node }) => !serving[node]?.includes("flavio"))',
        )).join("\n");
        return seen === "[]";
      },
      20_000,
    );
  }
}

/** Makes the requests of the blocks fenced as `sh`, and returns how many these are. */
async function playRequests(
  markdown: string,
  nodes: ExampleNodes,
): Promise<number> {
  let count = 0;
  for (const [, block] of markdown.matchAll(/^```sh\n(.*?)^```$/gms)) {
    const lines = block!.trimEnd().split("\n");
    // Other orders than these have no answers.
    if (!block!.startsWith("$ ")) continue;
    for (let i = 0; i < lines.length; i += 2) {
      const [line, expected] = [lines[i]!, lines[i + 1]!];
      const answer = await answerOf(line, nodes);
      assertMatch(answer, new RegExp(`^${patternOf(expected)}$`), line);
      count++;
    }
  }
  return count;
}

/** What `curl` prints, with the ports of the tutorial standing for those of the nodes. */
async function answerOf(line: string, nodes: ExampleNodes): Promise<string> {
  assert(line.startsWith("$ curl "), line);
  const [, node, path] =
    /http:\/\/127\.0\.0\.1:100(\d)8(\/[^' ]*)'?$/.exec(line) ??
      [];
  const [, header, value] = / -H '([^:']+): ([^']*)'/.exec(line) ?? [];
  const [, body] = / -d '([^']*)'/.exec(line) ?? [];
  const [, method] = / -X (\w+)/.exec(line) ?? [];
  const response = await fetch(`${httpOf(nodes, `dev${node}`)}${path}`, {
    method: method ?? (body === undefined ? "GET" : "POST"),
    ...(header === undefined ? {} : { headers: { [header]: value! } }),
    ...(body === undefined ? {} : { body }),
  });
  const text = await response.text();
  return line.includes("%{http_code}") ? `${text} ${response.status}` : text;
}

/** Where a node serves HTTP, by its log. */
function httpOf(nodes: ExampleNodes, name: string): string {
  const at = nodes.node(name).log
    .map((line) => /, and for HTTP at (\S+)$/.exec(line)?.[1])
    .find((address) => address !== undefined);
  assert(at !== undefined, `${name} does not say where it serves HTTP`);
  return `http://${at}`;
}

Deno.test("flavio prints usage, and errors at its prompt", async () => {
  const program = new URL("../../examples/flavio/main.ts", import.meta.url);
  const permissions = ["--allow-read", "--allow-write", "--allow-net"];
  await Promise.all(
    [[], ["dev5"], ["dev1", "--http", "x"]].map(async (args) => {
      await using lost = new PromptProcess([
        ...permissions,
        "--allow-env",
        "--allow-sys",
        program.href,
        ...args,
      ]);
      assertEquals(await lost.code(), 2);
      assertMatch(lost.log.join("\n"), /^deno task flavio NAME/);
    }),
  );
  await using nodes = await flavioNodes();
  await nodes.start("dev1");
  const node = nodes.node("dev1");
  assertEquals(await node.ask('await flavio.add("2", 5)'), [
    "TypeError: Cannot add as both must be finite numbers: current value is 2",
  ]);
  assertEquals(await node.end(), 1);
});
