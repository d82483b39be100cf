/**
 * A node process of a demo: a child of the demo's own process, with a directory
 * and a free port.
 *
 * @module
 */
import { type NodeChild, startNodeChild } from "../node_child.ts";
import type { Output } from "../output.ts";
import { denoArgs } from "../system_world.ts";

/** Time a node has to end in order, in milliseconds. */
const STOP_MS_MAX = 10_000;

/** The settings that all nodes of a demo share. */
export interface DemoSetting {
  /** The only folder they may write to. */
  readonly root: string;
  readonly cookie: string;
  /** Where their log lines go. */
  readonly output: Output;
  /** Aborts the start. */
  readonly signal: AbortSignal;
}

/** A node process. */
export interface DemoNode {
  readonly name: string;
  readonly directory: string;
  child: NodeChild;
  address: string;
}

/** Starts a node, or one that ended, in its `directory`. */
export async function startDemoNode(
  { root, cookie, output, signal, name, directory, listen }: DemoSetting & {
    readonly name: string;
    readonly directory: string;
    readonly listen: string;
  },
): Promise<DemoNode> {
  const child = await startNodeChild({
    program: Deno.execPath(),
    args: [
      ...denoArgs(new URL("../whorl.ts", import.meta.url).href, {
        run: false,
        writes: [root],
      }),
      "run-node",
      `--name=${name}`,
      `--listen=${listen}`,
      `--data=${directory}`,
      "--log-level=error",
    ],
    env: { WHORL_COOKIE: cookie },
    onLog: (line) => output.remark(`  ${name} | ${line}\n`),
    signal,
  });
  const { address } = await child.up;
  return { name, directory, child, address };
}

/** Stops a node, and kills it if that takes too long. */
export async function endDemoNode({ child }: DemoNode): Promise<void> {
  const { promise: gone, resolve } = Promise.withResolvers<void>();
  child.onExit(() => resolve());
  const timer = setTimeout(() => child.kill(), STOP_MS_MAX);
  child.stop("shutdown");
  await gone;
  clearTimeout(timer);
}
