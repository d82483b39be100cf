/**
 * A node whose keys are listed and measured from inside. Lines of JSON on
 * standard input say what to do; each is answered with one on standard output.
 *
 * @module
 */
import type { WhorlNode } from "../../mod.ts";
import { renderTree } from "../../supervisors/tree_view.ts";
import { runLoad } from "../cluster/load.ts";
import { startMeasuredNode } from "../measured_node.ts";
import { BUCKET, list } from "./listing.ts";

/** What a node is told to do. */
export type Order =
  /** Writes so many keys, `n` times each. */
  | { readonly do: "fill"; readonly keys: number; readonly n: number }
  /** Lists them as if each had `n` replicas. */
  | { readonly do: "list"; readonly n: number }
  /** Says what runs in it. */
  | { readonly do: "tree" }
  /** Gets and puts, with listings one after the other beside them or without. */
  | { readonly do: "load"; readonly n: number; readonly lists: boolean };

const FILL_CONCURRENCY = 256;
const LOAD_MS = 3_000;

async function fill(
  { kv }: WhorlNode,
  keys: number,
  n: number,
): Promise<{ keys: number }> {
  let next = 0;
  const writer = async (): Promise<void> => {
    while (next < keys) {
      const key = `key-${next++}`;
      await kv.put(BUCKET, key, key, { n, w: n, replicas: false });
    }
  };
  await Promise.all(Array.from({ length: FILL_CONCURRENCY }, writer));
  return { keys };
}

async function load(
  node: WhorlNode,
  n: number,
  lists: boolean,
): Promise<{ putPerSecond: number; getPerSecond: number; lists: number }> {
  let done = false;
  let listings = 0;
  const listing = (async () => {
    while (lists && !done) {
      await list(node.kv, n);
      listings++;
    }
  })();
  const rate = async (operation: "put" | "get"): Promise<number> =>
    (await runLoad(node.kv, {
      operation,
      concurrency: 64,
      durationMs: LOAD_MS,
      valueBytes: 100,
      keys: 10_000,
      n,
      quorum: n,
    })).perSecond;
  const putPerSecond = await rate("put");
  const getPerSecond = await rate("get");
  done = true;
  await listing;
  return { putPerSecond, getPerSecond, lists: listings };
}

const { node, serve } = await startMeasuredNode();
await serve(async (order: Order): Promise<unknown> => {
  switch (order.do) {
    case "fill":
      return await fill(node, order.keys, order.n);
    case "list":
      return await list(node.kv, order.n);
    case "tree":
      return renderTree(node.tree());
    case "load":
      return await load(node, order.n, order.lists);
    default:
      return order satisfies never;
  }
});
