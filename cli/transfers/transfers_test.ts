import { assert, assertEquals } from "@std/assert";
import type { HandoffStatus } from "../../src/handoff/transfer.ts";
import { partitionIndex } from "../../src/ring/chash.ts";
import {
  fakeHandoff,
  fakeTransfer,
} from "../../src/node/testing/fake_handoff.ts";
import { clusterTransfers } from "./cluster_transfers.ts";
import { NO_TRANSFERS_TEXT, transfersText } from "./transfers_text.ts";
import { transfersView } from "./transfers_view.ts";

const [dev1, dev4] = ["dev1@127.0.0.1", "dev4@127.0.0.1"];
const quietRing = { ringSize: 64, transfers: [] };

function gathered(
  nodes: Record<string, Partial<HandoffStatus>>,
  ring: Parameters<typeof clusterTransfers>[1] = quietRing,
) {
  return clusterTransfers({
    answers: Object.entries(nodes).map(([node, differs]) => ({
      node,
      result: { ...fakeHandoff(node).status(), ...differs },
    })),
    failures: [],
  }, ring);
}

Deno.test("clusterTransfers() shows a transfer once though both ends tell of it, as the source sees it", () => {
  const out = fakeTransfer({ items: 10 });
  const into = fakeTransfer({ items: 9, direction: "inbound" });
  for (const order of [[dev1!, dev4!], [dev4!, dev1!]]) {
    const both = gathered(Object.fromEntries(
      order.map((node) => [node, { transfers: [node === dev1 ? out : into] }]),
    ));
    assertEquals(both.active, [out]);
  }
  // The source does not answer.
  assertEquals(gathered({ [dev4!]: { transfers: [into] } }).active, [into]);
});

Deno.test("clusterTransfers() counts partitions that wait once, also those only the ring knows of", () => {
  const waiting = (sourcePartition: number, module: string) =>
    fakeTransfer({ state: "waiting", sourcePartition, module });
  const pending = (partition: number, waitingOn = ["kv"]) => ({
    index: String(partitionIndex(partition, 64)),
    owner: dev1!,
    nextOwner: dev4!,
    waitingOn,
    complete: [],
  });
  const { waiting: nodes, active } = gathered({
    [dev1!]: {
      transfers: [waiting(1, "kv"), waiting(1, "echo"), fakeTransfer()],
    },
  }, {
    ringSize: 64,
    // It waits as said, moves, is handed over, and is not spoken of.
    transfers: [pending(1), pending(42), pending(2, []), pending(3)],
  });
  assertEquals(nodes, [{ node: dev1, partitions: 2 }]);
  assertEquals(active.length, 1);
});

Deno.test("transfersText() is what riak-admin transfers shows, in its order", () => {
  assertEquals(transfersText(gathered({}), 0), NO_TRANSFERS_TEXT);
  const transfers = gathered({
    [dev1!]: {
      transfers: [
        fakeTransfer({ targetPartition: 21, failures: 2, reason: "closed" }),
        fakeTransfer({ state: "waiting", sourcePartition: 1 }),
      ],
    },
  });
  assertEquals(
    transfersText(transfers, Date.UTC(2026, 0, 2, 3, 4, 15)),
    `\
'dev1@127.0.0.1' waiting to handoff 1 partition

Active Transfers:

transfer type: ownership
vnode type: kv
partition: 42
target partition: 21
state: sending
started: 2026-01-02 03:04:05Z [10.0s ago]
objects transferred: 500 of 1000
bytes transferred: 60.0 kB
failures so far: 2
remark: closed

                                 100 objects/s
                    dev1@127.0.0.1 =======> dev4@127.0.0.1
                         ████████████░░░░░░░░░░░░  50%
                                   12.0 kB/s
`,
  );
});

Deno.test("transfersView() shows objects, bytes, rate and time left on 80 columns", () => {
  const lines = transfersView(
    gathered({
      [dev1!]: {
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

Deno.test("transfersView() keeps to the terminal, however small, and says what it leaves out", () => {
  const transfers = gathered({
    [dev1!]: {
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

Deno.test("transfersText() says what partitions wait for, each reason once", () => {
  const reason = "dev4@127.0.0.1 runs a version that takes no transfers";
  const waiting = (sourcePartition: number, failures = 0) =>
    fakeTransfer({ state: "waiting", sourcePartition, failures, reason });
  const transfers = gathered({
    [dev1!]: { transfers: [waiting(1), waiting(2), waiting(3, 1)] },
  });
  assertEquals(
    transfersText(transfers, 0),
    `'dev1@127.0.0.1' waiting to handoff 3 partitions: ${reason}\n${NO_TRANSFERS_TEXT}`,
  );
});
