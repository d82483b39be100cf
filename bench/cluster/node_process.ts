/**
 * One node of a measured cluster. Lines of JSON on standard input say what to
 * do; each is answered with one on standard output. The end of the input ends
 * the node.
 *
 * @module
 */
import { startMeasuredNode } from "../measured_node.ts";
import { type Load, runLoad } from "./load.ts";

type Order =
  | { readonly do: "join"; readonly address: string }
  | { readonly do: "commit" }
  | { readonly do: "settled" }
  | { readonly do: "load"; readonly load: Load };

const { node, serve } = await startMeasuredNode();
await serve(async (order: Order): Promise<unknown> => {
  switch (order.do) {
    case "join":
      return await node.join(order.address);
    case "commit":
      return await node.commit((await node.plan()).planId);
    case "settled":
      return await node.settled(10_000);
    case "load":
      return await runLoad(node.kv, order.load);
    default:
      return order satisfies never;
  }
});
