/**
 * A node in a process of its own, told what to do over standard input
 * (`process_wire.ts`). Ends when its input does.
 *
 *     deno run -A --unstable-kv node_process.ts '{"name": …}'
 *
 * @module
 */
import { textLines } from "./text_lines.ts";
import { startNode } from "../../src/node/start_node.ts";
import { systemEnvironment } from "../../src/node/system_environment.ts";
import type { WhorlNode } from "../../src/node/node.ts";
import { plainEvent } from "./event_log.ts";
import { lineLog } from "./line_log.ts";
import {
  type FromNodeProcess,
  NODE_GAVE_UP,
  plainFailure,
  type ToNodeProcess,
} from "./process_wire.ts";
import { NODE_METHODS, type PlainNodeOptions } from "./test_node.ts";

const encoder = new TextEncoder();

function tell(message: FromNodeProcess): void {
  Deno.stdout.writeSync(encoder.encode(`${JSON.stringify(message)}\n`));
}

async function perform(
  node: WhorlNode,
  message: Extract<ToNodeProcess, { type: "call" }>,
): Promise<void> {
  const { id, method, args } = message;
  const run = NODE_METHODS[method] as (
    node: WhorlNode,
    ...args: readonly unknown[]
  ) => unknown;
  try {
    const value = await run(node, ...args) ?? null;
    tell({ type: "answer", id, value });
  } catch (error) {
    tell({ type: "failure", id, failure: plainFailure(error) });
  }
}

async function main(): Promise<number> {
  const { modules = [], ...options } = JSON.parse(
    Deno.args[0] as string,
  ) as PlainNodeOptions;
  let node: WhorlNode;
  try {
    node = await startNode({
      ...options,
      modules: modules.map((url) => ({ url })),
      environment: systemEnvironment(
        lineLog((line) => Deno.stderr.writeSync(encoder.encode(`${line}\n`))),
      ),
    });
  } catch (error) {
    tell({ type: "not_started", failure: plainFailure(error) });
    return 1;
  }
  node.subscribe((event) => tell({ type: "event", event: plainEvent(event) }));
  tell({ type: "up", address: node.address });
  const gaveUp = node.stopped.then(() => 0, () => NODE_GAVE_UP);
  const orders = (async () => {
    for await (const line of textLines(Deno.stdin.readable)) {
      const message = JSON.parse(line) as ToNodeProcess;
      if (message.type === "stop") break;
      void perform(node, message);
    }
    await node.stop();
    return 0;
  })();
  return await Promise.race([orders, gaveUp]);
}

// The read of the input may still wait, and would keep the process.
Deno.exit(await main());
