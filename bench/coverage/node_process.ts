/**
 * A node whose keys are listed and measured from inside. Lines of JSON on
 * standard input say what to do; each is answered with one on standard output.
 *
 * @module
 */
import type { WhorlNode } from "../../mod.ts";
import { runLoad } from "../cluster/load.ts";
import { startMeasuredNode } from "../measured_node.ts";

/** What a node is told to do. */
export type Order =
  /** Writes so many keys, `n` times each. */
  | { readonly do: "fill"; readonly keys: number; readonly n: number }
  /** Lists them as if each had `n` replicas. */
  | { readonly do: "list"; readonly n: number }
  /** Gets and puts, with listings one after the other beside them or without. */
  | { readonly do: "load"; readonly n: number; readonly lists: boolean };

/** What listing took. */
export interface Listed {
  readonly keys: number;
  readonly firstMs: number;
  readonly allMs: number;
  /** Memory of the whole process: the most that was seen, less what it had before, in MB. */
  readonly grownMb: number;
}

const BUCKET = "listed";
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

async function list({ kv }: WhorlNode, n: number): Promise<Listed> {
  const before = Deno.memoryUsage().rss;
  let most = before;
  const watch = setInterval(
    () => most = Math.max(most, Deno.memoryUsage().rss),
    50,
  );
  const startMs = performance.now();
  let firstMs = Infinity;
  let keys = 0;
  for await (const _ of kv.keys(BUCKET, { n })) {
    if (keys++ === 0) firstMs = performance.now() - startMs;
  }
  const allMs = performance.now() - startMs;
  clearInterval(watch);
  return { keys, firstMs, allMs, grownMb: (most - before) / 1e6 };
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
      await list(node, n);
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
      return await list(node, order.n);
    case "load":
      return await load(node, order.n, order.lists);
    default:
      return order satisfies never;
  }
});
