import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import { silentLog } from "../environment/log.ts";
import type { Ring } from "../ring/ring.ts";
import { beginResize, freshRing, setStatus } from "../ring/ring_change.ts";
import {
  beginBatch,
  HandoffAction,
  HandoffOutcome,
  HandoffProgress,
  readHandoffRequest,
  sealBatch,
  writeBatchHead,
} from "../vnode/handoff_codec.ts";
import { OpenAnswer } from "../vnode/vnode_handoff.ts";
import { moduleIdOf } from "../vnode/vnode_wire.ts";
import { REPORT_MS } from "./completion_reports.ts";
import { HandoffProcess, RECHECK_MS } from "./handoff_process.ts";
import { OFFER_WAIT_MS } from "./inbound_process.ts";
import { REPAIR_ASK_MS, REQUESTED_SHARES_MAX } from "./repair_process.ts";
import type { BulkConnection, HandoffWorld } from "./handoff_world.ts";
import { type InboundOffer, offerData } from "./inbound_offer.ts";
import type { HeldPartition } from "./transfer.ts";
import type { HandedOverPartition } from "./transfer_plan.ts";

const KV = moduleIdOf("kv");
const UNREACHABLE = new WhorlError("not_reachable", "no way");

/** The handoffs of `a`, whose vnodes are empty unless a test says otherwise. */
class Bench {
  readonly closed = undefined;
  readonly runtime = new ManualRuntime();
  ring: Ring = freshRing({
    clusterName: "test",
    size: 8,
    seed: "0123456789abcdef",
    node: { name: "a" } as never,
    wallMs: 0,
  });
  up = ["a", "b"];
  held: HeldPartition[] = [];
  heldFails = false;
  /** What its vnodes know to have handed over. */
  handedOver: HandedOverPartition[] = [];
  dropped = true;
  /** What it did, in order. */
  readonly done: string[] = [];
  /** Whether requests to vnodes stay unanswered. */
  mute = false;
  /** Whether vnodes have nothing more to send once all is copied. */
  writtenNothing = false;
  readonly #asked = new Set<number>();
  /** Partitions whose vnodes do not answer. */
  readonly silent = new Set<number>();
  /** Leads to a target that takes everything. */
  connecting = (): Promise<BulkConnection> =>
    Promise.resolve({
      node: "b",
      closed: undefined,
      ask: () => {
        const last = new ByteWriter();
        last.u53(0);
        return Promise.resolve(last.copy());
      },
      call: (method) => {
        this.called.push(method);
        return Promise.resolve(null);
      },
      close: () => {},
    });
  /** Calls to targets. */
  readonly called: string[] = [];
  readonly told: string[] = [];
  /** Its warnings. */
  readonly warnings: string[] = [];
  /** Error of dropping a partition. */
  storeFails: WhorlError | undefined;
  #number = 0;
  /** Ends when what is being dropped is. */
  dropping: Promise<void> | undefined;
  readonly process: HandoffProcess;

  constructor(concurrency = 4) {
    const world: HandoffWorld = {
      runtime: this.runtime,
      log: { ...silentLog, warn: (text) => void this.warnings.push(text) },
      self: "a",
      modules: ["kv"],
      wallClock: () => 1_000_000 + this.runtime.now(),
      secretNumber: () => ++this.#number,
      ring: () => this.ring,
      upNodes: () => this.up,
      held: () =>
        this.heldFails
          ? Promise.reject(new WhorlError("timeout", "no master"))
          : Promise.resolve(this.held),
      handedOver: () => Promise.resolve(this.handedOver),
      askVnode: (_module, partition, write) => this.#ask(partition, write),
      connect: () => this.connecting(),
      transferComplete: (partitions, _module, by) => {
        assert(by === this.ring, "the ring it was handed over by");
        this.done.push(`report ${partitions.join(" ")}`);
      },
      drop: async (_module, partition, atOnce) => {
        this.done.push(`drop ${partition}${atOnce ? " at once" : ""}`);
        await this.dropping;
        if (this.storeFails !== undefined) {
          throw this.storeFails;
        }
        // Its master reports the end before it answers.
        if (this.dropped) this.process.vnodeEnded("kv", partition);
        return this.dropped;
      },
      keep: (_module, partition) => {
        this.done.push(`keep ${partition}`);
        return Promise.resolve();
      },
      takeBack: (_module, partition) => {
        this.done.push(`take back ${partition}`);
        return Promise.resolve();
      },
      call: (node, method, args) => {
        this.done.push(`call ${node} ${method} ${JSON.stringify(args)}`);
        return Promise.resolve(null);
      },
    };
    this.process = new HandoffProcess(
      world,
      {
        onTransfer: ({ sourcePartition }, { type }) =>
          this.told.push(`${type} ${sourcePartition}`),
        onRepaired: (module, partition) =>
          this.told.push(`repaired ${module}/${partition}`),
        onUnrepairable: (module, partition, reason) =>
          this.told.push(`unrepairable ${module}/${partition}: ${reason}`),
        onHeldChanged: () => this.onHeldChanged(),
      },
      () => {},
      concurrency,
    );
  }

