import { assert, assertEquals } from "@std/assert";
import words from "../examples/words/words_vnode.ts";
import { connect, type ProcessPlacement, startNode } from "../mod.ts";

const cookie = "a secret all nodes share";
const modules = [{
  url: new URL("../examples/words/words_vnode.ts", import.meta.url),
  module: words,
}];
const ONCE = { n: 1, w: 1, timeoutMs: 30_000 };

for (
  const masterPlacement of [
    "task",
    "worker",
    "subprocess",
  ] satisfies ProcessPlacement[]
) {
  Deno.test(`words has texts counted by workers and packed in a pool, masters as ${masterPlacement}`, async () => {
    await using node = await startNode({
      name: "one@127.0.0.1",
      cookie,
      modules,
      masterPlacement,
      ringSize: 8,
    });
    await using client = await connect({ nodes: [node.address], cookie });
    const vnodes = client.module(words);
    const counted = Array.from(
      { length: 8 },
      (_, i) =>
        vnodes.request("texts", `${i}`, "count", `a b ${"a ".repeat(i)}`, ONCE),
    );
    const packed = vnodes.request(
      "texts",
      "long",
      "packedSize",
      "long ".repeat(10_000),
      ONCE,
    );
    for (const [i, request] of counted.entries()) {
      assertEquals((await request).replies, [{ a: i + 1, b: 1 }]);
    }
    const [byteCount] = (await packed).replies;
    assert(byteCount !== undefined && byteCount > 20 && byteCount < 1_000);
    const { values } = await node.stats();
    assertEquals(
      [
        values["words-0.workers.counting.done"],
        values["words-0.pools.packing.done"],
      ],
      [8, 1],
    );
  });
}
