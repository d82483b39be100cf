/**
 * tanodb as a person has it: nodes in processes of their own, with somebody who
 * types at their prompts. The transcripts are those of its README, which are
 * those of the Little Riak Core Book.
 *
 * @module
 */
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import type {
  Found,
  KeysResult,
  KeysRow,
  NotFound,
  Replies,
  Written,
} from "../../examples/tanodb/tanodb.ts";
import { partitionOf, type RingStatus } from "../../mod.ts";
import { ExampleNodes } from "../harness/example_nodes.ts";
import { PromptProcess } from "../harness/prompt_process.ts";
import { playTranscript } from "../harness/prompt_transcript.ts";
import { until } from "../harness/until.ts";

/** How long members may take to agree, or a node to be back in its place. */
const SETTLED_MS_MAX = 20_000;
/** Keys of a bucket of the tutorial, and the first partition each of them is on. */
const FIRST_PARTITIONS = {
  "key-1": 48,
  "key-2": 2,
  "key-3": 38,
  "key-4": 14,
  "key-5": 35,
  "key-6": 45,
  "key-7": 49,
  "key-8": 6,
  "key-9": 31,
  "key-10": 12,
};

function startNodes(): Promise<ExampleNodes> {
  return ExampleNodes.make("tanodb", ["--http", "0"]);
}

/** Types `code`, and resolves to what that printed. */
async function typeAt(node: PromptProcess, code: string): Promise<string> {
  return (await node.ask(code)).join("\n");
}

/** Types the expression `code`, and resolves to its value as JSON has it. */
async function valueAt<T = unknown>(
  node: PromptProcess,
  code: string,
): Promise<T> {
  const printed = await typeAt(node, `console.log(JSON.stringify(${code}))`);
  try {
    return JSON.parse(printed);
  } catch (cause) {
    throw new Error(`No value of ${code}: ${printed}`, { cause });
  }
}

/** Where a node that has started serves HTTP. */
function httpOf(node: PromptProcess): string {
  const [, address] = node.log.map((line) => /HTTP at (\S+)$/.exec(line))
    .find((found) => found !== null)!;
  return `http://${address}`;
}

/** The vnodes that have keys in `bucket`. */
async function rowsWithKeys(
  node: PromptProcess,
  bucket: string,
): Promise<KeysRow[]> {
  const { rows } = await valueAt<KeysResult>(
    node,
    `await tanodb.keys("${bucket}")`,
  );
  return rows.filter(({ keys }) => keys.length > 0);
}

/** Waits until `node` sees `count` nodes share the ring, with nothing on its way. */
async function settled(node: PromptProcess, count: number): Promise<void> {
  let seen = "nothing";
  await until(() => `${count} nodes are settled: ${seen}`, async () => {
    const ring = await valueAt<RingStatus>(node, "await cluster.ring()");
    seen = JSON.stringify(ring);
    return ring.ringReady && ring.nodes.length === count &&
      ring.transfers.length === 0;
  }, SETTLED_MS_MAX);
}

/** The partitions that `key` of the bucket `b` is on, in order. */
function preflistOf(key: string, ringSize = 64): number[] {
  const first = partitionOf("b", key, ringSize);
  return [0, 1, 2].map((next) => (first + next) % ringSize).sort((a, b) =>
    a - b
  );
}

