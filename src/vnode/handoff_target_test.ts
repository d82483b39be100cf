import { BackgroundPace } from "./background_pace.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import {
  appendEntry,
  beginBatch,
  HandoffEntry,
  nextHash,
  readBatch,
  sealBatch,
} from "./handoff_codec.ts";
import { HANDOFF_SLICE_MS } from "./handoff_source.ts";
import { HANDOFF_SESSIONS_MAX, HandoffTarget } from "./handoff_target.ts";
import type { Vnode } from "./vnode.ts";

const decoder = new TextDecoder();

/** A batch of texts; those that begin with `!` are commands. */
function batch(number: number, ...texts: string[]): Uint8Array {
  const into = new ByteWriter();
  beginBatch(into);
  for (const text of texts) {
    const isCommand = text.startsWith("!");
    appendEntry(
      into,
      isCommand ? HandoffEntry.command : HandoffEntry.item,
      isCommand ? 7 : 0,
      new TextEncoder().encode(text),
    );
  }
  sealBatch(into, number, texts.length);
  return into.copy();
}

/** A target and what it took, in order. */
class Bench {
  readonly taken: string[] = [];
  readonly forwarded: string[] = [];
  turns = 0;
  nowMs = 0;
  handle: (text: string) => Promise<void> | void = () => {};
  run: (text: string) => Promise<void> = () => Promise.resolve();
  mayTake: () => Promise<void> | undefined = () => undefined;
  readonly vnode: Partial<Vnode> = { itemAt: () => undefined };
  readonly target = new HandoffTarget({
    pace: new BackgroundPace(2, 20),
    vnode: this.vnode as Vnode,
    takeItem: (bytes: Uint8Array) => {
      const text = decoder.decode(bytes);
      this.taken.push(text);
      return this.handle(text);
    },
    now: () => this.nowMs,
    turn: () => {
      this.turns++;
      return Promise.resolve();
    },
    run: async (command, body) => {
      assertEquals(command, 7);
      const text = decoder.decode(body);
      this.taken.push(text);
      await this.run(text);
    },
    itemTaken: (content) => this.forwarded.push(decoder.decode(content)),
    failed: () => {},
    mayTake: () => this.mayTake(),
  });

  take(number: number, ...texts: string[]): Promise<number> {
    return this.takeBytes(batch(number, ...texts));
  }

  takeBytes(bytes: Uint8Array, transfer = 1): Promise<number> {
    return this.target.take(transfer, new ByteReader(bytes));
  }
}

/** Lets everything be done that needs no time. */
function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

async function assertCode(asked: Promise<unknown>, code: string) {
  const error = await assertRejects(() => asked, WhorlError);
  assertEquals(error.code, code);
}

Deno.test("HandoffTarget accepts batches in order and acknowledges each with its number", async () => {
  const bench = new Bench();
  assertEquals(await bench.target.offered(1), 0);
  assertEquals(await bench.take(1, "a", "b"), 1);
  assertEquals(await bench.take(2, "c"), 2);
  assertEquals(bench.taken, ["a", "b", "c"]);
  assertEquals(bench.forwarded, ["a", "b", "c"]);
  assertEquals(await bench.target.offered(1), 2);
});

Deno.test("HandoffTarget applies a batch once if it arrives twice", async () => {
  const bench = new Bench();
  await bench.take(1, "a");
  await bench.take(2, "b");
  assertEquals(await bench.take(1, "a"), 1);
  assertEquals(await bench.take(2, "b"), 2);
  assertEquals(bench.taken, ["a", "b"]);
});

Deno.test("HandoffTarget refuses a batch if the one before it is missing, and continues with the missing one", async () => {
  const bench = new Bench();
  await bench.take(1, "a");
  await assertCode(bench.take(3, "c"), "handoff_mismatch");
  assertEquals(await bench.take(2, "b"), 2);
  assertEquals(await bench.take(3, "c"), 3);
  assertEquals(bench.taken, ["a", "b", "c"]);
});

