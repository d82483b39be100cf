import { assertEquals } from "@std/assert";
import { fakeTransfer } from "../node/testing/fake_handoff.ts";
import { partitionIndex } from "../ring/chash.ts";
import { gathered } from "./testing/gathered_transfers.ts";
import { NO_TRANSFERS_TEXT, transfersText } from "./transfers_text.ts";

const [dev1, dev4] = ["dev1@127.0.0.1", "dev4@127.0.0.1"];

Deno.test("clusterTransfers() shows a transfer once although both ends report it, as the source sees it", () => {
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

Deno.test("clusterTransfers() counts each waiting partition once, including those only the ring knows", () => {
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
    // One waits as reported, one moves, one is complete, one is not reported.
    transfers: [pending(1), pending(42), pending(2, []), pending(3)],
  });
  assertEquals(nodes, [{ node: dev1, partitions: 2 }]);
  assertEquals(active.length, 1);
});

Deno.test("transfersText() shows what riak-admin transfers shows, in the same order", () => {
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

Deno.test("transfersText() shows what partitions wait for, each reason once", () => {
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
