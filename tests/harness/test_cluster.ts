/**
 * Clusters for tests: the same calls on nodes inside this process, over a
 * network of memory, and on nodes in processes of their own, over TCP. What a
 * test leaves behind is ended and removed, also when it fails; then the last
 * log lines of each node are shown.
 *
 *     await withCluster({ kind: "processes", nodes: 3 }, async (cluster) => {
 *       await cluster.joinAll();
 *       await cluster.node(0).kv.put("b", "k", 1);
 *     });
 *
 * @module
 */
import { isWhorlError } from "../../src/base/errors.ts";
import type { Address } from "../../src/environment/transport.ts";
import { connect, type WhorlClient } from "../../src/node/connect.ts";
import type { ProcessPlacement } from "../../src/node/node_options.ts";
import { MemoryNetwork } from "../../src/transport/memory_transport.ts";
import { systemRuntime } from "../../supervisors/runtime.ts";
import { InProcessNode, memoryEnvironment } from "./in_process_node.ts";
import { LineTail } from "./line_log.ts";
import { ProcessNode } from "./process_node.ts";
import type { PlainNodeOptions, TestNode } from "./test_node.ts";

/** Where the nodes of a test run. */
export type ClusterKind = "in_process" | "processes";

/** Both kinds. */
export const CLUSTER_KINDS: readonly ClusterKind[] = [
  "in_process",
  "processes",
];

/** The secret of test clusters. */
export const TEST_COOKIE = "a secret for tests";
/** How long a cluster may take to settle, in milliseconds. */
export const SETTLE_MS_MAX = 20_000;

/** What a cluster is made of. */
export interface TestClusterOptions {
  readonly kind: ClusterKind;
  /** How many nodes. @default {3} */
  readonly nodes?: number;
  /** What vnodes store in. @default {"memory"} */
  readonly storage?: "memory" | "deno_kv";
  /** Whether nodes have data directories. @default {only with "deno_kv"} */
  readonly directories?: boolean;
  /** Where vnode masters run. @default {"task", or "worker" with "deno_kv"} */
  readonly placement?: ProcessPlacement;
  /** Partitions. @default {16} */
  readonly ringSize?: number;
  /** URLs of vnode modules besides `kv`. @default {none} */
  readonly modules?: readonly string[];
  /** Options of single nodes, by number. */
  readonly each?: (index: number) => Partial<PlainNodeOptions>;
}

/** Nodes of a test, numbered from 0. */
export class TestCluster implements AsyncDisposable {
  readonly kind: ClusterKind;
  readonly nodes: readonly TestNode[];
  readonly #options: TestClusterOptions;
  readonly #network = new MemoryNetwork(systemRuntime);
  readonly #clientLines = new LineTail();
  #folder: string | undefined;
  readonly #extra: TestNode[] = [];

