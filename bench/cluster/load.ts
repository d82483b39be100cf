/**
 * A closed loop of puts or gets against a `kv`: so many workers, each with one
 * operation under way, for so long. The same for a driver inside a node and for
 * one behind a client connection.
 *
 * @module
 */
import type { KvClient } from "../../mod.ts";
import { keyNumber, type LoopResult, runClosedLoop } from "../closed_loop.ts";

/** What to run. */
export interface Load {
  readonly operation: "put" | "get";
  /** Operations under way at once. */
  readonly concurrency: number;
  /** Milliseconds that count, after a fifth of that to warm up. */
  readonly durationMs: number;
  readonly valueBytes: number;
  /** Different keys, taken in turn by a stride that visits all of them. */
  readonly keys: number;
  readonly n: number;
  /** R or W. */
  readonly quorum: number;
}

const BUCKET = "bench";

/** Runs `load` and measures it. */
export async function runLoad(kv: KvClient, load: Load): Promise<LoopResult> {
  const contexts: (string | undefined)[] = new Array(load.keys);
  if (load.operation === "put") await readContexts(kv, load, contexts);
  await runFor(kv, load, load.durationMs / 5, contexts);
  return await runFor(kv, load, load.durationMs, contexts);
}

/** What each key holds from earlier loads, so that the first put of a key replaces it. */
async function readContexts(
  kv: KvClient,
  { n, keys }: Load,
  contexts: (string | undefined)[],
): Promise<void> {
  let next = 0;
  const reader = async (): Promise<void> => {
    while (next < keys) {
      const number = next++;
      const { context } = await kv.get(BUCKET, `key-${number}`, {
        n,
        replicas: false,
      });
      contexts[number] = context ?? undefined;
    }
  };
  await Promise.all(Array.from({ length: 64 }, reader));
}

function runFor(
  kv: KvClient,
  load: Load,
  durationMs: number,
  contexts: (string | undefined)[],
): Promise<LoopResult> {
  const { operation, concurrency, keys, n, quorum } = load;
  const value = new Uint8Array(load.valueBytes).map((_, i) => i);
  const readOptions = { n, r: quorum, replicas: false };
  return runClosedLoop({ concurrency, durationMs }, async (at) => {
    const number = keyNumber(at, keys);
    const key = `key-${number}`;
    if (operation === "get") {
      await kv.get(BUCKET, key, readOptions);
      return;
    }
    // A writer that knows what it replaces, else every put would add a sibling
    // and objects would grow without end.
    const { context } = await kv.put(BUCKET, key, value, {
      n,
      w: quorum,
      replicas: false,
      context: contexts[number],
    });
    contexts[number] = context;
  });
}
