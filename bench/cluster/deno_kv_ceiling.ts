/**
 * What Deno KV does without Whorl: one process, one atomic commit after the
 * other, each with so many sets of new and old keys. No design on top of it can
 * be faster, so it stands beside every durable figure.
 *
 * @module
 */

/** A ceiling. */
export interface Ceiling {
  /** Sets in each commit. */
  readonly batch: number;
  readonly setsPerSecond: number;
  readonly commitMs: number;
}

/** Measures commits of 1, 64 and 256 sets for `durationMs` each. */
export async function denoKvCeiling(
  directory: string,
  valueBytes: number,
  durationMs: number,
): Promise<Ceiling[]> {
  const path = `${directory}/ceiling.kv`;
  const kv = await Deno.openKv(path);
  const value = new Uint8Array(valueBytes).map((_, i) => i);
  const ceilings: Ceiling[] = [];
  let key = 0;
  for (const batch of [1, 64, 256]) {
    let commits = 0;
    const beganAt = performance.now();
    while (performance.now() - beganAt < durationMs) {
      const atomic = kv.atomic();
      for (let i = 0; i < batch; i++) {
        atomic.set(["bench", `key-${(key++ * 7919) % 30_000}`], value);
      }
      await atomic.commit();
      commits++;
    }
    const tookMs = performance.now() - beganAt;
    ceilings.push({
      batch,
      setsPerSecond: Math.round(commits * batch / tookMs * 1000),
      commitMs: tookMs / commits,
    });
  }
  kv.close();
  return ceilings;
}
