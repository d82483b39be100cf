import { assertEquals, assertThrows } from "@std/assert";
import { WhorlError } from "../base/errors.ts";
import { moduleIdOf } from "../vnode/vnode_wire.ts";
import type { InboundOffer } from "./inbound_offer.ts";
import { InboundTransfers } from "./inbound_transfers.ts";

const KV = moduleIdOf("kv");

class Bench {
  readonly inbound = new InboundTransfers();
  readonly one = {};
  readonly other = {};

  begin(connection: object, transfer: number, partition = transfer): void {
    const offer: InboundOffer = {
      transfer,
      kind: "hinted",
      module: "kv",
      sourcePartition: partition,
      targetPartition: partition,
      term: 0,
      version: 0,
    };
    this.inbound.begin(connection, "b", offer, { monotonicMs: 0, wallMs: 9 });
  }

  assertRefused(
    connection: object,
    transfer: number,
    module = KV,
    partition = transfer,
  ): void {
    const error = assertThrows(
      () => this.inbound.require(connection, transfer, module, partition),
      WhorlError,
    );
    assertEquals(error.code, "handoff_refused");
  }
}

Deno.test("InboundTransfers.require() admits frames only over the transfer's connection and to its vnode", () => {
  const bench = new Bench();
  bench.assertRefused(bench.one, 1);
  bench.begin(bench.one, 1);
  bench.inbound.require(bench.one, 1, KV, 1);
  bench.assertRefused(bench.other, 1);
  bench.assertRefused(bench.one, 2);
  bench.assertRefused(bench.one, 1, KV, 2);
  bench.assertRefused(bench.one, 1, moduleIdOf("notes"));
  bench.inbound.end(bench.one, 1);
  bench.assertRefused(bench.one, 1);
});

Deno.test("InboundTransfers counts transfers and what is arriving, until they or their connection end", () => {
  const bench = new Bench();
  const { inbound, one, other } = bench;
  bench.begin(one, 1);
  bench.begin(one, 2, 1);
  bench.begin(other, 1, 7);
  // Once more, as when it is offered again.
  bench.begin(other, 1, 7);
  assertEquals([inbound.size, [...inbound.arriving]], [3, ["kv/1", "kv/7"]]);
  assertEquals(inbound.end(one, 1)?.transfer, 1);
  assertEquals(inbound.end(one, 1), undefined);
  assertEquals([inbound.connectionEnded(other), inbound.size], [true, 1]);
  assertEquals(inbound.connectionEnded(other), false);
  inbound.end(one, 2);
  assertEquals([inbound.size, inbound.connectionEnded(one)], [0, false]);
});

Deno.test("InboundTransfers.breakOff() breaks off the latest transfers, on any connection", () => {
  const bench = new Bench();
  bench.begin(bench.one, 1);
  bench.begin(bench.other, 2);
  bench.begin(bench.one, 3);
  bench.inbound.breakOff(2);
  bench.assertRefused(bench.one, 3);
  bench.assertRefused(bench.other, 2);
  bench.inbound.require(bench.one, 1, KV, 1);
  bench.inbound.breakOff(9);
  assertEquals(bench.inbound.size, 0);
});

Deno.test("InboundTransfers.statuses() says how far each is and how fast it goes", () => {
  const bench = new Bench();
  bench.begin(bench.one, 1);
  bench.inbound.took(bench.one, 1, 10, 1_000, 1_000);
  bench.inbound.took(bench.one, 1, 10, 1_000, 1_000);
  // Unknown transfers are not counted.
  bench.inbound.took(bench.other, 1, 10, 1_000, 1_000);
  assertEquals(bench.inbound.statuses("a", 2_000), [{
    id: "1",
    kind: "hinted",
    module: "kv",
    direction: "inbound",
    source: "b",
    sourcePartition: 1,
    target: "a",
    targetPartition: 1,
    state: "sending",
    startedAtMs: 9,
    items: 20,
    bytes: 2_000,
    itemsTotal: null,
    itemsPerSecond: 10,
    bytesPerSecond: 1_000,
    failures: 0,
    reason: null,
  }]);
});
