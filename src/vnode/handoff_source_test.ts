import { BackgroundPace } from "./background_pace.ts";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { ManualRuntime } from "../../supervisors/manual_runtime.ts";
import { ByteReader } from "../base/byte_reader.ts";
import { WhorlError } from "../base/errors.ts";
import { invariant } from "../base/invariant.ts";
import { openMemoryStore } from "../storage/memory_store.ts";
import { FollowedWrites } from "./followed_writes.ts";
import {
  HandoffEntry,
  HandoffMode,
  type HandoffOpening,
  HandoffProgress,
  nextHash,
  readBatch,
  readBatchHead,
  TOTAL_UNKNOWN,
} from "./handoff_codec.ts";
import {
  BATCH_BYTES_MAX,
  BATCH_ENTRIES_MAX,
  COUNT_AFTER_MS,
  FOLLOW_MS,
  FORWARDED_COMMANDS_MAX,
  HANDOFF_GATHER_MS,
  HANDOFF_KEEP_ALIVE_MS,
  HANDOFF_SLICE_MS,
  HandoffSource,
  REST_MS_MIN,
  ROUND_KEYS_MAX,
  SWITCH_KEYS_MAX,
  WRITTEN_KEYS_MAX,
} from "./handoff_source.ts";
import { readSpreadGroups } from "./handoff_spread.ts";
import type { HandoffItem, Vnode } from "./vnode.ts";
import { WatchedPartition } from "./watched_partition.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const { more, nearlyAll, waiting } = HandoffProgress;

/** What a source said. */
interface Said {
  readonly progress: number;
  readonly number: number;
  readonly items: number;
  readonly hash: number;
  readonly total: number;
  /** Items as they are, commands with a `!` before them. */
  readonly texts: string[];
  readonly batch: Uint8Array;
}

function batchTexts(batch: Uint8Array): string[] {
  return readBatch(new ByteReader(batch)).entries.map(({ kind, content }) =>
    (kind === HandoffEntry.command ? "!" : "") + decoder.decode(content)
  );
}

/** Items of a spread as `1025: key=text`, sorted. */
function spreadTexts(batch: Uint8Array): string[] {
  const from = new ByteReader(batch);
  const [, , entries] = [from.u53(), from.u32(), from.u32()];
  if (entries === 0) return [];
  return readSpreadGroups(from).flatMap(({ vnode, batch }) =>
    batchTexts(batch).map((text) => `${vnode}: ${text}`)
  ).sort();
}

/** A source over texts by key, and all it says. */
class Bench {
  readonly runtime = new ManualRuntime();
  readonly texts = new Map<string, string>();
  readonly store = openMemoryStore("0123456789abcdef");
  readonly storage = new WatchedPartition(this.store.partition(3));
  readonly said: (Said | WhorlError)[] = [];
  readonly followed = new FollowedWrites();
  readonly crashes: unknown[] = [];
  /** Forwarded commands that were done, in order. */
  readonly done: string[] = [];
  overruns = 0;
  spreads = false;
  quiet = true;
  /** How often it was held. */
  held = 0;
  source!: HandoffSource;
  whileQuiet = async (what: () => Promise<void>): Promise<boolean> => {
    if (!this.quiet) return false;
    this.held++;
    await what();
    return true;
  };

  constructor(keys: readonly string[] = []) {
    for (const key of keys) this.texts.set(key, "0");
  }

  item(key: string): HandoffItem | undefined {
    const text = this.texts.get(key);
    return text === undefined
      ? undefined
      : { sortKey: encoder.encode(key), item: `${key}=${text}` };
  }

