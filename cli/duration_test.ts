import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "./command.ts";
import { parseDuration } from "./duration.ts";

Deno.test("parseDuration() reads seconds, and other units when they are named", () => {
  const cases = { "10": 10_000, "1.5s": 1_500, "500ms": 500, "2m": 120_000 };
  for (const [text, ms] of Object.entries(cases)) {
    assertEquals(parseDuration("timeout", text), ms);
  }
  for (const text of ["", "0", "-1", "1h", "s", "1e3", "99999999"]) {
    assertThrows(() => parseDuration("timeout", text), UsageError, "--timeout");
  }
});