Deno.test("tanodb does what its README shows", async (t) => {
  const readme = await Deno.readTextFile(
    new URL("../../examples/tanodb/README.md", import.meta.url),
  );
  await using nodes = await startNodes();
  for (const section of readme.split(/^(?=## )/m).slice(1)) {
    if (!section.includes("```console")) continue;
    const name = section.split("\n", 1)[0]!;
    // What follows needs what was done.
    if (!await t.step(name, () => playTranscript(section, nodes))) return;
  }
  assertEquals(await nodes.running.get("dev1")?.end(), 0);
});

Deno.test("tanodb stores each key of a bucket on the same three partitions as riak_core", async () => {
  await using nodes = await startNodes();
  await nodes.start("dev1");
  const dev1 = nodes.node("dev1");
  await typeAt(
    dev1,
    `
    for (let b = 1; b <= 10; b++) {
      for (let k = 1; k <= 10; k++) await tanodb.put("bucket-" + b, "key-" + k, { b, k });
    }
  `.replaceAll("\n", " "),
  );
  const rows = await rowsWithKeys(dev1, "bucket-1");
  assertEquals(rows.length, 27);
  for (const [key, first] of Object.entries(FIRST_PARTITIONS)) {
    assertEquals(partitionOf("bucket-1", key, 64), first);
    const having = rows.filter(({ keys }) => keys.includes(key));
    assertEquals(
      having.map(({ partition }) => partition),
      [first, first + 1, first + 2],
    );
  }
  assertEquals(rows.flatMap(({ keys }) => keys).length, 30);
});

Deno.test("tanodb's rows move to where they belong when the ring is resized", async () => {
  await using nodes = await startNodes();
  await nodes.start("dev1");
  const dev1 = nodes.node("dev1");
  const keys = Array.from({ length: 40 }, (_, i) => `k${i}`);
  await typeAt(dev1, `const keys = ${JSON.stringify(keys)}`);
  await valueAt(
    dev1,
    "await Promise.all(keys.map((key) => tanodb.put('b', key, 'first')))",
  );
  await valueAt(dev1, "await tanodb.delete('b', 'k0')");
  await typeAt(dev1, "await cluster.resizeRing(32)");
  await typeAt(dev1, "await cluster.plan()");
  await typeAt(dev1, "await cluster.commit()");
  await valueAt(dev1, "await tanodb.put('b', 'k1', 'meanwhile')");
  // The ring is seen before it is stored; requests go by it once it is.
  let asked = 0;
  await until(() => `32 partitions answer, not ${asked}`, async () => {
    const { rows } = await valueAt<KeysResult>(dev1, "await tanodb.keys('b')");
    asked = rows.length;
    return asked === 32;
  }, SETTLED_MS_MAX);
  const rows = await rowsWithKeys(dev1, "b");
  for (const key of keys) {
    assertEquals(
      rows.filter((row) => row.keys.includes(key)).map((row) => row.partition),
      key === "k0" ? [] : preflistOf(key, 32),
    );
  }
  const { value } = await valueAt<Found>(dev1, "await tanodb.get('b', 'k1')");
  assertEquals(value, "meanwhile");
});

Deno.test("tanodb answers the same over HTTP and at its prompt, and counts both", async () => {
  await using nodes = await startNodes();
  await nodes.start("dev1");
  const dev1 = nodes.node("dev1");
  const http = httpOf(dev1);
  const ask = async (path: string, init?: RequestInit) => {
    const response = await fetch(`${http}${path}`, init);
    return { status: response.status, text: await response.text() };
  };
  const post: RequestInit = {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ answer: 42 }),
  };
  const counts = async () => {
    const { core, http } = JSON.parse((await ask("/metrics")).text);
    return { ...core, posts: http.endpoints.key?.responses[204] ?? 0 };
  };
  assertEquals((await ask("/store/mybucket/k1")).status, 404);
  assertEquals((await ask("/store/mybucket/k1", post)).status, 204);
  assertEquals(
    await valueAt(dev1, "await tanodb.get('mybucket', 'k1')"),
    {
      status: "found",
      partition: 10,
      node: "dev1@127.0.0.1",
      bucket: "mybucket",
      key: "k1",
      value: { answer: 42 },
    },
  );
  await typeAt(dev1, "await tanodb.put('mybucket', 'k2', 'typed')");
  assertEquals(await ask("/store/mybucket/k1"), {
    status: 200,
    text: '{"answer":42}',
  });
  assertEquals(await ask("/store/mybucket/k2"), {
    status: 200,
    text: '"typed"',
  });
  assertEquals((await ask("/store/mybucket")).text, '["k1","k2"]');
  const before = await counts();
  assertEquals([before.put, before.get.count, before.posts], [
    { count: 2, one: 2 },
    4,
    1,
  ]);
  assert(/^\{"pong":"\d+"\}$/.test((await ask("/ping")).text));
  const DELETE = { method: "DELETE" };
  assertEquals((await ask("/store/mybucket/k1", DELETE)).status, 204);
  assertEquals((await ask("/store/mybucket/k1", DELETE)).status, 404);
  assertEquals((await ask("/store/mybucket/k1")).status, 404);
  const after = await counts();
  assertEquals([after.ping.count, after.delete.count, after.get.count], [
    before.ping.count + 1,
    before.delete.count + 2,
    before.get.count + 1,
  ]);
  assertEquals(await dev1.end(), 0);
});