Deno.test("HandoffTarget refuses a damaged batch and applies none of it", async () => {
  const bench = new Bench();
  const damaged = batch(1, "a", "b");
  damaged[damaged.length - 1]! ^= 1;
  await assertCode(bench.takeBytes(damaged), "protocol_error");
  assertEquals(bench.taken, []);
  assertEquals(await bench.take(1, "a"), 1);
});

Deno.test("HandoffTarget acknowledges a batch when all promises for its items are kept, and takes the next one after that", async () => {
  const bench = new Bench();
  const gates = new Map<string, PromiseWithResolvers<void>>();
  bench.handle = (text) => {
    const gate = Promise.withResolvers<void>();
    gates.set(text, gate);
    return gate.promise;
  };
  const acknowledged: number[] = [];
  const taking = [bench.take(1, "a", "b"), bench.take(2, "c")];
  for (const each of taking) each.then((number) => acknowledged.push(number));
  await settle();
  // Items of one batch need not wait for each other.
  assertEquals(bench.taken, ["a", "b"]);
  gates.get("b")!.resolve();
  await settle();
  assertEquals(acknowledged, []);
  // Whoever resumes the transfer hears of what is under way.
  const offered = bench.target.offered(1);
  gates.get("a")!.resolve();
  await settle();
  assertEquals([acknowledged, bench.taken], [[1], ["a", "b", "c"]]);
  gates.get("c")!.resolve();
  assertEquals(await offered, 2);
  assertEquals(acknowledged, [1, 2]);
});

Deno.test("HandoffTarget fails a batch with the module's error, thrown or rejected later, and accepts it again", async () => {
  for (const late of [false, true]) {
    const bench = new Bench();
    let fails = true;
    bench.handle = (text) => {
      if (text !== "b" || !fails) return;
      if (!late) throw new Error("disk full");
      return Promise.reject(new Error("disk full"));
    };
    const first = bench.take(1, "a", "b", "c");
    const second = bench.take(2, "d");
    await assertRejects(() => first, Error, "disk full");
    // What was on its way behind it is not taken for it.
    await assertCode(second, "handoff_mismatch");
    assertEquals(await bench.target.offered(1), 0);
    fails = false;
    assertEquals(await bench.take(1, "a", "b", "c"), 1);
    assertEquals(bench.taken.slice(-3), ["a", "b", "c"]);
  }
});

Deno.test("HandoffTarget runs a command after the items before it and before the entries after it", async () => {
  const bench = new Bench();
  const gates = new Map<string, PromiseWithResolvers<void>>();
  const gated = (text: string): Promise<void> => {
    const gate = Promise.withResolvers<void>();
    gates.set(text, gate);
    return gate.promise;
  };
  bench.handle = gated;
  bench.run = gated;
  const taken = bench.take(1, "a", "!b", "!c", "d");
  for (const text of ["a", "!b", "!c", "d"]) {
    await settle();
    assertEquals(bench.taken.at(-1), text);
    gates.get(text)!.resolve();
  }
  assertEquals(await taken, 1);
});

Deno.test("HandoffTarget yields to other work every HANDOFF_SLICE_MS, among commands too", async () => {
  const bench = new Bench();
  const texts = Array.from({ length: 3 * HANDOFF_SLICE_MS }, (_, i) => `${i}`);
  bench.handle = () => void bench.nowMs++;
  bench.run = () => Promise.resolve(void bench.nowMs++);
  await bench.take(1, ...texts);
  assertEquals(bench.turns, 3);
  await bench.take(2, ...texts.map((text) => `!${text}`));
  assertEquals(bench.turns, 6);
});

Deno.test("HandoffTarget.complete() compares what was sent with what has arrived, and forgets the transfer", async () => {
  const bench = new Bench();
  const batches = [batch(1, "a", "b"), batch(2, "c")];
  const hash = batches.map((bytes) => readBatch(new ByteReader(bytes)).checksum)
    .reduce(nextHash, 0);
  const takeBoth = async (): Promise<void> => {
    for (const bytes of batches) await bench.takeBytes(bytes);
  };
  await takeBoth();
  await bench.target.complete(1, 3, hash);
  assertEquals(await bench.target.offered(1), 0);
  for (const [items, claimed] of [[2, hash], [3, hash ^ 1], [4, hash]]) {
    await takeBoth();
    await assertCode(
      bench.target.complete(1, items!, claimed!),
      "handoff_mismatch",
    );
    assertEquals(await bench.target.offered(1), 0);
  }
  // Of nothing there is nothing to compare.
  await bench.target.complete(9, 0, 0);
});