  begin(
    extra: Partial<Vnode> = {},
    opening: Partial<HandoffOpening> = {},
    pace: BackgroundPace = new BackgroundPace(2, 20),
  ): this {
    const { texts } = this;
    const vnode: Vnode = {
      handleCommand: {},
      fold: () => [...texts.keys()].map((key) => this.item(key)!),
      itemAt: (key) => this.item(decoder.decode(key)),
      encodeHandoffItem: ({ item }) => encoder.encode(item as string),
      handleHandoffData: () => {},
      isEmpty: () => texts.size === 0,
      delete: () => texts.clear(),
      ...extra,
    };
    this.source = new HandoffSource({
      pace,
      partition: 0,
      ringSize: 8,
      vnode,
      storage: this.storage,
      followed: this.followed,
      now: () => this.runtime.now(),
      later: (afterMs, callback) =>
        void this.runtime.setTimer(afterMs, callback),
      crash: (error) => this.crashes.push(error),
      whileQuiet: (what) => this.whileQuiet(what),
      overrun: () => this.overruns++,
    }, {
      transfer: 1,
      mode: HandoffMode.move,
      target: { node: "b@host", partition: 3 },
      keySpaces: null,
      ...opening,
    });
    return this;
  }

  /** Begins to spread over a ring of 16, where a key has twice the key space it has in one of 8: its first letter. */
  spread(): this {
    this.spreads = true;
    return this.begin({
      keySpaceOf: ({ sortKey }, ringSize) =>
        ((sortKey[0] ?? 0) - 48) * ringSize / 8,
    }, {
      mode: HandoffMode.spread,
      spread: { ringSize: 16, firstVnode: 1_024 },
    });
  }

  write(key: string, text: string): void {
    this.texts.set(key, text);
    this.storage.write([{
      key: encoder.encode(key),
      value: encoder.encode(text),
    }], () => {});
  }

  forward(text: string): void {
    this.source.forward(
      HandoffEntry.command,
      7,
      encoder.encode(text),
      () => this.done.push(text),
    );
  }

  /** Asks, without waiting for what it says. */
  ask(acked = 0, repeat = false): void {
    this.source.next(acked, repeat, (bytes) => {
      const { at, entries: _, ...head } = readBatchHead(new ByteReader(bytes));
      const batch = bytes.slice(at);
      this.said.push({
        ...head,
        batch,
        texts: this.spreads ? spreadTexts(batch) : batchTexts(batch),
      });
    }, (error) => this.said.push(error));
  }

  /** Asks, and what is said without time. */
  async next(acked = 0, repeat = false): Promise<Said> {
    const before = this.said.length;
    this.ask(acked, repeat);
    await this.runtime.settle();
    assertEquals(this.said.length, before + 1, "it says something, once");
    const said = this.said[before];
    invariant(said !== undefined && "texts" in said, "it says a batch");
    return said;
  }
}

/** Keys that sort as they count. */
function keys(count: number): string[] {
  return Array.from({ length: count }, (_, i) => String(i).padStart(6, "0"));
}

Deno.test("HandoffSource returns all items in batches of BATCH_ENTRIES_MAX, numbered from 1, with counts and hash of all so far", async () => {
  const bench = new Bench(keys(BATCH_ENTRIES_MAX + 2)).begin();
  const first = await bench.next();
  const second = await bench.next(1);
  assertEquals([first.number, first.items, first.texts.length], [
    1,
    BATCH_ENTRIES_MAX,
    BATCH_ENTRIES_MAX,
  ]);
  assertEquals([second.number, second.items], [2, BATCH_ENTRIES_MAX + 2]);
  assertEquals(second.texts, ["000500=0", "000501=0"]);
  const checksums = [first, second].map(({ batch }) =>
    readBatch(new ByteReader(batch)).checksum
  );
  assertEquals(second.hash, checksums.reduce(nextHash, 0));
  assertEquals([first.progress, second.progress], [more, nearlyAll]);
  assert(bench.source.exhausted);
  const nothing = await bench.next(2);
  assertEquals([nothing.number, nothing.items, nothing.texts.length], [
    2,
    BATCH_ENTRIES_MAX + 2,
    0,
  ]);
  assertEquals(nothing.hash, second.hash);
});

Deno.test("HandoffSource reports at once that an empty vnode has no items", async () => {
  const bench = new Bench().begin();
  const said = await bench.next();
  assertEquals([said.progress, said.number, said.items, said.hash], [
    nearlyAll,
    0,
    0,
    0,
  ]);
  assert(bench.source.exhausted);
});

