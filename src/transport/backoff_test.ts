import { assert, assertEquals } from "@std/assert";
import { backoffMs } from "./backoff.ts";

const backoff = { firstMs: 100, maxMs: 2_000 };

Deno.test("backoffMs() doubles up to its bound", () => {
  const waits = [1, 2, 3, 4, 5, 6, 7, 1_000_000].map((failures) =>
    backoffMs(failures, backoff, 0)
  );
  assertEquals(waits, [50, 100, 200, 400, 800, 1_000, 1_000, 1_000]);
});

Deno.test("backoffMs() leaves the upper half to chance", () => {
  assertEquals(backoffMs(1, backoff, 0.5), 75);
  for (let failures = 1; failures < 40; failures++) {
    const least = backoffMs(failures, backoff, 0);
    const most = backoffMs(failures, backoff, 0.999999);
    assert(most < 2 * least && most > 1.99 * least);
    assert(most <= backoff.maxMs);
  }
});
