import { assertEquals } from "@std/assert";
import type { NodeInfo, NodeStats } from "../node/admin_protocol.ts";
import { simulate } from "./simulate.ts";

/** What the nodes of a run of `seed` report about themselves at its end. */
async function said(seed: number): Promise<[NodeInfo, NodeStats][]> {
  const answers: [NodeInfo, NodeStats][] = [];
  const { violations } = await simulate({
    seed,
    faults: ["kill"],
    check: async ({ nodes }) => {
      for (const node of nodes) answers.push([node.info(), await node.stats()]);
      return [];
    },
  });
  assertEquals(violations, []);
  return answers;
}

Deno.test("a simulated node reports the same identity and statistics each time", async () => {
  const answers = await said(3);
  assertEquals(answers.map(([{ node }]) => node), ["n1@n1", "n2@n2", "n3@n3"]);
  for (const [{ pid, incarnation }, { values }] of answers) {
    // Each incarnation of the node is a process of its machine.
    assertEquals(pid, incarnation);
    assertEquals(values["memory.rssBytes"], 0);
  }
  assertEquals(await said(3), answers);
});
