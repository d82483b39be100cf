import { assertEquals } from "@std/assert";
import { formatBytes, formatDuration, renderBar } from "./figure_text.ts";

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

Deno.test("formatBytes() changes the unit before four digits", () => {
  const cases: [number, string][] = [
    [0, "0 B"],
    [999, "999 B"],
    [1_000, "1.0 kB"],
    [999_960, "1.0 MB"],
    [8_300_000, "8.3 MB"],
  ];
  for (const [bytes, text] of cases) assertEquals(formatBytes(bytes), text);
});

Deno.test("renderBar() has the same length for every share", () => {
  assertEquals(renderBar(0), `${"░".repeat(24)}   0%`);
  assertEquals(renderBar(0.5), `${"█".repeat(12)}${"░".repeat(12)}  50%`);
  assertEquals(renderBar(1), `${"█".repeat(24)} 100%`);
});
