import { assertEquals } from "@std/assert";
import { renderProgress } from "./progress_bar.ts";

Deno.test("renderProgress() shows share, rate and time left, and fits the terminal", () => {
  const report = {
    records: 5_000,
    added: 5_000,
    updated: 0,
    unchanged: 0,
    rejected: 2,
    rejects: [],
    retries: 0,
    elapsedMs: 1_000,
    endedEarly: null,
  };
  const line = renderProgress(
    { report, bytes: 25_000, bytesTotal: 100_000 },
    100,
  );
  assertEquals(
    line,
    `${"█".repeat(6)}${"░".repeat(18)}  25%  ` +
      "5000 records · 5000/s · 25.0 kB of 100.0 kB · 2 rejected · 3.0s left",
  );
  assertEquals(
    renderProgress({ report, bytes: 25_000, bytesTotal: undefined }, 100),
    "5000 records · 5000/s · 25.0 kB · 2 rejected",
  );
  const narrow = { report, bytes: 25_000, bytesTotal: 100_000 };
  assertEquals(renderProgress(narrow, 30).length, 30);
});
