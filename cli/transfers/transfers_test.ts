import { assert, assertEquals } from "@std/assert";
import { fakeTransfer } from "../../src/node/testing/fake_handoff.ts";
import { gathered } from "../../src/admin/testing/gathered_transfers.ts";
import { transfersView } from "./transfers_view.ts";

const dev1 = "dev1@127.0.0.1";

Deno.test("transfersView() shows objects, bytes, rate and time left on 80 columns", () => {
  const lines = transfersView(
    gathered({
      [dev1]: {
        transfers: [
          fakeTransfer({
            items: 500_000,
            itemsTotal: 1_000_000,
            bytes: 120_500_000,
            itemsPerSecond: 98_765,
          }),
          fakeTransfer({
            sourcePartition: 7,
            kind: "hinted",
            itemsTotal: null,
            state: "connecting",
            startedAtMs: null,
            itemsPerSecond: 0,
          }),
        ],
      },
    }),
    { columns: 80, lines: 24 },
  );
  assertEquals(lines, [
    "Active Transfers:",
    "ownership kv 42  dev1@127.0.0.1 → dev4@127.0.0.1",
    "  ███████░░░░░░░  50%  500000/1000000 objects · 120.5 MB · 98765/s · 5.1s left",
    "hinted    kv  7  dev1@127.0.0.1 → dev4@127.0.0.1",
    "  connecting · 500 objects · 60.0 kB",
  ]);
});

Deno.test("transfersView() fits the terminal, however small, and says what it leaves out", () => {
  const transfers = gathered({
    [dev1]: {
      transfers: Array.from({ length: 9 }, (_, partition) =>
        fakeTransfer({
          sourcePartition: partition,
          failures: 1,
          reason: "x".repeat(100),
        })),
    },
  });
  for (const columns of [1, 20, 40, 53, 73, 80, 101, 300]) {
    for (const lines of [1, 2, 5, 10, 40]) {
      const view = transfersView(transfers, { columns, lines });
      for (const line of view) assert(line.length < Math.max(columns, 1), line);
      if (lines > 1) assert(view.length <= lines, `${lines}`);
    }
  }
  assertEquals(
    transfersView(transfers, { columns: 40, lines: 6 }),
    [
      "Active Transfers:",
      "ownership kv 0  dev1 → dev4",
      "  50%  500/1000 objects · 5.0s left",
      "ownership kv 1  dev1 → dev4",
      "  50%  500/1000 objects · 5.0s left",
      "... and 7 more under way",
    ],
  );
});
