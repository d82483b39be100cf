/**
 * Nodes in this process whose coordinators are placed as a test says, while their
 * masters are tasks: so the test can look at what vnodes have heard.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { ErrorCode, WhorlError } from "../../src/base/errors.ts";
import { silentLog } from "../../src/environment/log.ts";
import type { WhorlNode } from "../../src/node/node.ts";
import type {
  NodeOptions,
  ProcessPlacement,
} from "../../src/node/node_options.ts";
import { startNode } from "../../src/node/start_node.ts";
import { systemEnvironment } from "../../src/node/system_environment.ts";
import { MemoryNetwork } from "../../src/transport/memory_transport.ts";
import type { Child } from "../../supervisors/child.ts";
import { systemRuntime } from "../../supervisors/runtime.ts";
import { Supervisor } from "../../supervisors/supervisor.ts";
import muteModule from "../fixtures/mute_vnode.ts";

/** Every placement. */
export const PLACEMENTS: readonly ProcessPlacement[] = [
  "task",
  "worker",
  "subprocess",
];
/** Within this time somebody whose coordinator was killed must have heard of it, in milliseconds. */
export const PROMPT_MS = 2_000;
/** The secret of these nodes. */
export const PLACED_COOKIE = "coordinators";

/** Three nodes in this process, joined. Their masters are tasks. */
export class PlacedCluster implements AsyncDisposable {
  readonly #network = new MemoryNetwork(systemRuntime);
  readonly nodes: WhorlNode[] = [];

  static async start(
    coordinatorPlacement: ProcessPlacement,
    options: Partial<NodeOptions> = {},
    size = 3,
  ): Promise<PlacedCluster> {
    const cluster = new PlacedCluster();
    try {
      const starts = await Promise.allSettled(
        Array.from({ length: size }, (_, i) =>
          startNode({
            name: `node${i + 1}@host${i + 1}`,
            cookie: PLACED_COOKIE,
            ringSize: 16,
            masterPlacement: "task",
            coordinatorPlacement,
            modules: [{
              url: new URL("../fixtures/mute_vnode.ts", import.meta.url),
              module: muteModule,
            }],
            environment: cluster.environment(`host${i + 1}`),
            ...options,
          })),
      );
      for (const start of starts) {
        if (start.status === "fulfilled") cluster.nodes.push(start.value);
      }
      for (const start of starts) {
        if (start.status === "rejected") throw start.reason;
      }
      const { first } = cluster;
      for (const node of cluster.nodes.slice(1)) await node.join(first.address);
      if (size > 1) await first.commit((await first.plan()).planId);
      for (const node of cluster.nodes) {
        assert(await node.settled(10_000, ["kv", "mute"]));
      }
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  environment(host: string) {
    return {
      ...systemEnvironment(silentLog),
      transport: this.#network.transport(host),
    };
  }

  /** Holds back what travels from one node to another, both by their place in `nodes`; returns what lets it go on. */
  stall(from: number, to: number): () => void {
    const hosts = [`host${from + 1}`, `host${to + 1}`] as const;
    this.#network.stall(...hosts);
    return () => this.#network.heal(...hosts);
  }

  get first(): WhorlNode {
    return this.nodes[0] as WhorlNode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
    for (const { parts } of this.nodes) assertEquals(parts.coordinators, []);
  }
}

/** The process that the coordinators of a supervisor of `node` are in, or that supervisor if they are tasks. */
export function coordinatorHostOf(
  node: WhorlNode,
  [supervisorId, hostId]: readonly [supervisor: string, host: string],
): Child {
  const supervisor = node.root.child(supervisorId);
  const host = supervisor instanceof Supervisor
    ? supervisor.child(hostId)
    : supervisor;
  if (host === undefined) throw new Error("The coordinators are not running");
  return host;
}

/** Asserts that all of `requests` fail with `code`, and soon. */
export async function assertFail(
  requests: readonly Promise<WhorlError>[],
  code: ErrorCode,
  withinMs = PROMPT_MS,
): Promise<void> {
  const startedAt = performance.now();
  const errors = await Promise.all(requests);
  const tookMs = performance.now() - startedAt;
  assertEquals(errors.map((error) => error.code), requests.map(() => code));
  assert(tookMs < withinMs, `took ${tookMs} ms`);
}