  /** @param folder Where data directories go, if there are any; removed at the end. */
  constructor(options: TestClusterOptions, folder: string | undefined) {
    this.kind = options.kind;
    this.#options = options;
    this.#folder = folder;
    this.nodes = Array.from(
      { length: options.nodes ?? 3 },
      (_, index) =>
        this.#makeNode({
          ...this.plainOptions(index),
          ...options.each?.(index),
        }),
    );
  }

  /** The options node `index` has unless a test says otherwise. */
  plainOptions(index: number): PlainNodeOptions {
    const { storage = "memory", placement, ringSize = 16, modules = [] } =
      this.#options;
    return {
      name: this.kind === "processes"
        ? `dev${index + 1}@127.0.0.1`
        : `dev${index + 1}@host${index + 1}`,
      cookie: TEST_COOKIE,
      storage,
      ringSize,
      modules,
      masterPlacement: placement ??
        (storage === "deno_kv" ? "worker" : "task"),
      ...(this.#folder === undefined
        ? {}
        : { dataDirectory: `${this.#folder}/dev${index + 1}` }),
    };
  }

  /** The folder that holds the data directories. */
  get folder(): string {
    if (this.#folder === undefined) throw new Error("Nodes keep no data");
    return this.#folder;
  }

  #makeNode(options: PlainNodeOptions): TestNode {
    if (this.kind === "processes") return new ProcessNode(options);
    return new InProcessNode(
      this.#network,
      options,
      () =>
        this.all.map((node) => (node as InProcessNode).host).concat("client"),
    );
  }

  /** A further node, not started; `options` over those node `index` would have. */
  addNode(index: number, options: Partial<PlainNodeOptions> = {}): TestNode {
    const node = this.#makeNode({ ...this.plainOptions(index), ...options });
    this.#extra.push(node);
    return node;
  }

  /** All nodes, those that were added as well. */
  get all(): readonly TestNode[] {
    return [...this.nodes, ...this.#extra];
  }

  /** Node number `index`. */
  node(index: number): TestNode {
    const node = this.nodes[index];
    if (node === undefined) throw new RangeError(`There is no node ${index}`);
    return node;
  }

  /** Starts all nodes. */
  async startAll(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.start()));
  }

  /** Joins all nodes to the first one and waits until they have settled. */
  async joinAll(): Promise<void> {
    const [first, ...others] = this.nodes as [TestNode, ...TestNode[]];
    for (const node of others) await node.control.join(first.address);
    if (others.length > 0) {
      const { planId } = await first.control.plan();
      await first.control.commit(planId);
    }
    await this.settled();
  }

  /**
   * Waits until all nodes that run see a cluster at rest at the same time: each
   * hears of a change, and that the others have heard of it, at another moment.
   *
   * @throws {Error} If one does not.
   */
  async settled(): Promise<void> {
    const running = this.nodes.filter(({ running }) => running);
    const settledWithin = (waitMs: number): Promise<boolean[]> =>
      Promise.all(running.map((node) => node.control.settled(waitMs)));
    const deadlineMs = performance.now() + SETTLE_MS_MAX;
    for (;;) {
      const settled = await settledWithin(
        Math.max(0, deadlineMs - performance.now()),
      );
      const not = running.filter((_, index) => !settled[index]);
      if (not.length > 0) {
        const status = await (not[0] as TestNode).control.ringStatus();
        throw new Error(
          `${not.map(({ name }) => name).join(", ")} did not settle: ${
            JSON.stringify(status)
          }`,
        );
      }
      if ((await settledWithin(0)).every((still) => still)) return;
    }
  }

  /** A client of the nodes at `addresses`. @default {all nodes} */
  client(addresses?: readonly Address[]): Promise<WhorlClient> {
    return connect({
      nodes: addresses ?? this.nodes.map(({ address }) => address),
      cookie: TEST_COOKIE,
      ...(this.kind === "processes" ? {} : {
        environment: memoryEnvironment(
          this.#network,
          "client",
          this.#clientLines,
        ),
      }),
    });
  }

  /** The last log lines of all nodes. */
  log(): string {
    return this.all.map((node) => `--- ${node.name}\n${node.log()}`).join(
      "\n",
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.all.map((node) => node[Symbol.asyncDispose]()));
    const folder = this.#folder;
    this.#folder = undefined;
    if (folder !== undefined) await Deno.remove(folder, { recursive: true });
  }
}

/** A cluster whose nodes run, each alone in its ring. */
export async function testCluster(
  options: TestClusterOptions,
): Promise<TestCluster> {
  const directories = options.directories ?? options.storage === "deno_kv";
  const cluster = new TestCluster(
    options,
    directories ? await Deno.makeTempDir({ prefix: "whorl-" }) : undefined,
  );
  try {
    await cluster.startAll();
  } catch (error) {
    await cluster[Symbol.asyncDispose]();
    throw error;
  }
  return cluster;
}

/** Runs `test` on a cluster and shows what its nodes logged if it fails. */
export async function withCluster(
  options: TestClusterOptions,
  test: (cluster: TestCluster) => Promise<void>,
): Promise<void> {
  await using cluster = await testCluster(options);
  try {
    await test(cluster);
  } catch (error) {
    // deno-lint-ignore no-console -- whoever reads the failure needs it.
    console.error(cluster.log(), isWhorlError(error) ? error.details : "");
    throw error;
  }
}
