import { assertEquals, assertThrows } from "@std/assert";
import { backoffDelayMs, resolvePolicy } from "./child_spec.ts";

Deno.test("resolvePolicy() fills in OTP's defaults", () => {
  assertEquals(resolvePolicy({}), {
    restart: "permanent",
    shutdown: 5_000,
    type: "worker",
    backoff: undefined,
    significant: false,
  });
  assertEquals(resolvePolicy({ type: "supervisor" }).shutdown, "infinity");
});

Deno.test("resolvePolicy() refuses what makes no sense", () => {
  for (
    const policy of [
      { shutdown: -1 },
      { shutdown: Infinity },
      { shutdown: NaN },
      { backoff: { minMs: -1, maxMs: 1 } },
      { backoff: { minMs: 2, maxMs: 1 } },
      { backoff: { minMs: 1, maxMs: Infinity } },
      { backoff: { minMs: 1, maxMs: 2, factor: 0.5 } },
      { backoff: { minMs: 1, maxMs: 2, jitter: 1.1 } },
    ]
  ) assertThrows(() => resolvePolicy(policy), RangeError);
  assertThrows(
    () => resolvePolicy({ significant: true }),
    TypeError,
    "must not be permanent",
  );
});

Deno.test("backoffDelayMs() grows by the factor up to the maximum, less what chance takes", () => {
  const backoff = { minMs: 100, maxMs: 1_000, factor: 2, jitter: 0.5 };
  assertEquals(
    [0, 1, 2, 3, 4, 1_000].map((n) => backoffDelayMs(backoff, n, 0)),
    [100, 200, 400, 800, 1_000, 1_000],
  );
  assertEquals(backoffDelayMs(backoff, 0, 0.5), 75);
});