  #ask(
    partition: number,
    write: (into: ByteWriter) => void,
  ): Promise<Uint8Array> {
    const bytes = new ByteWriter();
    write(bytes);
    const request = readHandoffRequest(new ByteReader(bytes.copy()));
    const answer = new ByteWriter();
    switch (request.action) {
      case HandoffAction.open:
        this.done.push(`open ${partition}`);
        if (this.mute || this.silent.has(partition)) {
          return new Promise(() => {});
        }
        answer.raw(Uint8Array.of(OpenAnswer.begun, 0, this.empty ? 1 : 0));
        break;
      case HandoffAction.switch:
        answer.u8(1);
        break;
      case HandoffAction.next: {
        // As a vnode that follows what is written, of which there is nothing.
        if (this.writtenNothing && this.#asked.has(partition)) {
          return new Promise(() => {});
        }
        this.#asked.add(partition);
        const batch = new ByteWriter();
        beginBatch(batch);
        sealBatch(batch, 0, 0);
        const progress = HandoffProgress.nearlyAll;
        const head = { progress, items: 0, bytes: 0, hash: 0, total: 0 };
        writeBatchHead(answer, head);
        answer.raw(batch.view());
        break;
      }
      case HandoffAction.finish:
        this.done.push(
          request.outcome === HandoffOutcome.abandoned
            ? `abandon ${partition} (${request.transfer})`
            : `finish ${partition}`,
        );
        this.onFinish();
        if (this.silent.has(partition)) return new Promise(() => {});
    }
    return Promise.resolve(answer.copy());
  }

  empty = true;
  onFinish = (): void => {};
  onHeldChanged = (): void => {};

  own(
    owners: Record<number, string>,
    next: Record<number, string> = {},
    version = 5,
  ): void {
    const all = this.ring.ownership.owners.map((owner, i) =>
      owners[i] ?? owner
    );
    this.ring = {
      ...this.ring,
      ownership: {
        ...this.ring.ownership,
        owners: all,
        next: Object.entries(next).map(([partition, nextOwner]) => ({
          partition: Number(partition),
          owner: all[Number(partition)]!,
          nextOwner,
          term: 1,
          version,
        })),
      },
    };
  }

  hold(...partitions: number[]): void {
    this.held = partitions.map((partition) => ({ module: "kv", partition }));
  }

  /** Makes it check everything, and completes all that takes no time. */
  async look(): Promise<string[]> {
    this.process.changed();
    await this.runtime.settle();
    return this.done.splice(0);
  }

  /** Offers a transfer; one that is refused is refused after a while. */
  async offer(...offer: Parameters<Bench["begins"]>): Promise<void> {
    const begun = this.begins(...offer);
    begun.catch(() => {});
    await this.runtime.advance(OFFER_WAIT_MS);
    await begun;
  }

  /** Offers a transfer, and lets no time pass. */
  begins(
    extra: Partial<InboundOffer> = {},
    connection: { readonly closed?: unknown } = this,
    source = "b",
  ): Promise<void> {
    return this.process.inbound.begins(
      connection,
      source,
      offerData({
        transfer: 1,
        kind: "hinted",
        module: "kv",
        sourcePartition: 3,
        targetPartition: 3,
        term: 0,
        version: 0,
        ...extra,
      }),
    );
  }

  get sent(): [string, string][] {
    return this.process.status().transfers.map(({ id, state }) => [id, state]);
  }

  close(): void {
    this.process.close();
    this.process.outbound.senders.kill();
  }
}

async function assertRefused(
  act: () => Promise<unknown>,
  code: string,
): Promise<void> {
  assertEquals((await assertRejects(act, WhorlError)).code, code);
}

function assertCode(act: () => unknown, code: string): void {
  const error = assertThrows(act, WhorlError);
  assertEquals(error.code, code);
}

Deno.test("HandoffProcess hands a partition over, reports it until the ring knows it, and drops what is left", async () => {
  const bench = new Bench();
  bench.own({}, { 3: "b" });
  bench.hold(3);
  assertEquals(await bench.look(), [
    "open 3",
    "finish 3",
    "report 3",
    "report 3",
  ]);
  assertEquals(bench.told, ["completed 3"]);
  assertEquals(await bench.look(), ["report 3"]);
  bench.own({ 3: "b" });
  assertEquals(await bench.look(), ["drop 3"]);
  assertEquals(bench.process.holdsNothing, true);
  assertEquals([await bench.look(), bench.sent], [[], []]);
  assertEquals(bench.process.status().completed, 1);
  bench.close();
});