Deno.test("HandoffTarget.complete() waits for batches that are being applied", async () => {
  const bench = new Bench();
  const gate = Promise.withResolvers<void>();
  bench.handle = () => gate.promise;
  const bytes = batch(1, "a");
  const { checksum } = readBatch(new ByteReader(bytes));
  const taken = bench.takeBytes(bytes);
  const completed = bench.target.complete(1, 1, nextHash(0, checksum));
  gate.resolve();
  assertEquals(await taken, 1);
  await completed;
});

Deno.test("HandoffTarget keeps HANDOFF_SESSIONS_MAX transfers and drops the one that was silent longest", async () => {
  const bench = new Bench();
  for (let transfer = 1; transfer <= HANDOFF_SESSIONS_MAX; transfer++) {
    await bench.takeBytes(batch(1, "a"), transfer);
  }
  assertEquals(await bench.target.offered(1), 1);
  await bench.takeBytes(batch(1, "a"), HANDOFF_SESSIONS_MAX + 1);
  assertEquals(await bench.target.offered(1), 1);
  assertEquals(await bench.target.offered(2), 0);
});

Deno.test("HandoffTarget.idle() waits for every batch under way, and begun counts their entries", async () => {
  const bench = new Bench();
  const gate = Promise.withResolvers<void>();
  bench.handle = () => gate.promise;
  await bench.target.idle();
  const taking = [
    bench.takeBytes(batch(1, "a", "b"), 1),
    bench.takeBytes(batch(1, "c"), 2),
  ];
  await settle();
  assertEquals(bench.target.begun, 3);
  let idle = false;
  const waited = bench.target.idle().then(() => idle = true);
  await settle();
  assertEquals(idle, false);
  gate.resolve();
  await Promise.all([...taking, waited]);
});

Deno.test("HandoffTarget ends a failed batch once none of its entries is in progress", async () => {
  const bench = new Bench();
  const gate = Promise.withResolvers<void>();
  bench.handle = (text) => {
    if (text === "b") throw new Error("disk full");
    return gate.promise;
  };
  const taken = bench.take(1, "a", "b");
  let ended = false;
  taken.catch(() => ended = true);
  await settle();
  assertEquals(ended, false);
  gate.resolve();
  await assertRejects(() => taken, Error, "disk full");
});

Deno.test("HandoffTarget applies nothing until it is permitted, and fails with the reason if it is refused", async () => {
  const bench = new Bench();
  const gates = [1, 2].map(() => Promise.withResolvers<void>());
  const waits = gates.map(({ promise }) => promise);
  bench.mayTake = () => waits.shift();
  const taken = bench.take(1, "a");
  // It asks again, as it may be refused anew by the time it goes on.
  for (const gate of gates) {
    await settle();
    assertEquals([bench.taken, bench.target.begun], [[], 0]);
    gate.resolve();
  }
  assertEquals(await taken, 1);
  bench.mayTake = () => {
    throw new WhorlError("vnode_crashed", "gone");
  };
  await assertCode(bench.take(2, "b"), "vnode_crashed");
  assertEquals(bench.taken, ["a"]);
});

Deno.test("HandoffTarget.offered() waits for batches of other transfers if a later item overwrites", async () => {
  for (const merges of [true, false]) {
    const bench = new Bench();
    if (!merges) bench.vnode.itemAt = undefined as never;
    const gate = Promise.withResolvers<void>();
    bench.handle = () => gate.promise;
    const old = bench.take(1, "old");
    await settle();
    let offered = false;
    const asked = bench.target.offered(2).then(() => offered = true);
    await settle();
    assertEquals(offered, merges);
    gate.resolve();
    await Promise.all([old, asked]);
    assert(offered);
  }
});
