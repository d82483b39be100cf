/**
 * The tutorial's system on real nodes, driven through their prompts: what its
 * README tells is played as it stands there, and what the tutorial's own suite
 * (`key_value_SUITE.erl`) tests is tested here.
 *
 * @module
 */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { ExampleNodes } from "../harness/example_nodes.ts";
import { PromptProcess } from "../harness/prompt_process.ts";
import { playTranscript } from "../harness/prompt_transcript.ts";

const README = await Deno.readTextFile(
  new URL("../../examples/rc_example/README.md", import.meta.url),
);

Deno.test("rc_example does what its README shows", async (t) => {
  await using nodes = await ExampleNodes.make("rc_example");
  for (const section of README.split(/^(?=##+ )/m).slice(1)) {
    const name = section.split("\n", 1)[0]!;
    let ok = true;
    if (section.includes("```console")) {
      ok = await t.step(name, () => playTranscript(section, nodes));
    }
    // What follows needs what was done.
    if (!ok) return;
  }
});

/** Three nodes become a cluster that has settled. */
const CLUSTER = `\
\`\`\`console
$ deno task rc_example dev1 --quiet
$ deno task rc_example dev2 --quiet
$ deno task rc_example dev3 --quiet
dev2@127.0.0.1> await cluster.join("dev1@127.0.0.1:0", { staged: false })
Sent join request to dev1@127.0.0.1
dev3@127.0.0.1> await cluster.join("dev1@127.0.0.1:0", { staged: false })
Sent join request to dev1@127.0.0.1
# soon
dev1@127.0.0.1> (await cluster.members()).members.map((m) => m.partitions).sort()
[ 21, 21, 22 ]
# soon
dev3@127.0.0.1> await cluster.ready()
TRUE …
# soon
dev3@127.0.0.1> await cluster.transfers()
No transfers active
\`\`\``;

/** The tutorial's tests, in its order. */
const SUITE: readonly (readonly [string, string])[] = [
  [
    "ping_test",
    `\
\`\`\`console
dev1@127.0.0.1> (await rc_example.ping())[0]
"pong"
dev2@127.0.0.1> (await rc_example.ping())[0]
"pong"
dev3@127.0.0.1> (await rc_example.ping())[0]
"pong"
\`\`\``,
  ],
  [
    "key_value_test",
    `\
\`\`\`console
dev1@127.0.0.1> [await rc_example.put("k1", "v1"), await rc_example.put("k2", "v2"), await rc_example.put("k3", "v3")]
[ "ok", "ok", "ok" ]
dev1@127.0.0.1> for (const key of ["k1", "k2", "k3", "k10"]) console.log(await rc_example.get(key))
v1
v2
v3
not_found
dev2@127.0.0.1> for (const key of ["k1", "k2", "k3", "k10"]) console.log(await rc_example.get(key))
v1
v2
v3
not_found
dev3@127.0.0.1> for (const key of ["k1", "k2", "k3", "k10"]) console.log(await rc_example.get(key))
v1
v2
v3
not_found
dev1@127.0.0.1> await rc_example.put("k1", "v_new")
"ok"
dev1@127.0.0.1> await rc_example.get("k1")
"v_new"
dev1@127.0.0.1> await rc_example.delete("k1")
"v_new"
dev1@127.0.0.1> await rc_example.get("k1")
not_found
dev1@127.0.0.1> await rc_example.delete("k1")
not_found
dev1@127.0.0.1> await rc_example.put("k1", "v_new")
"ok"
dev1@127.0.0.1> await rc_example.get("k1")
"v_new"
\`\`\``,
  ],
  [
    "coverage_test",
    `\
\`\`\`console
dev1@127.0.0.1> await rc_example.clear()
"ok"
dev1@127.0.0.1> [await rc_example.keys(), await rc_example.values()]
[ [ "ok", [] ], [ "ok", [] ] ]
dev1@127.0.0.1> for (let n = 1; n <= 100; n++) await rc_example.put(\`key\${n}\`, \`value\${n}\`)
"ok"
dev2@127.0.0.1> const all = (word) => Array.from({ length: 100 }, (_, n) => \`\${word}\${n + 1}\`).sort().join()
dev2@127.0.0.1> const listed = ([, rows]) => rows.flatMap(([, , list]) => list).sort().join()
dev2@127.0.0.1> listed(await rc_example.keys()) === all("key")
true
dev2@127.0.0.1> listed(await rc_example.values()) === all("value")
true
dev2@127.0.0.1> (await rc_example.keys())[1].every(([, , list]) => list.length > 0)
true
dev1@127.0.0.1> await rc_example.clear()
"ok"
dev1@127.0.0.1> [await rc_example.keys(), await rc_example.values()]
[ [ "ok", [] ], [ "ok", [] ] ]
\`\`\``,
  ],
  [
    "replicated_command: three vnodes have it, one answers",
    `\
\`\`\`console
dev1@127.0.0.1> await rc_example.replicatedCommand("k1", "put", "v1")
"ok"
# soon
dev3@127.0.0.1> await rc_example.replicatedCommand("k1", "get")
"v1"
# soon
dev2@127.0.0.1> (await rc_example.values())[1].map(([index, , list]) => [index * 64n >> 160n, list])
[ [ 50n, [ "v1" ] ], [ 51n, [ "v1" ] ], [ 52n, [ "v1" ] ] ]
dev2@127.0.0.1> await rc_example.replicatedCommand("k1", "delete")
"v1"
dev2@127.0.0.1> await rc_example.replicatedCommand("k1", "ping")
[ "pong", …n ]
\`\`\``,
  ],
  [
    "failures have their codes",
    `\
\`\`\`console
dev1@127.0.0.1> await rc_example.put("k1", "x".repeat(2 ** 20)).catch((error) => [error.code, error.details.answers[0].code])
[ "quorum_unavailable", "value_too_large" ]
dev1@127.0.0.1> await rc_example.get("k".repeat(256))
invalid_argument: …
\`\`\``,
  ],
  [
    "while an owner is away lists are partial, and clear() refuses",
    `\
\`\`\`console
$ pkill -KILL -f "rc_example/main.ts dev3"
# soon
dev1@127.0.0.1> (await rc_example.keys()).slice(0, 2)
[ "partial", "insufficient_vnodes" ]
dev1@127.0.0.1> await rc_example.clear()
Error: Cannot clear everything: [ "partial", "insufficient_vnodes", [] ]
\`\`\``,
  ],
];

Deno.test("rc_example passes the tutorial's suite on three nodes", async (t) => {
  await using nodes = await ExampleNodes.make("rc_example");
  await playTranscript(CLUSTER, nodes);
  for (const [name, text] of SUITE) {
    await t.step(name, () => playTranscript(text, nodes));
  }
});

Deno.test("rc_example keeps keys deleted that were deleted while their owner was away", async () => {
  await using nodes = await ExampleNodes.make("rc_example");
  await playTranscript(
    `\
\`\`\`console
$ deno task rc_example dev1 --durable
$ deno task rc_example dev2 --durable
dev2@127.0.0.1> await cluster.join("dev1@127.0.0.1:0", { staged: false })
Sent join request to dev1@127.0.0.1
# soon
dev2@127.0.0.1> [(await cluster.members()).members.map((m) => m.partitions), (await cluster.transfers()).waiting]
[ [ 32, 32 ], [] ]
dev2@127.0.0.1> await rc_example.put("k1", "v1")
"ok"
dev2@127.0.0.1> (await rc_example.keys())[1].map(([, node]) => node)
[ "dev1@127.0.0.1" ]
$ pkill -KILL -f "rc_example/main.ts dev1"
# soon
dev2@127.0.0.1> await rc_example.delete("k1")
not_found
$ deno task rc_example dev1 --durable
# dev1 logs
04:00:00.000 [info] [ND1G8YLUY5OVK16UNH2ZITWHUUGHOU8] received handoff data k1
# soon
dev1@127.0.0.1> await rc_example.get("k1")
not_found
dev1@127.0.0.1> await rc_example.keys()
[ "ok", [] ]
\`\`\``,
    nodes,
  );
});

Deno.test("rc_example shows its usage, and ends with its input", async () => {
  const program = new URL("../../examples/rc_example/main.ts", import.meta.url);
  await using lost = new PromptProcess(["-A", program.href]);
  assertEquals(await lost.code(), 2);
  assertStringIncludes(lost.log.join("\n"), "deno task rc_example NAME");
  await Promise.all(
    Object.entries({
      "dev9": "dev9 needs a --port",
      "dev1 dev2": "One NAME is enough: dev2",
      "dev1 --prot 1": "There is no --prot",
      "dev1 --durable=x": "--durable takes no value",
      "dev1 --data": "--data needs a value",
      "dev1 --data --durable": "--data needs a value",
    }).map(async ([line, why]) => {
      await using wrong = new PromptProcess([
        "-A",
        program.href,
        ...line.split(" "),
      ]);
      assertEquals(await wrong.code(), 2);
      assertEquals(wrong.log.at(-1), why);
    }),
  );
  await using asking = new PromptProcess(["-A", program.href, "--help"]);
  assertEquals([await asking.code(), asking.log], [0, []]);
  await using nodes = await ExampleNodes.make("rc_example");
  await nodes.start("dev1");
  assertEquals(await nodes.node("dev1").end(), 0);
  await nodes.start("dev1");
  await nodes.node("dev1").ask("nobody");
  assertEquals(await nodes.node("dev1").end(), 1);
});