Deno.test("HandoffProcess offers an empty partition to its next owner, again until that takes it", async () => {
  const bench = new Bench();
  const { connecting } = bench;
  bench.connecting = () => Promise.reject(UNREACHABLE);
  bench.own({}, { 3: "b" });
  bench.hold(3);
  assertEquals(await bench.look(), ["open 3"]);
  assertEquals([bench.told, bench.sent], [
    ["failed 3"],
    [["ownership/kv/3/3/b", "waiting"]],
  ]);
  bench.connecting = connecting;
  await bench.runtime.advance(100);
  assertEquals(bench.done.splice(0, 2), ["open 3", "finish 3"]);
  assertEquals(bench.told, ["failed 3", "completed 3"]);
  assertEquals(bench.called, ["handoff_begin", "handoff_end"]);
  bench.close();
});

Deno.test("HandoffProcess hands an empty hint off without a word to the owner", async () => {
  const bench = new Bench();
  bench.own({ 3: "b" });
  bench.hold(3);
  assertEquals(await bench.look(), ["open 3", "finish 3"]);
  assertEquals(bench.called, []);
  bench.close();
});

Deno.test("HandoffProcess batches reports while other transfers run, and makes them when it is closed", async () => {
  const bench = new Bench();
  bench.own({}, { 3: "b", 4: "b", 5: "b" });
  bench.hold(3, 4, 5);
  bench.silent.add(5);
  assertEquals(
    (await bench.look()).sort(),
    ["finish 3", "finish 4", "open 3", "open 4", "open 5"],
  );
  await bench.runtime.advance(REPORT_MS - 1);
  assertEquals(bench.done, []);
  await bench.runtime.advance(1);
  assertEquals(bench.done.splice(0), ["report 3 4"]);
  // The ring does not know it yet, so it is reported again.
  assertEquals(await bench.look(), []);
  bench.close();
  assertEquals(bench.done, ["report 3 4"]);
});

Deno.test("HandoffProcess does not report a transfer that the ring has since decided otherwise", async () => {
  const bench = new Bench();
  bench.own({}, { 3: "b", 4: "b", 5: "b" });
  bench.hold(3, 4, 5);
  bench.silent.add(5);
  await bench.look();
  bench.own({}, { 3: "c", 4: "b", 5: "b" });
  await bench.runtime.advance(REPORT_MS);
  assertEquals(bench.done.splice(0), ["report 4"]);
  assertEquals(await bench.look(), ["take back 3"]);
  bench.close();
});

Deno.test("HandoffProcess hands off data that could not be dropped", async () => {
  const bench = new Bench();
  bench.own({}, { 3: "b" });
  bench.hold(3);
  await bench.look();
  bench.own({ 3: "b" });
  bench.dropped = false;
  assertEquals(await bench.look(), ["drop 3", "open 3", "finish 3"]);
  assertEquals(bench.told, ["completed 3", "completed 3"]);
  bench.close();
});

/** `a` has handed 3 to `b`, whose it is now, and it is planned to come back. */
async function returning(concurrency?: number): Promise<Bench> {
  const bench = new Bench(concurrency);
  bench.own({}, { 3: "b" });
  bench.hold(3);
  await bench.look();
  bench.own({ 3: "b" }, { 3: "a" });
  return bench;
}

/** `a` has handed 3 to `b`, and has asked to have the rest removed; then `b` is lost, and 3 is `c`'s. */
async function lostWhileDropped(): Promise<Bench> {
  const bench = new Bench();
  bench.own({}, { 3: "b" });
  bench.hold(3);
  await bench.look();
  bench.dropping = new Promise(() => {});
  bench.own({ 3: "b" });
  assertEquals(await bench.look(), ["drop 3"]);
  bench.own({ 3: "c" });
  return bench;
}

const comingBack = { kind: "ownership", term: 1, version: 5 } as const;

Deno.test("HandoffProcess has the rest of a partition dropped at once before it accepts that partition back", async () => {
  const bench = await returning();
  const gate = Promise.withResolvers<void>();
  bench.dropping = gate.promise;
  const offered = bench.begins(comingBack);
  await bench.runtime.settle();
  assertEquals(bench.done, ["drop 3 at once"]);
  assertEquals(bench.sent, []);
  gate.resolve();
  await offered;
  assertEquals(bench.sent.map(([, state]) => state), ["sending"]);
  // An offer that is repeated finds what the first has brought.
  await bench.offer(comingBack);
  assertEquals(await bench.look(), ["drop 3 at once"]);
  bench.close();
});

Deno.test("HandoffProcess keeps the rest of a partition that comes back from a node without what went", async () => {
  const bench = await returning();
  // b is lost, and c was given what nobody has.
  bench.own({ 3: "c" }, { 3: "a" });
  await bench.offer(comingBack, bench, "c");
  assertEquals(await bench.look(), ["keep 3"]);
  bench.close();
});

/** What the vnode of 3 knows after its partition went to `b`. */
const wentToB = {
  module: "kv",
  partition: 3,
  target: "b",
  term: 1,
  version: 5,
} as const;

