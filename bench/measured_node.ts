/**
 * The other end of a `MeasuredProcess`: a node that does what lines of JSON on
 * standard input say, and answers each with one on standard output.
 *
 * @module
 */
import { TextLineStream } from "npm:deno-std@1.4.0/streams/text_line_stream.js";
import { type NodeOptions, startNode, type WhorlNode } from "../mod.ts";
import { isRingOrder, performRingOrder } from "./measured_ring.ts";

/** A node that has started. */
export interface MeasuredNode {
  readonly node: WhorlNode;
  readonly options: NodeOptions;
  /** Says that it is up, joins and settles when told to, and does what else it is told with `perform`, whose results are the answers, until standard input ends. */
  serve<Order extends { do: string }>(
    perform: (order: Order) => unknown,
  ): Promise<void>;
}

/** Starts a node with the options of the first argument. */
export async function startMeasuredNode(): Promise<MeasuredNode> {
  const options = JSON.parse(Deno.args[0] as string) as NodeOptions;
  const startedAt = performance.now();
  const node = await startNode(options);
  const startMs = performance.now() - startedAt;
  return {
    node,
    options,
    async serve<Order extends { do: string }>(
      perform: (order: Order) => unknown,
    ) {
      await using _ = node;
      tell({ address: node.address, startMs });
      const lines = Deno.stdin.readable
        .pipeThrough(new TextDecoderStream())
        .pipeThrough(new TextLineStream());
      for await (const line of lines) {
        const order = JSON.parse(line as unknown as string) as Order;
        tell(
          isRingOrder(order)
            ? await performRingOrder(node, order)
            : await perform(order),
        );
      }
    },
  };
}

function tell(answer: unknown): void {
  Deno.stdout.writeSync(
    new TextEncoder().encode(JSON.stringify(answer ?? null) + "\n"),
  );
}
