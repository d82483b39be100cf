/**
 * A closed loop of puts or linearizable gets against one Raft group.
 *
 * @module
 */
import type { RaKvClient } from "../../mod.ts";
import { keyNumber, type LoopResult, runClosedLoop } from "../closed_loop.ts";

/** What to run. */
export interface RaftLoad {
  readonly operation: "put" | "get";
  /** Operations under way at once. */
  readonly concurrency: number;
  /** Milliseconds that count, after a fifth of that to warm up. */
  readonly durationMs: number;
  readonly valueBytes: number;
  readonly keys: number;
}

/** Runs `load` against the cluster called `group`, and measures it. */
export async function runRaftLoad(
  raKv: RaKvClient,
  group: string,
  { operation, concurrency, durationMs, valueBytes, keys }: RaftLoad,
): Promise<LoopResult> {
  const value = new Uint8Array(valueBytes).map((_, i) => i);
  const operate = (at: number): Promise<unknown> => {
    const key = `key-${keyNumber(at, keys)}`;
    return operation === "put"
      ? raKv.put(group, key, value)
      : raKv.get(group, key);
  };
  await runClosedLoop({ concurrency, durationMs: durationMs / 5 }, operate);
  return await runClosedLoop({ concurrency, durationMs }, operate);
}
