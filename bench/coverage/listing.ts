/**
 * One listing of all keys, measured where it is called: inside a node, or in a
 * client's process.
 *
 * @module
 */
import type { KvClient } from "../../mod.ts";

/** What listing took. */
export interface Listed {
  readonly keys: number;
  readonly firstMs: number;
  readonly allMs: number;
  /** Memory of the caller's process: the most that was seen, less what it had before, in MB. */
  readonly grownMb: number;
}

/** The bucket that is listed. */
export const BUCKET = "listed";
/** Longest listing, in milliseconds. */
const TIMEOUT_MS = 3_600_000;
const MEMORY_EVERY_MS = 50;

/** Lists all keys as if each had `n` replicas. */
export async function list(kv: KvClient, n: number): Promise<Listed> {
  const before = Deno.memoryUsage().rss;
  let most = before;
  const watch = setInterval(
    () => most = Math.max(most, Deno.memoryUsage().rss),
    MEMORY_EVERY_MS,
  );
  const startMs = performance.now();
  let firstMs = Infinity;
  let keys = 0;
  for await (const _ of kv.keys(BUCKET, { n, timeoutMs: TIMEOUT_MS })) {
    if (keys++ === 0) firstMs = performance.now() - startMs;
  }
  const allMs = performance.now() - startMs;
  clearInterval(watch);
  return { keys, firstMs, allMs, grownMb: (most - before) / 1e6 };
}