Deno.test("HandoffSource keeps batches within BATCH_BYTES_MAX, unless a single item is larger", async () => {
  const bench = new Bench();
  const half = "x".repeat(BATCH_BYTES_MAX / 2);
  bench.texts.set("a", half).set("b", half).set("c", half + half + half)
    .set("d", "small");
  bench.begin();
  const batches: string[][] = [];
  for (let acked = 0; batches.flat().length < 4; acked++) {
    const { texts, progress } = await bench.next(acked);
    batches.push(texts.map((text) => text[0]!));
    assertEquals(progress, batches.flat().length < 4 ? more : nearlyAll);
  }
  assertEquals(batches, [["a"], ["b"], ["c"], ["d"]]);
});

Deno.test("HandoffSource ends a batch after HANDOFF_GATHER_MS", async () => {
  const bench = new Bench(keys(2 * HANDOFF_GATHER_MS));
  // Each item takes a millisecond to be read.
  async function* slow() {
    for (const key of bench.texts.keys()) {
      const { promise, resolve } = Promise.withResolvers<void>();
      bench.runtime.setTimer(1, resolve);
      await promise;
      yield bench.item(key)!;
    }
  }
  bench.begin({ fold: slow });
  bench.ask();
  for (let i = 0; i < 2 * HANDOFF_GATHER_MS; i++) {
    await bench.runtime.advance(1);
  }
  const [said] = bench.said as Said[];
  assertEquals(said?.texts.length, HANDOFF_GATHER_MS);
});

Deno.test("HandoffSource continues a batch after it yielded to other work, and ends the batch with its slice while commands come", async () => {
  const pace = new BackgroundPace(2, 20);
  let read = 0;
  const bench = new Bench(keys(10));
  const begin = () =>
    bench.begin(
      {
        *fold() {
          for (const key of bench.texts.keys()) {
            // Time goes by, as far as the source can see.
            bench.runtime.now = () => read;
            read++;
            yield bench.item(key)!;
          }
        },
      },
      {},
      pace,
    );
  begin().ask();
  await bench.runtime.settle();
  assertEquals([read, bench.said.length], [HANDOFF_SLICE_MS, 0]);
  for (let i = 0; i < 10; i++) await bench.runtime.advance(0);
  pace.noteCommand();
  begin().ask();
  await bench.runtime.settle();
  assertEquals(
    (bench.said as Said[]).map(({ texts }) => texts.length),
    [10, HANDOFF_SLICE_MS],
  );
});

Deno.test("HandoffSource lets a module reuse the memory of an item's bytes for the next item", async () => {
  const bytes = new Uint8Array(BATCH_BYTES_MAX * 0.6);
  const bench = new Bench(["a", "b"]).begin({
    encodeHandoffItem: ({ sortKey }) => bytes.fill(sortKey[0]!),
  });
  const first = [
    (await bench.next()).texts[0]!,
    (await bench.next()).texts[0]!,
  ];
  assertEquals(first.map((text) => [text[0], text.length]), [
    ["a", bytes.length],
    ["b", bytes.length],
  ]);
});

Deno.test("HandoffSource yields to other work when no item of a slice is wanted", async () => {
  const bench = new Bench(keys(10));
  let encoded = 0;
  bench.begin({
    *fold() {
      for (const key of bench.texts.keys()) yield bench.item(key)!;
    },
    encodeHandoffItem: () => {
      encoded++;
      // Time goes by, as far as the source can see.
      bench.runtime.now = () => encoded;
      return null;
    },
  });
  bench.ask();
  await bench.runtime.settle();
  assertEquals([encoded, bench.said.length], [HANDOFF_SLICE_MS, 0]);
  for (let i = 0; i < 10; i++) await bench.runtime.advance(0);
  assertEquals(encoded, 10);
  assertEquals((bench.said as Said[]).map(({ texts }) => texts), [[]]);
});