Deno.test("HandoffProcess goes on with what was handed over before it was started", async () => {
  const bench = new Bench();
  bench.handedOver = [wentToB];
  bench.own({}, { 3: "b" });
  bench.hold(3);
  // The ring has yet to hear of it.
  assertEquals(await bench.look(), ["report 3"]);
  bench.own({ 3: "b" });
  assertEquals(await bench.look(), ["drop 3"]);
  // What it has settled is not asked for again.
  bench.hold(3);
  bench.process.masterStarted();
  assertEquals(await bench.look(), ["open 3", "finish 3"]);
  bench.close();
});

Deno.test("HandoffProcess has the rest of a partition dropped before that comes back, also if it was handed over before this was started", async () => {
  const bench = new Bench();
  bench.handedOver = [wentToB];
  bench.own({ 3: "b" }, { 3: "a" });
  bench.hold(3);
  bench.process.changed();
  await bench.offer(comingBack);
  assertEquals(bench.done, ["drop 3 at once"]);
  bench.close();
});

Deno.test("HandoffProcess has a partition that comes back wait until it knows what was handed over", async () => {
  const bench = new Bench();
  bench.handedOver = [wentToB];
  bench.own({ 3: "b" }, { 3: "a" });
  bench.hold(3);
  bench.heldFails = true;
  await bench.look();
  await assertRefused(() => bench.offer(comingBack), "handoff_refused");
  const offered = bench.begins(comingBack);
  await bench.runtime.settle();
  assertEquals(bench.done, []);
  bench.heldFails = false;
  await bench.look();
  await offered;
  assertEquals(bench.sent.map(([, state]) => state), ["sending"]);
  bench.close();
});

Deno.test("HandoffProcess has a removal that waits for its turn called off when the target is lost", async () => {
  const bench = await lostWhileDropped();
  // What it could go to is not there yet, so nothing else keeps it.
  assertEquals(await bench.look(), ["keep 3"]);
  assertEquals(bench.sent, [["hinted/kv/3/3/c", "waiting"]]);
  bench.close();
});

Deno.test("HandoffProcess has a removal called off for a partition that comes back from a node without what went", async () => {
  const bench = await lostWhileDropped();
  bench.own({ 3: "c" }, { 3: "a" });
  await bench.offer(comingBack, bench, "c");
  assertEquals(bench.done, ["keep 3"]);
  bench.close();
});

Deno.test("HandoffProcess has a vnode whose target was lost no longer tell that it was handed over, so that none started later drops it", async () => {
  const bench = await returning();
  bench.own({ 3: "c" });
  assertEquals(await bench.look(), ["keep 3"]);
  bench.close();
});

Deno.test("HandoffProcess hands a partition off once more whose target was lost, and whatever becomes of that", async () => {
  const bench = new Bench();
  bench.up = ["a", "b", "c"];
  bench.own({}, { 3: "b" });
  bench.hold(3);
  await bench.look();
  bench.own({ 3: "c" });
  assertEquals(await bench.look(), ["keep 3", "open 3", "finish 3"]);
  bench.hold(3);
  bench.process.masterStarted();
  bench.ring = setStatus(bench.ring, "a", "b", "valid");
  assertEquals(await bench.look(), ["open 3", "finish 3"]);
  bench.close();
});

Deno.test("HandoffProcess accepts no transfer that was withdrawn while the rest of its partition was dropped", async () => {
  const bench = await returning(1);
  const gate = Promise.withResolvers<void>();
  bench.dropping = gate.promise;
  const hint = { sourcePartition: 4, targetPartition: 4 };
  await bench.begins({ ...hint, transfer: 9 });
  const offered = bench.begins(comingBack);
  const isRefused = assertRefused(() => offered, "handoff_refused");
  await bench.runtime.settle();
  assertEquals(bench.done, []);
  bench.process.inbound.ended(bench, 9);
  await bench.runtime.settle();
  assertEquals(bench.done, ["drop 3 at once"]);
  // It has the only slot meanwhile.
  await assertRefused(
    () => bench.offer({ ...hint, transfer: 10 }),
    "handoff_refused",
  );
  bench.process.inbound.wake();
  bench.process.inbound.ended(bench, 1);
  gate.resolve();
  await isRefused;
  assertEquals(bench.sent, []);
  bench.close();
});

Deno.test("HandoffProcess runs no more transfers than it may, those that are being cleared for among them", async () => {
  const bench = await returning(1);
  const gate = Promise.withResolvers<void>();
  bench.dropping = gate.promise;
  const hint = { sourcePartition: 4, targetPartition: 4 };
  const offered = bench.begins(comingBack);
  const second = bench.begins({ ...hint, transfer: 10 });
  await bench.runtime.settle();
  gate.resolve();
  await offered;
  await bench.runtime.settle();
  assertEquals(bench.sent.length, 1);
  bench.process.inbound.ended(bench, 1);
  await second;
  bench.close();
});

