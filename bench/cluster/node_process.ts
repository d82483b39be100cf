/**
 * One node of a measured cluster. Lines of JSON on standard input say what to
 * do; each is answered with one on standard output. The end of the input ends
 * the node.
 *
 * @module
 */
import { startMeasuredNode } from "../measured_node.ts";
import { type Load, runLoad } from "./load.ts";

const { node, serve } = await startMeasuredNode();
await serve((order: { do: "load"; load: Load }) =>
  runLoad(node.kv, order.load)
);
