/**
 * The workers of a module in the tree of its node, wherever its masters run.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { type ProcessPlacement, startNode } from "../../mod.ts";
import type { TreeNode } from "../../supervisors/tree_view.ts";
import sums from "../fixtures/sums_vnode.ts";
import { until } from "../harness/until.ts";

const LIMIT_MS = 20_000;

for (
  const masterPlacement of [
    "task",
    "worker",
    "subprocess",
  ] satisfies ProcessPlacement[]
) {
  Deno.test(`WhorlNode.tree() shows the workers of a module and their restarts, masters as ${masterPlacement}`, async () => {
    await using node = await startNode({
      name: "one@127.0.0.1",
      cookie: "secret",
      ringSize: 8,
      masterPlacement,
      modules: [{
        url: new URL("../fixtures/sums_vnode.ts", import.meta.url),
        module: sums,
      }],
    });
    const options = { n: 1, w: 1, timeoutMs: LIMIT_MS };
    const vnodes = node.module(sums);
    const master = (): TreeNode => {
      const all = node.tree().children.find(({ id }) => id === "vnode_sup");
      return all?.children.find(({ id }) => id === "sums-0") as TreeNode;
    };
    assertEquals(master().children, []);

    const sum = { type: "sum", upTo: 4 } as const;
    const { replies } = await vnodes.request("b", "k", "work", sum, options);
    assertEquals(replies, [10]);
    const shown = () =>
      master().children.flatMap(({ id, strategy, children }) => [
        `${id} ${strategy}`,
        ...children.map(({ id, kind, status, restarts }) =>
          `${id} ${kind} ${status} ${restarts}`
        ),
      ]);
    const untilShown = (restarts: number) =>
      until(
        () => `${restarts} restarts: ${shown().join(", ")}`,
        () => {
          const workers = master().children[0]?.children ?? [];
          const sum = workers.reduce((all, one) => all + one.restarts, 0);
          return Promise.resolve(
            sum === restarts && workers.length === 2 &&
              workers.every(({ status }) => status === "running"),
          );
        },
        LIMIT_MS,
      );
    await untilShown(0);
    assertEquals(shown(), [
      "workers of adding one_for_one",
      "adding-0 worker running 0",
      "adding-1 worker running 0",
    ]);

    await vnodes.request("b", "k", "work", { type: "die" }, options)
      .catch(() => {});
    await untilShown(1);
    const died = master().children[0]?.children.find(({ restarts }) =>
      restarts === 1
    );
    assert(died?.lastExit?.includes("It is too much"), died?.lastExit);
  });
}
