/**
 * The node processes of a demo: each a child of the demo's own process, with a
 * folder and a free port.
 *
 * @module
 */
import { openSession } from "../../src/node/connect.ts";
import { joinCluster } from "../dev_cluster.ts";
import { type NodeChild, startNodeChild } from "../node_child.ts";
import type { Output } from "../output.ts";
import { denoArgs } from "../system_world.ts";

/** Time a node has to end in order, in milliseconds. */
const STOP_MS_MAX = 10_000;

/** What all nodes of a demo share. */
export interface DemoSetting {
  /** The only folder they may write to. */
  readonly root: string;
  readonly cookie: string;
  /** Where their log lines go. */
  readonly output: Output;
  /** Gives up starting. */
  readonly signal: AbortSignal;
}

/** A node. */
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

/** Makes one cluster of them. */
export async function joinDemoNodes(
  nodes: readonly DemoNode[],
  cookie: string,
  signal: AbortSignal,
): Promise<void> {
  await using sessions = new AsyncDisposableStack();
  const members = [];
  for (const { name, address } of nodes) {
    const session = sessions.use(
      await openSession({ node: name, address }, { cookie }),
    );
    members.push({ session, up: { up: name, address } });
  }
  await joinCluster(members, signal);
}

/** Ends one, by force if it takes too long. */
export async function endDemoNode({ child }: DemoNode): Promise<void> {
  const { promise: gone, resolve } = Promise.withResolvers<void>();
  child.onExit(() => resolve());
  const timer = setTimeout(() => child.kill(), STOP_MS_MAX);
  child.stop("shutdown");
  await gone;
  clearTimeout(timer);
}