Deno.test("tanodb continues without one of three nodes, which catches up when it is back", async () => {
  await using nodes = await startNodes();
  await Promise.all([
    nodes.start("dev1"),
    nodes.start("dev2", ["--durable"]),
    nodes.start("dev3"),
  ]);
  const [dev1, dev2, dev3] = ["dev1", "dev2", "dev3"].map((name) =>
    nodes.node(name)
  ) as [PromptProcess, PromptProcess, PromptProcess];
  const keys = Array.from({ length: 30 }, (_, i) => `k${i}`);
  const putAll = (value: string) =>
    `await Promise.all(keys.map((key) => tanodb.put("b", key, "${value}")))`;
  const getAll =
    "(await Promise.all(keys.map((key) => tanodb.get('b', key)))).map(({ value }) => value)";
  for (const node of [dev1, dev3]) {
    await typeAt(node, `const keys = ${JSON.stringify(keys)}`);
  }
  await valueAt(dev1, putAll("first"));
  await valueAt(dev1, "await tanodb.put('b', 'gone', 'first')");
  for (const node of [dev2, dev3]) {
    const dev1At = `dev1@${nodes.addressOf("dev1")}`;
    assertMatch(
      await typeAt(node, `await cluster.join("${dev1At}")`),
      /^Success: staged join request for /,
    );
  }
  await settled(dev1, 1);
  await typeAt(dev1, "await cluster.plan()");
  assertEquals(
    await typeAt(dev1, "await cluster.commit()"),
    "Cluster changes committed",
  );
  // Two thirds of the rows are on their way to other nodes now.
  await valueAt(dev1, putAll("old"));
  await valueAt(dev1, "await tanodb.delete('b', 'gone')");
  await settled(dev1, 3);
  const rows = await rowsWithKeys(dev3, "b");
  for (const key of [...keys, "gone"]) {
    assertEquals(
      rows.filter((row) => row.keys.includes(key)).map((row) => row.partition),
      key === "gone" ? [] : preflistOf(key),
    );
  }

  await dev2.kill();
  for (const node of [dev1, dev3]) {
    assertEquals(await valueAt(node, getAll), keys.map(() => "old"));
  }
  for (const node of [dev1, dev3]) {
    await until("dev2 is known to be gone", async () => {
      const { unreachable } = await valueAt<RingStatus>(
        node,
        "await cluster.ring()",
      );
      return unreachable.includes("dev2@127.0.0.1");
    }, SETTLED_MS_MAX);
  }
  const written = await valueAt<Replies<Written>[]>(dev3, putAll("new"));
  for (const [i, { replies }] of written.entries()) {
    assertEquals(
      replies.map(({ partition }) => partition).sort((a, b) => a - b),
      preflistOf(keys[i]!),
    );
    assert(replies.every(({ node }) => node !== "dev2@127.0.0.1"));
  }
  const { replies } = await valueAt<Replies<Found>>(
    dev1,
    "await tanodb.delete('b', 'k0')",
  );
  // A fallback says what it has: the new one, like the others.
  assertEquals(replies.map(({ value }) => value), ["new", "new", "new"]);
  const ring = await valueAt<RingStatus>(dev1, "await cluster.ring()");
  const isLost = (partition: number) =>
    ring.nodes[ring.owners[partition]!] === "dev2@127.0.0.1";
  const partial = await valueAt<KeysResult>(dev1, "await tanodb.keys('b')");
  assertEquals(partial.status, "partial");
  assertEquals(
    partial.missing,
    Array.from(ring.owners.keys()).filter(isLost),
  );
  const listed = await fetch(`${httpOf(dev1)}/store/b`);
  assertEquals([listed.status, await listed.json()], [
    200,
    keys.slice(1).sort(),
  ]);

  await nodes.start("dev2", ["--durable"]);
  const back = nodes.node("dev2");
  // Its own vnodes, and nobody else, are asked with one replica.
  const missed = keys.filter((key) => isLost(partitionOf("b", key, 64)));
  assert(missed.length > 3, `only ${missed}`);
  const atHome = `(await Promise.all(${
    JSON.stringify(missed)
  }.map((key) => tanodb.single.get("b", key))))`;
  let found: (Found | NotFound)[] = [];
  await until(
    () => `dev2 has what it missed: ${JSON.stringify(found)}`,
    async () => {
      found = await valueAt(dev1, atHome);
      return found.every((row) =>
        row.node === "dev2@127.0.0.1" &&
        (row.key === "k0"
          ? row.status === "not_found"
          : row.status === "found" && row.value === "new")
      );
    },
    SETTLED_MS_MAX,
  );
  const { status } = await valueAt<KeysResult>(back, "await tanodb.keys('b')");
  assertEquals(status, "ok");
  for (const node of [back, dev3, dev1]) assertEquals(await node.end(), 0);
});

Deno.test("tanodb shows its usage, and what keeps it from starting", async () => {
  const program = new URL("../../examples/tanodb/main.ts", import.meta.url);
  await using lost = new PromptProcess(["-A", program.href]);
  assertEquals(await lost.code(), 2);
  assertStringIncludes(lost.log.join("\n"), "deno task tanodb NAME");
  await using nodes = await startNodes();
  await nodes.start("dev1");
  const dev1 = nodes.node("dev1");
  const takenPort = new URL(httpOf(dev1)).port;
  // The last port that is given counts.
  await assertRejects(
    () => nodes.start("dev2", ["--http", takenPort]),
    Error,
    "Address already in use",
  );
  assertEquals(await nodes.node("dev2").code(), 2);
  await dev1.ask("nobody");
  assertEquals(await dev1.end(), 1);
});
