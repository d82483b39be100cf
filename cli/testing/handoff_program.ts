/**
 * A node whose handoff is a script, as a program, so that tests and people can
 * see in a terminal what commands show of transfers. The first argument is its
 * data directory, the second how many seconds a transfer takes. From the first
 * question on, three transfers run one behind the other; the second one fails
 * once. A repair takes as long. SIGTERM ends it.
 *
 * @module
 */
import type {
  RepairStatus,
  TransferStatus,
} from "../../src/handoff/transfer.ts";
import { writeControlFile } from "../../src/node/control_file.ts";
import { startNode } from "../../src/node/start_node.ts";
import {
  fakeHandoff,
  fakeTransfer,
} from "../../src/node/testing/fake_handoff.ts";

const NODE = "dev1@127.0.0.1";
const ITEMS = 36_000;
const ITEM_BYTES = 120;

const [directory = "data/handoff", seconds = "4"] = Deno.args;
const transferMs = Number(seconds) * 1_000;
const cookie = "a scripted handoff";
await Deno.mkdir(directory, { recursive: true });
await Deno.writeTextFile(`${directory}/cookie`, `${cookie}\n`);
await using node = await startNode({
  name: NODE,
  cookie,
  listen: "127.0.0.1:0",
  storage: "memory",
  masterPlacement: "task",
});
const handoff = fakeHandoff(NODE);
node.parts.handoff = handoff;
let startedAt: number | undefined;
const { status, repair } = handoff;
handoff.status = () => {
  startedAt ??= Date.now();
  handoff.transfers = [42, 7, 61].flatMap((partition, place) =>
    transferAt(partition, (Date.now() - startedAt!) / transferMs - place / 2)
  );
  return status();
};
handoff.repair = async (...args) => {
  const started = await repair(...args);
  const at = Date.now();
  handoff.repairs = () => [
    repairAt(started[0]!, (Date.now() - at) / transferMs),
  ];
  return started;
};
const stop = Promise.withResolvers<void>();
Deno.addSignalListener("SIGTERM", () => stop.resolve());
Deno.addSignalListener("SIGINT", () => stop.resolve());
await writeControlFile(directory, {
  node: NODE,
  address: node.address,
  pid: Deno.pid,
  cookieFile: `${await Deno.realPath(directory)}/cookie`,
});
await stop.promise;

/** The transfer when `share` of its time is over. */
function transferAt(sourcePartition: number, share: number): TransferStatus[] {
  if (share > 1) return [];
  const waits = share < 0;
  const failed = sourcePartition === 7 && share > 0.3;
  const items = waits ? 0 : Math.floor(ITEMS * share);
  return [fakeTransfer({
    id: String(sourcePartition),
    source: NODE,
    kind: sourcePartition === 61 ? "hinted" : "ownership",
    sourcePartition,
    state: waits
      ? "waiting"
      : share < 0.1
      ? "connecting"
      : share > 0.9
      ? "switching"
      : "sending",
    startedAtMs: waits ? null : startedAt!,
    items,
    bytes: items * ITEM_BYTES,
    itemsTotal: sourcePartition === 61 ? null : ITEMS,
    itemsPerSecond: waits ? 0 : ITEMS / transferMs * 1_000,
    bytesPerSecond: waits ? 0 : ITEMS * ITEM_BYTES / transferMs * 1_000,
    failures: failed ? 1 : 0,
    reason: waits
      ? "no free slot"
      : failed
      ? "The connection to dev4@127.0.0.1 ended"
      : null,
  })];
}

function repairAt(started: RepairStatus, share: number): RepairStatus {
  const neighbours = started.pending;
  const given = share > 1 ? 2 : share > 0.5 ? 1 : 0;
  return {
    ...started,
    state: given === 2 ? "done" : "running",
    done: neighbours.slice(0, given),
    pending: neighbours.slice(given),
    items: Math.floor(1_000 * Math.min(1, share)),
  };
}
