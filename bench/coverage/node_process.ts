/**
 * A node whose keys are listed and measured from inside. Lines of JSON on
 * standard input say what to do; each is answered with one on standard output.
 *
 * @module
 */
import type { WhorlNode } from "../../mod.ts";
import { runLoad } from "../cluster/load.ts";
import { startMeasuredNode } from "../measured_node.ts";
import { BUCKET, list } from "./listing.ts";

/** What a node is told to do. */
export type Order =
  /** Writes so many keys, `n` times each. */
  | { readonly do: "fill"; readonly keys: number; readonly n: number }
  /** Lists them as if each had `n` replicas. */
  | { readonly do: "list"; readonly n: number }
  /** Gets or puts, so many times by themselves and as often beside listings that follow one another. */
  | {
    readonly do: "load";
    readonly operation: "put" | "get";
    readonly n: number;
    readonly rounds: number;
  };

/** What a load came to. */
export interface LoadResult {
  /** Operations a second by themselves and beside listings, one after the other. */
  readonly turns: readonly {
    readonly alone: number;
    readonly beside: number;
  }[];
  /** What each of the listings took, in milliseconds. */
  readonly listMs: readonly number[];
}

const FILL_CONCURRENCY = 256;
const LOAD_MS = 1_000;

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

/** In turns by itself and beside listings, as a machine is not the same for long. */
async function load(
  node: WhorlNode,
  operation: "put" | "get",
  n: number,
  rounds: number,
): Promise<LoadResult> {
  const listMs: number[] = [];
  const rate = async (lists: boolean): Promise<number> => {
    let done = false;
    const listing = (async () => {
      while (lists && !done) listMs.push((await list(node.kv, n)).allMs);
    })();
    const { perSecond } = await runLoad(node.kv, {
      operation,
      concurrency: 64,
      durationMs: LOAD_MS,
      valueBytes: 100,
      keys: 10_000,
      n,
      quorum: n,
    });
    done = true;
    await listing;
    return perSecond;
  };
  await rate(false);
  const turns: { alone: number; beside: number }[] = [];
  for (let round = 0; round < rounds; round++) {
    turns.push({ alone: await rate(false), beside: await rate(true) });
  }
  return { turns, listMs };
}

const { node, serve } = await startMeasuredNode();
await serve(async (order: Order): Promise<unknown> => {
  switch (order.do) {
    case "fill":
      return await fill(node, order.keys, order.n);
    case "list":
      return await list(node.kv, order.n);
    case "load":
      return await load(node, order.operation, order.n, order.rounds);
    default:
      return order satisfies never;
  }
});
