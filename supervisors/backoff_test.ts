import { assert, assertEquals, assertThrows } from "@std/assert";
import { type Backoff, backoffDelayMs, checkBackoff } from "./backoff.ts";

const backoff: Backoff = { minMs: 100, maxMs: 1_000, factor: 2, jitter: 0.5 };

Deno.test("backoffDelayMs() grows by the factor up to the maximum, less what chance takes", () => {
  assertEquals(
    [0, 1, 2, 3, 4, 1_000_000].map((n) => backoffDelayMs(backoff, n, 0)),
    [100, 200, 400, 800, 1_000, 1_000],
  );
  assertEquals(backoffDelayMs(backoff, 0, 0.5), 75);
});

Deno.test("backoffDelayMs() leaves no more to chance than its share", () => {
  for (let attempt = 0; attempt < 40; attempt++) {
    const most = backoffDelayMs(backoff, attempt, 0);
    const least = backoffDelayMs(backoff, attempt, 0.999999);
    assert(least > 0.5 * most && least < 0.51 * most);
    assert(most <= backoff.maxMs);
  }
});

Deno.test("backoffDelayMs() doubles and leaves a fifth to chance unless told otherwise", () => {
  assertEquals(backoffDelayMs({ minMs: 10, maxMs: 100 }, 2, 0), 40);
  assertEquals(backoffDelayMs({ minMs: 10, maxMs: 100 }, 2, 0.5), 36);
});

Deno.test("backoffDelayMs() stays 0 from 0 however often it fails", () => {
  assertEquals(backoffDelayMs({ minMs: 0, maxMs: 1_000 }, 5_000, 0), 0);
});

Deno.test("checkBackoff() takes the ends of every range and refuses what is beyond", () => {
  checkBackoff({ minMs: 0, maxMs: 0, factor: 1, jitter: 0 });
  checkBackoff({ minMs: 5, maxMs: 5, factor: 9, jitter: 1 });
  for (
    const [wrong, rule] of [
      [{ minMs: -1, maxMs: 1 }, "0 <= minMs <= maxMs"],
      [{ minMs: 2, maxMs: 1 }, "0 <= minMs <= maxMs"],
      [{ minMs: 1, maxMs: Infinity }, "0 <= minMs <= maxMs"],
      [{ minMs: NaN, maxMs: 1 }, "0 <= minMs <= maxMs"],
      [{ minMs: 1, maxMs: 2, factor: 0.5 }, "'factor' must be at least 1"],
      [{ minMs: 1, maxMs: 2, jitter: 1.1 }, "'jitter' must be between 0 and 1"],
      [{ minMs: 1, maxMs: 2, jitter: -0.1 }, "'jitter' must be"],
    ] as const
  ) {
    assertThrows(() => checkBackoff(wrong), RangeError, rule);
  }
});

Deno.test("backoffDelayMs() lets so many attempts go at once before the pauses begin", () => {
  const lenient = { ...backoff, atOnce: 2 };
  assertEquals(
    [0, 1, 2, 3, 4].map((n) => backoffDelayMs(lenient, n, 0)),
    [0, 0, ...[0, 1, 2].map((n) => backoffDelayMs(backoff, n, 0))],
  );
});
