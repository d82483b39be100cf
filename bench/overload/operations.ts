/**
 * What is offered to the cluster, the same from inside a node and over client
 * connections, and the best rate at which it can be served.
 *
 * @module
 */
import type { KvClient, ModuleClient } from "../../mod.ts";
import type { BusyCommands } from "./busy_vnode.ts";
import busy from "./busy_vnode.ts";
import { LatencyHistogram } from "./latency_histogram.ts";

/** What one driver does. */
export interface Work {
  readonly operation: "put" | "get" | "digest" | "hold";
  /** Keys of this driver alone begin with it. */
  readonly driver: string;
  readonly valueBytes: number;
  /** Of a digest. */
  readonly megabytes: number;
  /** How long its vnode is held. */
  readonly holdMs: number;
  /** Different keys, taken in turn by a stride that visits all of them. */
  readonly keys: number;
  readonly n: number;
  /** R or W. */
  readonly quorum: number;
  readonly timeoutMs: number;
}

/** Whoever is asked: a node, or a client. */
export interface Asked {
  readonly kv: KvClient;
  module(module: typeof busy): ModuleClient<BusyCommands>;
}

/** What came of a closed loop. */
export interface Served {
  readonly served: number;
  readonly failed: number;
  readonly tookMs: number;
  readonly latency: LatencyHistogram;
}

const BUCKET = "overload";
/** A prime, so that every key is visited. */
const STRIDE = 7919;
const FILL_CONCURRENCY = 256;

/** Makes the operation that is called again and again, by turns on each of `asked`. */
export async function operationOf(
  asked: readonly Asked[],
  work: Work,
): Promise<() => Promise<unknown>> {
  const { keys, driver, n, quorum, timeoutMs } = work;
  const options = { n, timeoutMs, replicas: false };
  const clients = asked.map((one) => one.kv);
  const modules = asked.map((one) => one.module(busy));
  const contexts: (string | undefined)[] = new Array(keys);
  const value = new Uint8Array(work.valueBytes).map((_, i) => i);
  let next = 0;
  const put = async (): Promise<void> => {
    const number = next++;
    const key = number * STRIDE % keys;
    // A writer that knows what it replaces, or objects would grow without end.
    const { context } = await (clients[number % clients.length] as KvClient)
      .put(BUCKET, `${driver}-${key}`, value, {
        ...options,
        w: quorum,
        context: contexts[key],
      });
    contexts[key] = context;
  };
  const { operation } = work;
  if (operation === "digest" || operation === "hold") {
    const much = operation === "digest" ? work.megabytes : work.holdMs;
    const busyNext = () => {
      const number = next++;
      const key = number * STRIDE % keys;
      return (modules[number % modules.length] as ModuleClient<BusyCommands>)
        .request(BUCKET, `${driver}-${key}`, operation, much, {
          n,
          w: quorum,
          timeoutMs,
        });
    };
    // That its nodes run the module is gossip, which may be on its way.
    await soon(() => Promise.all(asked.map(busyNext)));
    return busyNext;
  }
  const writer = async (): Promise<void> => {
    while (next < keys) await put();
  };
  await Promise.all(Array.from({ length: FILL_CONCURRENCY }, writer));
  if (operation === "put") return put;
  return () => {
    const number = next++;
    const key = number * STRIDE % keys;
    return (clients[number % clients.length] as KvClient)
      .get(BUCKET, `${driver}-${key}`, { ...options, r: quorum });
  };
}

/** Tries again until `operation` succeeds or seconds have passed. */
async function soon(operation: () => Promise<unknown>): Promise<void> {
  for (let tried = 0;; tried++) {
    try {
      await operation();
      return;
    } catch (error) {
      if (tried === 50) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** A closed loop: so many operations under way, each replaced when it is answered. */
export async function serveClosed(
  operation: () => Promise<unknown>,
  concurrency: number,
  durationMs: number,
): Promise<Served> {
  const latency = new LatencyHistogram();
  let served = 0;
  let failed = 0;
  const startedAt = performance.now();
  const endAt = startedAt + durationMs;
  const worker = async (): Promise<void> => {
    for (;;) {
      const begunAt = performance.now();
      if (begunAt >= endAt) return;
      try {
        await operation();
        served++;
      } catch {
        failed++;
      }
      latency.add((performance.now() - begunAt) * 1000);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return { served, failed, tookMs: performance.now() - startedAt, latency };
}
