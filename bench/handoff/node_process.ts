/**
 * One node of a cluster whose handoffs are measured. Lines of JSON on standard
 * input say what to do; each is answered with one on standard output. The end of
 * the input ends the node.
 *
 * @module
 */
import { performCall } from "../../src/node/admin_methods.ts";
import type { HeldPartitions } from "../../src/node/admin_protocol.ts";
import { startMeasuredNode } from "../measured_node.ts";
import {
  fill,
  keyOf,
  keysOf,
  serve,
  type ServedLoad,
  type ServedResult,
} from "./served_load.ts";

/** What a node can be told. */
export type Order =
  | {
    readonly do: "fill";
    readonly from: number;
    readonly to: number;
    readonly load: Omit<ServedLoad, "objects" | "keys">;
  }
  | { readonly do: "begin_load"; readonly load: ServedLoad }
  | { readonly do: "end_load" }
  /** Objects that have been handed off from here so far. */
  | { readonly do: "moved" }
  /** Partitions it holds for others. */
  | { readonly do: "strays" }
  /** Waits until a write with all its replicas succeeds, trying again and again; answers when that was, by the wall clock in milliseconds. */
  | { readonly do: "write_all_replicas" };

/** The bound on one try of a write with all its replicas, in milliseconds. */
const TRY_MS = 5_000;

const { node, options, serve: serveOrders } = await startMeasuredNode();
let moved = 0;
node.subscribe((event) => {
  if (event.type === "transfer" && event.outcome.type === "completed") {
    moved += event.outcome.items;
  }
});
/** Keys of the loads so far: which they are is asked once. */
const keysAsked = new Map<string, string[]>();
let endLoad: (() => Promise<ServedResult>) | undefined;

async function keysFor(load: ServedLoad): Promise<string[]> {
  const name = `${load.keys} ${load.objects}`;
  const known = keysAsked.get(name) ??
    await keysOf(node.kv, node.name, load);
  keysAsked.set(name, known);
  return known;
}

async function perform(order: Order): Promise<unknown> {
  switch (order.do) {
    case "fill":
      return await fill(node.kv, order.from, order.to, order.load);
    case "begin_load":
      endLoad = serve(node.kv, await keysFor(order.load), order.load);
      return null;
    case "end_load":
      return await endLoad?.();
    case "moved":
      return moved;
    case "strays": {
      const { owned, held } = await (performCall(
        node,
        "held_partitions",
        {},
      ) as Promise<HeldPartitions>);
      return held.filter(({ partition }) => !owned.includes(partition)).length;
    }
    case "write_all_replicas":
      return await writeAllReplicas();
    default:
      return order satisfies never;
  }
}

/** Writes keys of all partitions with W = N until each has been taken once. */
async function writeAllReplicas(): Promise<number> {
  await Promise.all(
    Array.from({ length: 4 * (options.ringSize ?? 64) }, async (_, i) => {
      for (;;) {
        try {
          await node.kv.put("probe", keyOf(i), i, {
            w: "all",
            timeoutMs: TRY_MS,
          });
          return;
        } catch {
          // Until a fallback stands in it fails, which is what is measured.
        }
      }
    }),
  );
  return Date.now();
}

await serveOrders(perform);
