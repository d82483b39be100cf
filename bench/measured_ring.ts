/**
 * How node processes that are measured come to be one ring: what the first of
 * them, or the benchmark, tells them, and what they do then.
 *
 * @module
 */
import type { WhorlNode } from "../mod.ts";
import type { MeasuredProcess } from "./measured_process.ts";

/** Larger than any cluster on one machine needs, in milliseconds. */
const SETTLE_MS_MAX = 30_000;

/** What every measured node can be told, whatever is measured. */
export type RingOrder =
  | { readonly do: "join"; readonly address: string }
  /** Commits what is staged. */
  | { readonly do: "commit" }
  /** Whether it sees a cluster at rest, at the latest after so many milliseconds. */
  | { readonly do: "settled"; readonly waitMs: number };

/** Whether an order is one of those. */
export function isRingOrder(order: { do: string }): order is RingOrder {
  return ["join", "commit", "settled"].includes(order.do);
}

/** Does what a node has been told. */
export async function performRingOrder(
  node: WhorlNode,
  order: RingOrder,
): Promise<unknown> {
  switch (order.do) {
    case "join":
      return await node.join(order.address);
    case "commit":
      return await node.commit((await node.plan()).planId);
    case "settled":
      return await node.settled(order.waitMs);
    default:
      return order satisfies never;
  }
}

function tell<T>(node: MeasuredProcess, order: RingOrder): Promise<T> {
  return node.order<T>(order);
}

/** Stages that all `nodes` join the first one. */
export async function stageJoins(
  nodes: readonly MeasuredProcess[],
): Promise<void> {
  const [first, ...others] = nodes;
  for (const node of others) {
    await tell(node, { do: "join", address: first!.address });
  }
}

/** Commits what is staged. */
export async function commitStaged(
  nodes: readonly MeasuredProcess[],
): Promise<void> {
  await tell(nodes[0]!, { do: "commit" });
}

/** Waits until nothing moves and all of them know it. @throws {Error} If that takes longer than `waitMs`. */
export async function settle(
  nodes: readonly MeasuredProcess[],
  waitMs = SETTLE_MS_MAX,
): Promise<void> {
  const settled = await Promise.all(
    nodes.map((node) => tell<boolean>(node, { do: "settled", waitMs })),
  );
  if (!settled.every(Boolean)) throw new Error("The cluster did not settle");
}

/** Waits until `nodes` are up, and makes one ring of them. */
export async function joinAll(
  nodes: readonly MeasuredProcess[],
): Promise<void> {
  for (const node of nodes) await node.up();
  await stageJoins(nodes);
  if (nodes.length > 1) await commitStaged(nodes);
  await settle(nodes);
}
