/**
 * The short form of `deno task upgrade`.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { EARLIER_COMMIT, EarlierTree } from "./earlier_tree.ts";
import { runUpgrade } from "./upgrade.ts";

Deno.test("a cluster under load is upgraded node by node, rolled back and upgraded again, and loses nothing", async () => {
  const checkOut = await EarlierTree.checkOut(EARLIER_COMMIT);
  if ("skipped" in checkOut) {
    // deno-lint-ignore no-console -- nothing else would say that nothing was tested.
    console.log(`skipped: ${checkOut.skipped}`);
    return;
  }
  await using tree = checkOut.tree;
  const lines: string[] = [];
  const { violations, steps } = await runUpgrade({
    tree,
    keys: 100,
    restMs: 0,
    kills: false,
    tell: (line) => lines.push(line),
  });
  assertEquals(violations, [], lines.join("\n"));
  assertEquals(steps, 9);
});