Deno.test("HandoffProcess accepts nothing back that it was told not to take while the rest was dropped", async () => {
  const bench = await returning();
  const gate = Promise.withResolvers<void>();
  bench.dropping = gate.promise;
  const offered = bench.begins(comingBack);
  const isRefused = assertRefused(() => offered, "handoff_refused");
  await bench.runtime.settle();
  bench.process.setEnabled("inbound", false);
  gate.resolve();
  await isRefused;
  assertEquals(bench.sent, []);
  bench.close();
});

Deno.test("HandoffProcess keeps to a limit that was lowered while the rest of partitions was dropped", async () => {
  const bench = new Bench(2);
  bench.own({}, { 3: "b", 4: "b" });
  bench.hold(3, 4);
  await bench.look();
  bench.own({ 3: "b", 4: "b" }, { 3: "a", 4: "a" });
  const gate = Promise.withResolvers<void>();
  bench.dropping = gate.promise;
  const first = bench.begins(comingBack);
  const second = bench.begins({
    ...comingBack,
    transfer: 2,
    sourcePartition: 4,
    targetPartition: 4,
  });
  const outcomes = Promise.allSettled([first, second]);
  await bench.runtime.settle();
  bench.process.setConcurrency(1);
  gate.resolve();
  assertEquals((await outcomes).map(({ status }) => status), [
    "rejected",
    "fulfilled",
  ]);
  assertEquals(bench.sent.length, 1);
  bench.close();
});

Deno.test("HandoffProcess drops what its target has passed on, whatever becomes of that target", async () => {
  const bench = new Bench();
  bench.up = ["a", "b", "c"];
  bench.own({}, { 3: "b", 4: "b" });
  bench.hold(3, 4);
  bench.silent.add(4);
  await bench.look();
  bench.ring = setStatus(bench.ring, "a", "b", "leaving");
  // Nothing is dropped while 4 is being sent.
  bench.own({ 3: "c" }, { 4: "b" });
  assertEquals(await bench.look(), []);
  bench.ring = setStatus(bench.ring, "a", "b", "invalid");
  bench.own({ 3: "c" });
  assertEquals(await bench.look(), ["abandon 4 (2)"]);
  assertEquals(await bench.look(), ["drop 3"]);
  bench.close();
});

Deno.test("HandoffProcess does not forget what went once more while the rest from before was dropped", async () => {
  const bench = new Bench();
  bench.own({}, { 3: "b" });
  bench.hold(3);
  await bench.look();
  const gate = Promise.withResolvers<void>();
  bench.dropping = gate.promise;
  bench.dropped = false;
  bench.own({ 3: "b" });
  assertEquals(await bench.look(), ["drop 3"]);
  bench.dropping = undefined;
  // It comes back meanwhile, and goes again.
  bench.own({}, { 3: "a" });
  await bench.begins(comingBack);
  bench.process.inbound.ended(bench, 1);
  bench.own({ 3: "a" });
  assertEquals(await bench.look(), ["drop 3 at once"]);
  bench.own({}, { 3: "b" }, 6);
  assert((await bench.look()).includes("finish 3"));
  gate.resolve();
  await bench.runtime.settle();
  assertEquals(new Set(await bench.look()), new Set(["report 3"]));
  bench.close();
});

Deno.test("HandoffProcess warns if data could not be dropped, unless its node stops", async () => {
  const bench = new Bench();
  bench.own({}, { 3: "b" });
  bench.hold(3);
  await bench.look();
  bench.own({ 3: "b" });
  bench.storeFails = new WhorlError("closed", "the store is closed");
  assertEquals(await bench.look(), ["drop 3"]);
  const warned = ["What is left of a handoff could not be settled yet"];
  assertEquals(bench.warnings, warned);
  bench.process.changed();
  bench.close();
  await bench.runtime.settle();
  assertEquals(bench.done.splice(0), ["drop 3"]);
  assertEquals(bench.warnings, warned);
});

Deno.test("HandoffProcess takes back a partition that the ring returns to it, and hands it over at the next decision", async () => {
  const bench = new Bench();
  bench.own({}, { 3: "b" });
  bench.hold(3);
  await bench.look();
  bench.own({});
  assertEquals(await bench.look(), ["take back 3"]);
  bench.own({}, { 3: "b" });
  assertEquals((await bench.look()).slice(0, 2), ["open 3", "finish 3"]);
  bench.close();
});

Deno.test("HandoffProcess keeps a vnode that is used again during its hinted handoff", async () => {
  const bench = new Bench();
  bench.own({ 3: "b" });
  bench.hold(3);
  bench.onFinish = () => {
    bench.onFinish = () => {};
    bench.process.vnodeKept("kv", 3);
  };
  // A leaving node exits on this notification, with what it still has.
  bench.onHeldChanged = () => {
    if (bench.process.holdsNothing) bench.told.push("holds nothing");
  };
  await bench.look();
  assertEquals(bench.told, ["completed 3", "holds nothing", "completed 3"]);
  bench.close();
});

