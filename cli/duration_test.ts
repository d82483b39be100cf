import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "./command.ts";
import { formatDuration, parseDuration } from "./duration.ts";

Deno.test("parseDuration() reads seconds, and other units when they are named", () => {
  const cases = { "10": 10_000, "1.5s": 1_500, "500ms": 500, "2m": 120_000 };
  for (const [text, ms] of Object.entries(cases)) {
    assertEquals(parseDuration("timeout", text), ms);
  }
  for (const text of ["", "0", "-1", "1h", "s", "1e3", "99999999"]) {
    assertThrows(() => parseDuration("timeout", text), UsageError, "--timeout");
  }
});

Deno.test("formatDuration() shows the two largest units", () => {
  const cases: [number, string][] = [
    [0, "0ms"],
    [850, "850ms"],
    [4_200, "4.2s"],
    [59_949, "59.9s"],
    [59_960, "1m 00s"],
    [185_000, "3m 05s"],
    [7_620_000, "2h 07m"],
    [442_800_000, "5d 03h"],
  ];
  for (const [ms, text] of cases) assertEquals(formatDuration(ms), text);
});
