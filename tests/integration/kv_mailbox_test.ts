/**
 * The bounds of `kv`'s mailboxes, said where a node is started and obeyed where
 * its masters run.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { isWhorlError, type ProcessPlacement, startNode } from "../../mod.ts";

const WRITES = 200;
const REQUESTS_MAX = 3;

for (const masterPlacement of ["task", "worker"] satisfies ProcessPlacement[]) {
  Deno.test(`kv refuses commands beyond the bounds of NodeOptions.kvMailbox, masters as ${masterPlacement}`, async () => {
    const dataDirectory = await Deno.makeTempDir({ prefix: "whorl-" });
    await using stack = new AsyncDisposableStack();
    stack.defer(() => Deno.remove(dataDirectory, { recursive: true }));
    const node = stack.use(
      await startNode({
        name: "one@127.0.0.1",
        cookie: "secret",
        // In memory a write is done before the next one is looked at.
        dataDirectory,
        ringSize: 8,
        masterPlacement,
        kvMailbox: { requestsMax: REQUESTS_MAX },
      }),
    );
    // They come in one message, and each is in hand until its commit.
    const outcomes = await Promise.all(
      Array.from(
        { length: WRITES },
        (_, i) =>
          node.kv.put("b", "k", i, { n: 1, w: 1 }).then(
            () => "done",
            (error) => isWhorlError(error) ? error.code : String(error),
          ),
      ),
    );
    const done = outcomes.filter((outcome) => outcome === "done").length;
    const refused = outcomes.filter((outcome) => outcome === "overload").length;
    assertEquals(done + refused, WRITES, `${[...new Set(outcomes)]}`);
    assert(done >= REQUESTS_MAX && refused > 0, `${done} done`);
    const { values } = await node.stats();
    assertEquals(values["kv-0.refused"], refused);
    await node.kv.put("b", "k", "again", { n: 1, w: 1 });
  });
}