Deno.test("HandoffProcess retries a failed transfer under the same number, and forgets it at its source once it is not wanted", async () => {
  const bench = new Bench();
  bench.empty = false;
  bench.connecting = () => Promise.reject(UNREACHABLE);
  bench.own({ 3: "b" });
  bench.hold(3);
  assertEquals(await bench.look(), ["open 3"]);
  assertEquals(bench.told, ["failed 3"]);
  await bench.runtime.advance(100);
  assertEquals(bench.done.splice(0), ["open 3"]);
  const [status] = bench.process.status().transfers;
  assertEquals([status?.state, status?.failures, status?.reason], [
    "waiting",
    2,
    "no way",
  ]);
  bench.own({ 3: "a" });
  assertEquals(await bench.look(), ["abandon 3 (1)"]);
  assertEquals(bench.sent, []);
  bench.close();
});

Deno.test("HandoffProcess stops a running transfer that is no longer wanted", async () => {
  const bench = new Bench();
  bench.mute = true;
  bench.own({ 3: "b" });
  bench.hold(3);
  await bench.look();
  bench.own({ 3: "a" });
  assertEquals(await bench.look(), ["abandon 3 (1)"]);
  assertEquals([bench.sent, bench.told], [[], ["failed 3"]]);
  bench.close();
});

Deno.test("HandoffProcess waits for targets that are down, and says so", async () => {
  const bench = new Bench();
  bench.up = ["a"];
  bench.own({ 3: "b" });
  bench.hold(3);
  assertEquals(await bench.look(), []);
  const [status] = bench.process.status().transfers;
  assertEquals([status?.startedAtMs, status?.reason], [
    null,
    "b does not serve kv now",
  ]);
  bench.up = ["a", "b"];
  assertEquals((await bench.look())[0], "open 3");
  bench.close();
});

Deno.test("HandoffProcess reacts to vnodes that start and end, and checks everything periodically", async () => {
  const bench = new Bench();
  bench.own({ 3: "b", 4: "b" });
  await bench.look();
  bench.process.vnodeStarted("kv", 3);
  await bench.runtime.settle();
  assertEquals(bench.done.splice(0), ["open 3", "finish 3"]);
  bench.hold(4);
  assertEquals(await bench.look(), []);
  await bench.runtime.advance(RECHECK_MS);
  assertEquals(bench.done, ["open 4", "finish 4"]);
  bench.close();
});

Deno.test("HandoffProcess asks its masters again after one did not answer", async () => {
  const bench = new Bench();
  bench.own({ 3: "b" });
  await bench.look();
  bench.hold(3);
  bench.heldFails = true;
  bench.process.masterStarted();
  await bench.runtime.settle();
  bench.heldFails = false;
  assertEquals(await bench.look(), ["open 3", "finish 3"]);
  bench.close();
});

Deno.test("HandoffProcess accepts valid inbound transfers up to the concurrency, each over its own connection", async () => {
  const bench = new Bench(2);
  await assertRefused(
    () => bench.offer({ module: "notes" }),
    "handoff_refused",
  );
  await assertRefused(
    () => bench.offer({ kind: "ownership" }),
    "handoff_refused",
  );
  await assertRefused(
    () => bench.process.inbound.begins(bench, "b", ["nonsense"]),
    "protocol_error",
  );
  await bench.offer();
  await bench.offer();
  bench.process.inbound.require(bench, 1, KV, 3);
  assertCode(
    () => bench.process.inbound.require(bench, 1, KV, 4),
    "handoff_refused",
  );
  assertCode(
    () => bench.process.inbound.require({}, 1, KV, 3),
    "handoff_refused",
  );
  const other = {};
  await bench.offer({ transfer: 2, targetPartition: 4 }, other);
  await assertRefused(
    () => bench.offer({ transfer: 3, targetPartition: 5 }),
    "handoff_refused",
  );
  bench.process.inbound.connectionEnded(other);
  await bench.offer({ transfer: 3, targetPartition: 5 });
  bench.process.inbound.ended(bench, 3);
  bench.process.inbound.ended(bench, 3);
  bench.process.inbound.took(bench, 1, 10, 100);
  const statuses = bench.process.status().transfers;
  assertEquals(statuses.map(({ id, items }) => [id, items]), [["1", 10]]);
  bench.close();
});

Deno.test("HandoffProcess gives the slot of a refused transfer to a waiting inbound one, so that two nodes do not refuse each other forever", async () => {
  const bench = new Bench(1);
  const answer = Promise.withResolvers<never>();
  bench.connecting = () => answer.promise;
  bench.empty = false;
  bench.own({ 3: "b", 4: "b" });
  bench.hold(3, 4);
  assertEquals(await bench.look(), ["open 3"]);
  const offered = bench.process.inbound.begins(
    bench,
    "b",
    offerData({
      transfer: 1,
      kind: "hinted",
      module: "kv",
      sourcePartition: 5,
      targetPartition: 5,
      term: 0,
      version: 0,
    }),
  );
  await bench.runtime.settle();
  answer.reject(new WhorlError("handoff_refused", "full"));
  await bench.runtime.settle();
  await offered;
  assertEquals(bench.done, []);
  bench.process.inbound.ended(bench, 1);
  await bench.runtime.settle();
  assertEquals(bench.done, ["open 4"]);
  bench.close();
});

