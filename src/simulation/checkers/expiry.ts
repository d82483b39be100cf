/**
 * A value with a TTL is there until it expires: where all clocks agree, no read
 * misses it earlier. The TTL counts from when a leader accepted the write,
 * which is never before its client sent it.
 *
 * ```ts
 * import { checkExpiry } from "./expiry.ts";
 * import { HistoryRecorder } from "../history.ts";
 * import type { RaKvInput, RaKvOutput } from "./ra_kv_model.ts";
 *
 * let nowMs = 0;
 * const history = new HistoryRecorder<RaKvInput, RaKvOutput>(() => nowMs);
 * const put = history.invoke("c", "lock", { type: "put", value: "me" });
 * history.succeed(put, 1);
 * nowMs = 50;
 * history.succeed(history.invoke("c", "lock", { type: "get" }), null);
 * const violations = checkExpiry(history.records, () => 100);
 * // violations[0].message: … gone for operation 1 at 50 ms, and was to stay until 100 ms …
 * ```
 *
 * @module
 */
import type { OperationRecord } from "../history.ts";
import type { RaKvInput, RaKvOutput } from "./ra_kv_model.ts";
import type { Violation } from "./violation.ts";

/** Resolution of the clocks. */
const CLOCK_MS = 1;

/**
 * Finds reads that miss a value before it expires.
 *
 * @param ttlMsOf TTL of the values of a key, in milliseconds; undefined for
 * keys whose values do not expire. Values of a key with a TTL must never be
 * deleted.
 */
export function checkExpiry(
  records: readonly OperationRecord<RaKvInput, RaKvOutput>[],
  ttlMsOf: (key: string) => number | undefined,
): readonly Violation[] {
  const violations: Violation[] = [];
  for (const [key, ofKey] of Map.groupBy(records, ({ key }) => key)) {
    const ttlMs = ttlMsOf(key);
    if (ttlMs === undefined) continue;
    const puts = ofKey.filter(({ outcome, output }) =>
      outcome === "ok" && typeof output === "number"
    );
    const misses = ofKey.filter(({ input, outcome, output }) =>
      input.type === "get" && outcome === "ok" && output === null
    );
    for (const miss of misses) {
      // Anything put later stays at least as long.
      const missed = puts.find(({ invokedAtMs, returnedAtMs }) =>
        (returnedAtMs as number) < miss.invokedAtMs &&
        invokedAtMs - CLOCK_MS + ttlMs > (miss.returnedAtMs as number)
      );
      if (missed === undefined) continue;
      violations.push({
        check: "expired_early",
        message: `Key ${
          JSON.stringify(key)
        }: what operation ${missed.id} put is gone for operation ${miss.id} at ${miss.returnedAtMs} ms, and was to stay until ${
          missed.invokedAtMs + ttlMs
        } ms at least`,
        key,
        operations: [missed.id, miss.id].sort((a, b) => a - b),
      });
    }
  }
  return violations;
}