Deno.test("HandoffSource answers every HANDOFF_KEEP_ALIVE_MS that no batch is ready, and returns what it gathered by then in the next batch, once", async () => {
  const bench = new Bench(["a"]);
  const gate = Promise.withResolvers<void>();
  async function* slow() {
    await gate.promise;
    yield bench.item("a")!;
  }
  bench.begin({ fold: slow });
  bench.ask();
  await bench.runtime.advance(HANDOFF_KEEP_ALIVE_MS - 1);
  assertEquals(bench.said, []);
  await bench.runtime.advance(1);
  const [empty] = bench.said as Said[];
  assertEquals([empty?.progress, empty?.number, empty?.texts], [
    waiting,
    0,
    [],
  ]);
  // Nobody asks when it comes.
  gate.resolve();
  await bench.runtime.settle();
  assertEquals(bench.said.length, 1);
  assertEquals((await bench.next()).texts, ["a=0"]);
  const last = await bench.next(1);
  assertEquals([last.number, last.texts, last.progress], [1, [], nearlyAll]);
});

Deno.test("HandoffSource.next() answers an earlier open call with nothing, and the new call with the batch", async () => {
  const bench = new Bench(["a"]);
  const gate = Promise.withResolvers<void>();
  async function* slow() {
    await gate.promise;
    yield bench.item("a")!;
  }
  bench.begin({ fold: slow });
  bench.ask();
  bench.ask();
  gate.resolve();
  await bench.runtime.settle();
  assertEquals((bench.said as Said[]).map(({ texts }) => texts), [[], ["a=0"]]);
});

Deno.test("HandoffSource repeats unchanged and in order the batches that a target lacks after the connection broke", async () => {
  const bench = new Bench(keys(4 * BATCH_ENTRIES_MAX)).begin();
  const first = [
    await bench.next(),
    await bench.next(),
    await bench.next(),
  ];
  // The target has the first.
  const again = [await bench.next(1, true), await bench.next(1)];
  assertEquals(
    again.map(({ batch }) => batch),
    first.slice(1).map(({ batch }) => batch),
  );
  assertEquals(again.map(({ items, hash }) => [items, hash]), [
    [first[1]!.items, first[1]!.hash],
    [first[2]!.items, first[2]!.hash],
  ]);
  assertEquals((await bench.next(1)).number, 4);
});

Deno.test("HandoffSource returns a batch that was being gathered when the connection broke after the repeated ones", async () => {
  const bench = new Bench(keys(2));
  const gates = [0, 1].map(() => Promise.withResolvers<void>());
  async function* slow() {
    for (const [i, key] of [...bench.texts.keys()].entries()) {
      await gates[i]!.promise;
      // So long that the batch ends with it.
      bench.runtime.now = () => HANDOFF_GATHER_MS * (i + 1);
      yield bench.item(key)!;
    }
  }
  bench.begin({ fold: slow });
  gates[0]!.resolve();
  await bench.runtime.settle();
  const first = bench.next();
  // The second item is waited for, while another asks for all that the target lacks.
  assertEquals((await first).number, 1);
  bench.ask();
  await bench.runtime.settle();
  bench.ask(0, true);
  gates[1]!.resolve();
  await bench.runtime.settle();
  const numbers = () =>
    (bench.said as Said[]).map(({ number, texts }) => [
      number,
      texts.length,
    ]);
  assertEquals(numbers(), [[1, 1], [1, 0], [1, 1]]);
  await bench.next();
  assertEquals(numbers().at(-1), [2, 1]);
});

Deno.test("HandoffSource reports with repeated batches how much is left now", async () => {
  const bench = new Bench(["a"]).begin();
  assertEquals((await bench.next()).progress, nearlyAll);
  for (const key of keys(SWITCH_KEYS_MAX + 1)) bench.write(key, "1");
  assertEquals((await bench.next(0, true)).progress, more);
});

