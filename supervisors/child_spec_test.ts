import { assertEquals, assertThrows } from "@std/assert";
import { resolvePolicy } from "./child_spec.ts";

Deno.test("resolvePolicy() fills in OTP's defaults", () => {
  assertEquals(resolvePolicy({}), {
    restart: "permanent",
    shutdown: 5_000,
    type: "worker",
    backoff: undefined,
    backoffAfter: undefined,
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
      { backoff: { minMs: 1, maxMs: 2, atOnce: -1 } },
    ]
  ) assertThrows(() => resolvePolicy(policy), RangeError);
  assertThrows(
    () => resolvePolicy({ significant: true }),
    TypeError,
    "must not be permanent",
  );
});