Deno.test("HandoffProcess breaks off inbound transfers when they are disabled or the concurrency is lowered", async () => {
  const bench = new Bench(2);
  await bench.offer();
  await bench.offer({ transfer: 2, targetPartition: 4 });
  assertEquals(bench.process.setConcurrency(1).concurrency, 1);
  assertCode(
    () => bench.process.inbound.require(bench, 2, KV, 4),
    "handoff_refused",
  );
  bench.process.inbound.require(bench, 1, KV, 3);
  assertEquals(bench.process.setEnabled("inbound", false), {
    concurrency: 1,
    inbound: false,
    outbound: true,
  });
  assertCode(
    () => bench.process.inbound.require(bench, 1, KV, 3),
    "handoff_refused",
  );
  await assertRefused(() => bench.offer(), "handoff_refused");
  bench.process.setEnabled("both", true);
  await bench.offer();
  for (const wrong of [-1, 1.5, 1_025, NaN]) {
    assertCode(() => bench.process.setConcurrency(wrong), "invalid_argument");
  }
  bench.close();
});

Deno.test("HandoffProcess repairs a partition by asking its neighbours until all have sent their shares", async () => {
  const bench = new Bench();
  bench.own({ 1: "b", 2: "b", 4: "b", 5: "c" });
  const [status] = await bench.process.repair(3, "kv");
  assertEquals([status?.state, status?.pending], [
    "running",
    ["b/1", "b/2", "b/4", "c/5"],
  ]);
  assertEquals(await bench.look(), [
    'call b handoff_repair ["kv",1,3,[1]]',
    'call b handoff_repair ["kv",2,3,[1,2]]',
    'call b handoff_repair ["kv",4,3,[2,3]]',
  ]);
  // A node that is down is asked once it is up.
  bench.up = ["a", "b", "c"];
  assertEquals(await bench.look(), ['call c handoff_repair ["kv",5,3,[3]]']);
  await bench.runtime.advance(REPAIR_ASK_MS);
  assertEquals(bench.done.splice(0).length, 4);
  for (const [i, source] of [1, 2, 4, 5].entries()) {
    assertEquals(bench.told, []);
    await bench.offer({
      transfer: i + 1,
      kind: "repair",
      sourcePartition: source,
    });
    bench.process.inbound.completed(bench, i + 1, "b", 7);
    // Unknown transfers do not count.
    bench.process.inbound.completed(bench, i + 1, "b", 7);
  }
  assertEquals(bench.told, ["repaired kv/3"]);
  assertEquals(bench.process.repairs()[0]?.items, 28);
  // Another repair of the same partition asks all of them at once.
  await bench.process.repair(3, "kv");
  assertEquals((await bench.look()).length, 4);
  bench.close();
});

Deno.test("HandoffProcess reports what it has copied for a resize, and not for another claimant's", async () => {
  const bench = new Bench(8);
  bench.writtenNothing = true;
  const { ring } = bench;
  const begun = (to: string): Ring =>
    beginResize(ring, "a", new Array<string>(16).fill(to));
  bench.ring = begun("b");
  const all = [0, 1, 2, 3, 4, 5, 6, 7];
  const reports = (done: readonly string[]): string[] =>
    done.filter((text) => text.startsWith("report"));
  assertEquals(
    new Set(reports(await bench.look())),
    new Set(all.map((partition) => `report ${partition}`)),
  );
  // It was begun in the same term and version. Nothing is copied for it yet.
  all.forEach((partition) => bench.silent.add(partition));
  bench.ring = begun("a");
  assertEquals(reports(await bench.look()), []);
  assertEquals(reports(await bench.look()), []);
  bench.close();
});

Deno.test("HandoffProcess repairs in a resized ring, and abandons only repairs of the previous one", async () => {
  const bench = new Bench();
  bench.own({ 1: "b", 2: "b", 4: "b", 5: "b" });
  const resizedTo = (current: number): void => {
    const { ownership } = bench.ring;
    const generations = {
      ...ownership.generations,
      current,
      newest: current,
      sizes: new Array(current + 1).fill(8),
    };
    bench.ring = { ...bench.ring, ownership: { ...ownership, generations } };
  };
  resizedTo(2);
  // A node that finds its store gone starts a repair before it has checked
  // anything.
  await bench.process.repair(3, "kv");
  assertEquals((await bench.look()).length, 4);
  const repair = () => {
    const { state, reason } = bench.process.repairs()[0]!;
    return [state, reason];
  };
  assertEquals(repair(), ["running", null]);
  resizedTo(3);
  await bench.look();
  assertEquals(repair(), ["failed", "the ring has another size now"]);
  // A repair requested before the node has seen the resized ring is for that
  // ring.
  for (const size of ["with none", "with another under way"]) {
    resizedTo(size === "with none" ? 4 : 5);
    await bench.process.repair(3, "kv");
    assertEquals((await bench.look()).length, 4, size);
    assertEquals(repair(), ["running", null], size);
  }
  bench.close();
});