Deno.test("HandoffSource sends an item written during the visit once, in its latest state", async () => {
  const bench = new Bench(keys(BATCH_ENTRIES_MAX + 1)).begin();
  await bench.next();
  bench.write("000000", "1");
  bench.write("000000", "2");
  bench.write("new", "1");
  const second = await bench.next();
  assertEquals(second.texts, ["000500=0"]);
  // So few are left for when it stands still.
  assertEquals([second.progress, bench.source.exhausted], [nearlyAll, false]);
  bench.source.standsStill();
  const rest = await bench.next();
  assertEquals(rest.texts.sort(), ["000000=2", "new=1"]);
  assert(bench.source.exhausted);
  assertEquals(rest.progress, nearlyAll);
});

Deno.test("HandoffSource sends more than SWITCH_KEYS_MAX written keys in rounds before it reports that little is left", async () => {
  const bench = new Bench(["a"]).begin();
  await bench.next();
  for (const key of keys(SWITCH_KEYS_MAX + 1)) bench.write(key, "1");
  const round = await bench.next();
  assertEquals([round.texts.length, round.progress], [
    SWITCH_KEYS_MAX + 1,
    nearlyAll,
  ]);
  for (const key of keys(SWITCH_KEYS_MAX)) bench.write(key, "2");
  const none = await bench.next();
  assertEquals([none.texts.length, none.progress], [0, nearlyAll]);
});

Deno.test("HandoffSource asks to switch after eight rounds, however much is written, and counts rounds anew if it continues", async () => {
  const bench = new Bench(["a"]).begin();
  await bench.next();
  const rounds = async (): Promise<number> => {
    for (let round = 1;; round++) {
      invariant(round < 100, "it comes to an end");
      for (const key of keys(SWITCH_KEYS_MAX + 1)) bench.write(key, `${round}`);
      const { texts } = await bench.next(bench.said.length);
      if (texts.length === 0) return round - 1;
    }
  };
  assertEquals(await rounds(), 8);
  assertEquals((bench.said.at(-1) as Said).progress, nearlyAll);
  bench.source.standsStill();
  assertEquals(
    (await bench.next(bench.said.length)).texts.length,
    SWITCH_KEYS_MAX + 1,
  );
  bench.source.goesOn();
  assertEquals(await rounds(), 8);
});

Deno.test("HandoffSource sends written keys in between when they pile up behind a long visit", async () => {
  const bench = new Bench(keys(1_200)).begin();
  await bench.next();
  for (const key of keys(ROUND_KEYS_MAX)) bench.write(`w${key}`, "1");
  const { texts } = await bench.next(1);
  assertEquals(texts.length, BATCH_ENTRIES_MAX);
  assert(texts.every((text) => text.startsWith("w")));
  let last: Said | undefined;
  for (let acked = 2; last?.progress !== nearlyAll; acked++) {
    last = await bench.next(acked);
  }
  assertEquals(last.texts.at(-1), "001199=0");
});

Deno.test("HandoffSource reports an overrun when more than WRITTEN_KEYS_MAX written keys wait to be sent", () => {
  const bench = new Bench(["a"]).begin();
  const all = keys(WRITTEN_KEYS_MAX + 1);
  for (const key of all.slice(1)) bench.write(key, "1");
  assertEquals(bench.overruns, 0);
  bench.write(all[0]!, "1");
  assertEquals(bench.overruns, 1);
  bench.source.end();
  // Nobody looks any more.
  bench.write("z", "1");
  assertEquals(bench.overruns, 1);
});

Deno.test("HandoffSource leaves out removed and damaged items", async () => {
  const bench = new Bench(["a", "bad", "c"]).begin({
    encodeHandoffItem: ({ item }) =>
      String(item).startsWith("bad") ? null : encoder.encode(item as string),
  });
  const { texts, items } = await bench.next();
  assertEquals([texts, items], [["a=0", "c=0"], 2]);
  bench.write("a", "1");
  bench.texts.delete("a");
  bench.source.standsStill();
  const rest = await bench.next(1);
  assertEquals([rest.texts, rest.number, rest.progress], [[], 1, nearlyAll]);
});

