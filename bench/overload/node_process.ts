/**
 * One node of the cluster that is offered too much, which can be one of those
 * who offer. Lines of JSON on standard input say what to do; each is answered
 * with one on standard output.
 *
 * @module
 */
import { startMeasuredNode } from "../measured_node.ts";
import { offer, type OpenLoad } from "./open_load.ts";
import { operationOf, serveClosed, type Work } from "./operations.ts";

/** What a node is told to do. */
export type Order =
  /** Gets ready to offer it. */
  | { readonly do: "prepare"; readonly work: Work }
  | {
    readonly do: "closed";
    readonly concurrency: number;
    readonly durationMs: number;
  }
  | { readonly do: "open"; readonly load: OpenLoad }
  | { readonly do: "figures" };

let operation = (): Promise<unknown> => Promise.resolve();

const { node, serve } = await startMeasuredNode();
await serve(async (order: Order): Promise<unknown> => {
  switch (order.do) {
    case "prepare":
      operation = await operationOf([node], order.work);
      return;
    case "closed":
      return await serveClosed(operation, order.concurrency, order.durationMs);
    case "open":
      return await offer(order.load, operation);
    case "figures":
      return (await node.stats()).values;
    default:
      return order satisfies never;
  }
});
