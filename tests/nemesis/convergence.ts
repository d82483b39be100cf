/**
 * Waits until a healed cluster is one again: it is at rest, all nodes have the
 * same ring, every key read from all its replicas through any node gives the
 * same, and a whole round of such reads has found nothing to repair.
 *
 * @module
 */
import { isWhorlError, reasonOf } from "../../src/base/errors.ts";
import type { KvClient, KvGetResult } from "../../src/kv/kv_client.ts";
import {
  type KvRead,
  kvValueText,
} from "../../src/simulation/checkers/kv_history.ts";
import { BUCKET } from "./kv_load.ts";
import type { NodeControl } from "../harness/test_node.ts";

/** Reads under way at once through one node. */
const READS_AT_ONCE = 16;
const READ_MS_MAX = 5_000;
const LOOK_AGAIN_MS = 100;

/** What is asked of a node. */
export interface ConvergingNode {
  readonly name: string;
  readonly running: boolean;
  readonly control: NodeControl;
  readonly kv: KvClient;
}

/** Nodes that are to be one. */
export interface ConvergingCluster {
  readonly nodes: readonly ConvergingNode[];
  /** Waits until every node sees a cluster at rest. @throws {WhorlError} `timeout` if one does not. */
  settled(waitMs: number): Promise<void>;
}

/** A cluster that is one again, or why it is not. */
export type Convergence =
  | {
    readonly converged: true;
    /** What each key holds. */
    readonly reads: ReadonlyMap<string, KvRead>;
  }
  | { readonly converged: false; readonly difference: string };

/** Waits for it until `deadline` on the clock of `performance.now()`. */
export async function awaitConvergence(
  cluster: ConvergingCluster,
  keys: readonly string[],
  deadline: number,
  signal: AbortSignal,
): Promise<Convergence> {
  const leftMs = (): number => deadline - performance.now();
  let difference = "nothing was looked at";
  while (leftMs() > 0) {
    signal.throwIfAborted();
    const look = await lookOnce(cluster, keys, leftMs());
    if (typeof look !== "string") {
      return { converged: true, reads: look };
    }
    difference = look;
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
  }
  return { converged: false, difference };
}

/** What all nodes agree on, or what is different. */
async function lookOnce(
  cluster: ConvergingCluster,
  keys: readonly string[],
  leftMs: number,
): Promise<ReadonlyMap<string, KvRead> | string> {
  const down = cluster.nodes.filter(({ running }) => !running);
  if (down.length > 0) {
    return `${down.map(({ name }) => name).join(", ")} does not run`;
  }
  try {
    await cluster.settled(leftMs);
    const rings = await Promise.all(cluster.nodes.map(ringText));
    const other = rings.findIndex((ring) => ring !== rings[0]);
    if (other > 0) {
      return `${cluster.nodes[0]!.name} has the ring ${rings[0]}, ${
        cluster.nodes[other]!.name
      } has ${rings[other]}`;
    }
    const repairs = await repairsOf(cluster);
    const views = await Promise.all(
      cluster.nodes.map((node) => readAll(node, keys)),
    );
    const first = views[0] as ReadonlyMap<string, KvRead>;
    for (const [i, view] of views.entries()) {
      for (const key of keys) {
        const [here, there] = [first.get(key), view.get(key)] as [
          KvRead,
          KvRead,
        ];
        if (readText(here) === readText(there)) continue;
        return `${key}: ${cluster.nodes[0]!.name} reads ${readText(here)}, ${
          cluster.nodes[i]!.name
        } reads ${readText(there)}`;
      }
    }
    const repaired = await repairsOf(cluster) - repairs;
    return repaired === 0 ? first : `${repaired} replicas had to be repaired`;
  } catch (error) {
    if (isWhorlError(error)) return `${error.code}: ${reasonOf(error)}`;
    // A node that ends while it is asked makes the question fail.
    if (cluster.nodes.every(({ running }) => running)) throw error;
    return reasonOf(error);
  }
}

async function ringText({ control }: ConvergingNode): Promise<string> {
  const { nodes, owners, ringReady, transfers, unreachable } = await control
    .ringStatus();
  return JSON.stringify({ nodes, owners, ringReady, transfers, unreachable });
}

async function repairsOf({ nodes }: ConvergingCluster): Promise<number> {
  const stats = await Promise.all(nodes.map(({ control }) => control.stats()));
  return stats.reduce(
    (sum, { values }) => sum + (values["requests.repairs"] ?? 0),
    0,
  );
}

/** Every key as all its replicas have it, through one node. */
async function readAll(
  { kv }: ConvergingNode,
  keys: readonly string[],
): Promise<ReadonlyMap<string, KvRead>> {
  const reads = new Map<string, KvRead>();
  const queue = keys[Symbol.iterator]();
  await Promise.all(
    Array.from({ length: READS_AT_ONCE }, async () => {
      for (const key of queue) {
        const { values, context }: KvGetResult = await kv.get(BUCKET, key, {
          r: "all",
          quorum: "strict",
          timeoutMs: READ_MS_MAX,
        });
        reads.set(key, { values, context });
      }
    }),
  );
  return reads;
}

function readText({ values, context }: KvRead): string {
  return `${values.map(kvValueText).sort().join(", ")} (${context})`;
}