Deno.test("HandoffSource sends only the requested key spaces, and needs keySpaceOf for that", async () => {
  const part = {
    keySpaces: new Set([1, 3]),
    mode: HandoffMode.copy,
  };
  const bench = new Bench(["1a", "2a", "3a", "1b"]).begin({
    keySpaceOf: ({ sortKey }) => sortKey[0]! - 48,
  }, part);
  assertEquals((await bench.next()).texts, ["1a=0", "3a=0", "1b=0"]);
  // A copy is of what was there: what is written goes to the target by itself.
  bench.write("1c", "1");
  assert(bench.source.exhausted);
  const error = assertThrows(() => bench.begin({}, part), WhorlError);
  assertEquals(error.code, "not_capable");
});

Deno.test("HandoffSource fails open calls and ends the vnode when the module throws", async () => {
  for (
    const extra of [
      {
        *fold() {
          yield* [];
          throw new Error("no such table");
        },
      },
      {
        encodeHandoffItem: () => {
          throw new Error("no such table");
        },
      },
    ] as Partial<Vnode>[]
  ) {
    const bench = new Bench(["a"]).begin(extra);
    bench.ask();
    await bench.runtime.settle();
    const [error] = bench.said;
    invariant(error instanceof WhorlError, "it fails");
    assertEquals([error.code, bench.crashes.length], ["vnode_error", 1]);
  }
});

Deno.test("HandoffSource does not watch writes when fold() throws", () => {
  const bench = new Bench(["a"]);
  assertThrows(() =>
    bench.begin({
      fold: () => {
        throw new Error("no such table");
      },
    })
  );
  assertEquals(bench.storage.watch, undefined);
});

Deno.test("HandoffSource counts items after COUNT_AFTER_MS, and reports the total from then on", async () => {
  const bench = new Bench(keys(3 * BATCH_ENTRIES_MAX));
  for (const key of keys(7)) bench.write(key, "0");
  bench.begin();
  await bench.runtime.advance(COUNT_AFTER_MS - 1);
  await bench.next();
  assertEquals((await bench.next()).total, TOTAL_UNKNOWN);
  await bench.runtime.advance(1);
  assertEquals((await bench.next()).total, TOTAL_UNKNOWN);
  assertEquals((await bench.next()).total, 7);
});

// Where commands follow.

Deno.test("HandoffSource sends commands among the items in the order in which they were applied, and completes them when the target has them", async () => {
  const bench = new Bench(keys(BATCH_ENTRIES_MAX + 1));
  bench.begin({ itemAt: undefined as never });
  assert(bench.source.sendsCommands);
  await bench.next();
  bench.forward("a");
  bench.forward("b");
  const { texts, number, progress } = await bench.next();
  assertEquals([texts, number, progress], [["!a", "!b"], 2, more]);
  assertEquals((await bench.next()).texts, ["000500=0"]);
  bench.source.acknowledged(1);
  assertEquals(bench.done, []);
  bench.source.acknowledged(2);
  assertEquals(bench.done, ["a", "b"]);
});

Deno.test("HandoffSource sends a command at once to a waiting call, and reads items only while no handler is running", async () => {
  const bench = new Bench(["a", "b"]);
  bench.begin({ itemAt: undefined as never });
  bench.quiet = false;
  bench.ask();
  await bench.runtime.settle();
  assertEquals(bench.said, []);
  // A command is no item, and its caller waits.
  bench.forward("x");
  await bench.runtime.settle();
  assertEquals((bench.said as Said[]).map(({ texts }) => texts), [["!x"]]);
  bench.quiet = true;
  await bench.runtime.advance(REST_MS_MIN);
  assertEquals((await bench.next(1)).texts, ["a=0", "b=0"]);
  assertEquals(bench.held, 1);
  bench.forward("y");
  assertEquals((await bench.next(2)).texts, ["!y"]);
});

Deno.test("HandoffSource alternates between commands and items", async () => {
  const bench = new Bench(["a"]);
  bench.begin({ itemAt: undefined as never });
  bench.forward("x");
  assertEquals((await bench.next()).texts, ["!x"]);
  bench.forward("y");
  assertEquals((await bench.next()).texts, ["!y", "a=0"]);
});

