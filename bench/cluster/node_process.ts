/**
 * One node of a measured cluster. Lines of JSON on standard input say what to
 * do; each is answered with one on standard output. The end of the input ends
 * the node.
 *
 * @module
 */
import { TextLineStream } from "npm:deno-std@1.4.0/streams/text_line_stream.js";
import { type NodeOptions, startNode } from "../../mod.ts";
import { type Load, runLoad } from "./load.ts";

type Order =
  | { readonly do: "join"; readonly address: string }
  | { readonly do: "commit" }
  | { readonly do: "settled" }
  | { readonly do: "load"; readonly load: Load };

function tell(answer: unknown): void {
  Deno.stdout.writeSync(
    new TextEncoder().encode(JSON.stringify(answer) + "\n"),
  );
}

const options = JSON.parse(Deno.args[0] as string) as NodeOptions;
const startedAt = performance.now();
await using node = await startNode(options);
tell({ address: node.address, startMs: performance.now() - startedAt });

const lines = Deno.stdin.readable
  .pipeThrough(new TextDecoderStream())
  .pipeThrough(new TextLineStream());
for await (const line of lines) {
  const order = JSON.parse(line as unknown as string) as Order;
  switch (order.do) {
    case "join":
      tell(await node.join(order.address));
      break;
    case "commit": {
      const { planId } = await node.plan();
      tell(await node.commit(planId));
      break;
    }
    case "settled":
      tell(await node.settled(10_000));
      break;
    case "load":
      tell(await runLoad(node.kv, order.load));
      break;
  }
}