Deno.test("HandoffProcess abandons a repair when a neighbour's module cannot tell which keys belong to it", async () => {
  const bench = new Bench();
  bench.own({ 1: "b", 2: "b", 4: "b", 5: "b" });
  await bench.process.repair(3, "kv");
  await bench.look();
  bench.process.repairing.shareRefused(["kv", 1, 3, "no keySpaceOf()"]);
  // The others refuse too.
  bench.process.repairing.shareRefused(["kv", 2, 3, "no keySpaceOf()"]);
  assertEquals(bench.told, ["unrepairable kv/3: no keySpaceOf()"]);
  assertEquals(bench.process.repairs()[0]?.state, "failed");
  await bench.runtime.advance(REPAIR_ASK_MS);
  assertEquals(bench.done, []);
  assertCode(
    () => bench.process.repairing.shareRefused(["kv", 1]),
    "protocol_error",
  );
  bench.close();
});

Deno.test("HandoffProcess refuses to repair a partition of another node, or one that is moving", async () => {
  const bench = new Bench();
  bench.own({ 3: "b" }, { 4: "b" });
  const cases: [number, string | null, string][] = [
    [3, null, "wrong_owner"],
    [4, null, "ownership_change_in_progress"],
    [8, null, "invalid_argument"],
    [-1, null, "invalid_argument"],
    [1.5, null, "invalid_argument"],
    [5, "notes", "invalid_argument"],
  ];
  for (const [partition, module, code] of cases) {
    const error = await assertRejects(
      () => bench.process.repair(partition, module),
      WhorlError,
    );
    assertEquals(error.code, code);
  }
  // A repair ends when its partition moves away.
  await bench.process.repair(5, null);
  bench.own({ 5: "b" });
  await bench.look();
  assertEquals(bench.process.repairs()[0]?.state, "failed");
  bench.close();
});

Deno.test("HandoffProcess sends requested shares until nobody asks, and bounds the requests", async () => {
  const bench = new Bench();
  bench.up = ["a"];
  bench.own({ 3: "b" });
  await bench.look();
  bench.process.repairing.shareRequested("b", ["kv", 4, 3, [2, 3]]);
  await bench.runtime.settle();
  assertEquals(bench.sent, [["repair/kv/4/3/b", "waiting"]]);
  await bench.runtime.advance(60_000 + RECHECK_MS);
  assertEquals(bench.sent, []);
  for (
    const wrong of [null, ["kv", 4, 3], ["kv", 4, 3, []], ["kv", -1, 3, [1]]]
  ) {
    assertCode(
      () => bench.process.repairing.shareRequested("b", wrong),
      "protocol_error",
    );
  }
  for (let i = 0; i < REQUESTED_SHARES_MAX; i++) {
    bench.process.repairing.shareRequested("b", ["kv", 4, i, [2]]);
  }
  assertCode(
    () => bench.process.repairing.shareRequested("c", ["kv", 4, 0, [2]]),
    "overload",
  );
  bench.process.repairing.shareRequested("b", ["kv", 4, 0, [2]]);
  bench.close();
});

Deno.test("HandoffProcess starts nothing while its senders are being stopped", async () => {
  const bench = new Bench(1);
  bench.mute = true;
  bench.own({ 3: "b", 4: "b" });
  bench.hold(3, 4);
  assertEquals(await bench.look(), ["open 3"]);
  // The one that ends makes room for the next.
  bench.process.outbound.senders.stop("shutdown");
  await bench.runtime.settle();
  assertEquals(bench.done, ["abandon 3 (1)"]);
  assertEquals(bench.sent.map(([, state]) => state), ["waiting", "waiting"]);
  bench.close();
});

Deno.test("HandoffProcess reports a transfer that completes after close(), and leaves no timer behind", async () => {
  const bench = new Bench();
  bench.own({}, { 3: "b" });
  bench.hold(3);
  bench.onFinish = () => bench.process.close();
  assertEquals(await bench.look(), ["open 3", "finish 3", "report 3"]);
  assertEquals(bench.runtime.pendingTimers, 0);
});

Deno.test("HandoffProcess.close() leaves no timer behind, and nothing happens after it", async () => {
  const bench = new Bench();
  bench.empty = false;
  bench.connecting = () => Promise.reject(UNREACHABLE);
  bench.own({ 3: "b" });
  bench.hold(3);
  await bench.look();
  bench.close();
  await bench.runtime.settle();
  assert(bench.runtime.pendingTimers === 0);
  bench.hold(3, 4);
  assertEquals(await bench.look(), []);
});