Deno.test("HandoffSource checks less and less often for a moment without running handlers", async () => {
  const bench = new Bench(["a"]);
  let looked = 0;
  bench.begin({ itemAt: undefined as never });
  bench.quiet = false;
  const { whileQuiet } = bench;
  bench.whileQuiet = (what) => {
    looked++;
    return whileQuiet(what);
  };
  for (let second = 0; second < 60; second++) {
    bench.ask();
    await bench.runtime.advance(1_000);
  }
  // After 50 ms, 100 ms and so on, each time with the next request.
  assertEquals(looked, 13);
});

Deno.test("HandoffSource accepts FORWARDED_COMMANDS_MAX commands, and has room again when some were sent", async () => {
  const bench = new Bench().begin({ itemAt: undefined as never });
  for (let i = 0; i < FORWARDED_COMMANDS_MAX; i++) bench.forward("x");
  assert(bench.source.full);
  let room = false;
  bench.source.room().then(() => room = true);
  await bench.runtime.settle();
  assertEquals(room, false);
  await bench.next();
  assertEquals([room, bench.source.full], [true, false]);
});

Deno.test("HandoffSource.end() answers open calls, and commands that wait, are being gathered or were sent", async () => {
  const bench = new Bench(["a"]);
  const gate = Promise.withResolvers<void>();
  let returned = false;
  async function* slow() {
    try {
      await gate.promise;
      yield bench.item("a")!;
    } finally {
      returned = true;
    }
  }
  bench.begin({ fold: slow, itemAt: undefined as never });
  bench.quiet = false;
  bench.forward("said");
  await bench.next();
  bench.quiet = true;
  bench.forward("gathered");
  bench.ask();
  await bench.runtime.settle();
  bench.forward("waits");
  let room = false;
  bench.source.room().then(() => room = true);
  bench.source.end();
  bench.source.end();
  assertEquals(bench.done.sort(), ["gathered", "said", "waits"]);
  bench.forward("late");
  assertEquals(bench.done.at(-1), "late");
  gate.resolve();
  await bench.runtime.settle();
  assertEquals([room, returned, bench.crashes], [true, true, []]);
  assertEquals(
    (bench.said as Said[]).map(({ texts, progress }) => [texts, progress]),
    [[["!said"], more], [[], waiting]],
  );
});

Deno.test("HandoffSource.end() is not stopped by an iterator that fails to end", async () => {
  const bench = new Bench(["a", "b"]);
  bench.begin({
    *fold() {
      try {
        yield bench.item("a")!;
      } finally {
        // deno-lint-ignore no-unsafe-finally -- that is what is to be survived.
        throw new Error("cannot close");
      }
    },
  });
  bench.runtime.now = () => 0;
  const full = bench.next();
  bench.source.end();
  await full;
  assertEquals(bench.storage.watch, undefined);
});

Deno.test("HandoffSource spreads items to their partitions in the other ring, each as the same replica as here", async () => {
  // Of partition 0: its own keys, and those of the two before it.
  const bench = new Bench(["0x", "7x", "6x", "6y"]).spread();
  const first = await bench.next();
  assertEquals(
    first.texts,
    [
      "1024: 0x=0",
      "1038: 6x=0",
      "1038: 6y=0",
      "1039: 7x=0",
    ].map((text) => text.replace("1038: 6", "1038: 6")).sort(),
  );
  assertEquals([first.number, first.items, first.progress], [1, 4, nearlyAll]);
});

Deno.test("HandoffSource sends writes at once after all items were sent, and the rest when its vnode is paused", async () => {
  const bench = new Bench(["0x"]).spread();
  assertEquals((await bench.next()).progress, nearlyAll);
  bench.ask(1);
  await bench.runtime.settle();
  assertEquals(bench.said.length, 1, "it waits for writes");
  bench.write("0x", "1");
  bench.write("0y", "1");
  await bench.runtime.advance(FOLLOW_MS);
  const followed = bench.said[1] as Said;
  assertEquals(followed.texts, ["1024: 0x=1", "1024: 0y=1"]);
  assertEquals(followed.progress, nearlyAll);
  // Nothing is written for a while.
  bench.ask(2);
  await bench.runtime.advance(HANDOFF_KEEP_ALIVE_MS);
  assertEquals((bench.said[2] as Said).progress, waiting);
  bench.write("0x", "2");
  bench.source.standsStill();
  assertEquals(bench.source.exhausted, false);
  assertEquals((await bench.next(2)).texts, ["1024: 0x=2"]);
  assertEquals((await bench.next(3)).progress, nearlyAll);
  assertEquals(bench.source.exhausted, true);
});

