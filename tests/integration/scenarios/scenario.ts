/**
 * A scenario: something that happens to a cluster, told once and played on nodes
 * inside this process and on nodes in processes of their own.
 *
 * @module
 */
import { assertRejects } from "@std/assert";
import { type ErrorCode, WhorlError } from "../../../src/base/errors.ts";
import type {
  ClusterKind,
  TestCluster,
  TestClusterOptions,
} from "../../harness/test_cluster.ts";
import type { TestNode } from "../../harness/test_node.ts";
import { until } from "../../harness/until.ts";

/** How long it may take to notice that a node is gone, in milliseconds. */
const MISSED_MS_MAX = 10_000;

/** See the module comment. */
export interface Scenario {
  /** A sentence. */
  readonly name: string;
  /** Where it can be played. @default {both} */
  readonly kinds?: readonly ClusterKind[];
  /**
   * Whether it takes so long that one form of it must do each time: the one in
   * processes. `deno task test:long` plays the other one.
   *
   * @default {false}
   */
  readonly long?: boolean;
  /** The cluster it needs. @default {three nodes that store in memory} */
  readonly cluster?: Omit<TestClusterOptions, "kind">;
  /** Whether the nodes have joined when it begins. @default {true} */
  readonly joined?: boolean;
  play(cluster: TestCluster): Promise<void>;
}

/** A cluster whose nodes have something to come back to. */
export const DURABLE: Omit<TestClusterOptions, "kind"> = {
  storage: "deno_kv",
};

/** The nodes of a cluster of three. */
export function threeNodes(
  cluster: TestCluster,
): [TestNode, TestNode, TestNode] {
  return [cluster.node(0), cluster.node(1), cluster.node(2)];
}

export function fourNodes(
  cluster: TestCluster,
): [TestNode, TestNode, TestNode, TestNode] {
  return [...threeNodes(cluster), cluster.node(3)];
}

/** Waits until each of `nodes` knows that `gone`, which was stopped or killed, cannot be reached, and that all others can. */
export async function missed(
  nodes: readonly TestNode[],
  gone: TestNode,
): Promise<void> {
  for (const { name, control } of nodes) {
    await until(
      `${name} misses ${gone.name} alone`,
      async () =>
        (await control.clusterStatus()).unreachable.join() === gone.name,
      MISSED_MS_MAX,
    );
  }
}

/** Expects `work` to fail with `code`, and returns the failure. */
export async function refused(
  code: ErrorCode,
  work: () => Promise<unknown>,
): Promise<WhorlError> {
  const error = await assertRejects(work, WhorlError);
  if (error.code === code) return error;
  throw new Error(`Expected ${code}, got ${error.code}: ${error.message}`, {
    cause: error,
  });
}