Deno.test("HandoffSource repeats the unacknowledged batches of a spread, and then reports that little is left", async () => {
  const bench = new Bench(["0x"]).spread();
  await bench.next();
  const again = await bench.next(0, true);
  assertEquals([again.number, again.texts], [1, ["1024: 0x=0"]]);
  assertEquals((await bench.next(1)).progress, nearlyAll);
});

Deno.test("HandoffSource refuses to spread the data of a module without itemAt", () => {
  for (const extra of [{}, { keySpaceOf: () => 0 }]) {
    const error = assertThrows(
      () =>
        new Bench().begin({ ...extra, itemAt: undefined } as never, {
          mode: HandoffMode.spread,
          spread: { ringSize: 16, firstVnode: 1_024 },
        }),
      WhorlError,
    );
    assertEquals(error.code, "not_capable");
  }
});

/** What was vouched for, as it comes: `true`, or the code of the refusal. */
function vouched(bench: Bench): (string | true)[] {
  const heard: (string | true)[] = [];
  bench.source.vouch().then(
    () => heard.push(true),
    (error) => heard.push((error as WhorlError).code),
  );
  return heard;
}

Deno.test("HandoffSource vouches once the targets have everything written by then, even before the visit is over", async () => {
  const bench = new Bench(["0a", "1a"]).spread();
  bench.followed.hold();
  bench.write("0a", "1");
  const early = vouched(bench);
  const first = await bench.next();
  assertEquals(first.texts.includes("1024: 0a=1"), true);
  bench.write("1a", "2");
  const late = vouched(bench);
  // What was written before the visit showed it follows it all the same.
  const second = await bench.next(first.number);
  assertEquals(second.texts.includes("1026: 1a=2"), true);
  assertEquals([early, late], [[true], []]);
  bench.source.acknowledged(second.number);
  await bench.runtime.settle();
  assertEquals(late, [true]);
});

Deno.test("HandoffSource vouches at once if nothing is in flight, and not for batches in flight", async () => {
  const bench = new Bench(["0a"]).spread();
  bench.followed.hold();
  await bench.next();
  bench.ask(1);
  await bench.runtime.settle();
  const idle = vouched(bench);
  await bench.runtime.settle();
  assertEquals(idle, [true]);
  bench.write("0a", "1");
  const busy = vouched(bench);
  await bench.runtime.advance(FOLLOW_MS);
  const said = bench.said.at(-1) as Said;
  assertEquals(said.texts, ["1024: 0a=1"]);
  assertEquals(busy, []);
  bench.source.acknowledged(said.number);
  await bench.runtime.settle();
  assertEquals(busy, [true]);
});

Deno.test("HandoffSource vouches for nothing once it has ended, and sends held writes again in the next transfer", async () => {
  const bench = new Bench(["0a"]).spread();
  bench.followed.hold();
  const told: string[] = [];
  bench.storage.hold = (writes) =>
    bench.followed.noted(
      writes.map(({ key }) => decoder.decode(key)),
    );
  const heard = vouched(bench);
  await bench.next();
  bench.texts.set("1a", "1");
  bench.storage.write(
    [{ key: encoder.encode("1a"), value: encoder.encode("1") }],
    () => told.push("1a"),
  );
  bench.source.end();
  await bench.runtime.settle();
  assertEquals(heard, ["handoff_mismatch"]);
  bench.spread();
  const { number, texts } = await bench.next();
  assertEquals(texts.includes("1026: 1a=1"), true);
  assertEquals(told, []);
  bench.source.acknowledged(number);
  assertEquals(told, ["1a"]);
});
