import {
  assert,
  assertEquals,
  assertNotEquals,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { seededChance } from "../base/chance.ts";
import { WhorlError } from "../base/errors.ts";
import { invariant } from "../base/invariant.ts";
import { openMemoryStore } from "../storage/memory_store.ts";
import type { CommandCodec, HandoffItem } from "../vnode/vnode.ts";
import { partitionOf } from "../ring/chash.ts";
import { contextOf } from "./causal_context.ts";
import { writeStorageKey } from "./key_limits.ts";
import {
  kvGetCodec,
  kvMergeCodec,
  kvPutCodec,
  writePutBody,
} from "./kv_command_codec.ts";
import {
  kvObjectMerge,
  mergeObjects,
  SIBLINGS_MAX,
  writeToObject,
} from "./kv_object.ts";
import { ACTOR_BYTES, readSiblings, SiblingFlag } from "./kv_object_codec.ts";
import { CachedDisk } from "./testing/cached_disk.ts";
import {
  ask,
  dots,
  get,
  merge,
  put,
  start,
  type Started,
  startOn,
  storageKey,
  values,
} from "./testing/kv_vnode_alone.ts";

async function memory(): Promise<Started> {
  const store = openMemoryStore("0123456789abcdef");
  return await start(store.partition(0), store.durable, store.state.epoch);
}

const foreign = (value: string, actor = 0xf0): Uint8Array =>
  writeToObject(undefined, undefined, new Uint8Array(12).fill(actor), {
    flags: 0,
    lastModified: 1,
    value: new TextEncoder().encode(value),
  });

Deno.test("kv put answers once, with the object, when the store is in memory", async () => {
  const kv = await memory();
  const answers = ask(kv, "put", put("1"));
  assertEquals(answers.accepted, undefined);
  assertEquals(values(answers.reply), ["1"]);
  assertEquals(readSiblings(answers.reply!)[0]!.lastModified, 1234);
  assertEquals(ask(kv, "get", get()).reply, answers.reply);
});

Deno.test("kv put accepts early and replies when the write is durable", async () => {
  const disk = new CachedDisk();
  const kv = await startOn(disk);
  const answers = ask(kv, "put", put("1"));
  assertEquals(values(answers.accepted), ["1"]);
  assertEquals(answers.replied, false);
  disk.commit();
  assertEquals(answers.reply, answers.accepted);
});

Deno.test("kv put keeps what the writer has not seen and replaces what it has", async () => {
  const kv = await memory();
  const first = ask(kv, "put", put("1")).reply;
  assertEquals(values(ask(kv, "put", put("2")).reply), ["2", "1"]);
  assertEquals(values(ask(kv, "put", put("3", first)).reply), ["3", "2"]);
  const both = ask(kv, "get", get()).reply;
  const removed = ask(kv, "put", {
    ...put("", both),
    flags: SiblingFlag.tombstone,
  });
  assertEquals(
    readSiblings(removed.reply!).map(({ flags }) => flags),
    [SiblingFlag.tombstone],
  );
});

Deno.test("kv get finds nothing where nothing was put", async () => {
  const kv = await memory();
  assertEquals(ask(kv, "get", get()), { replied: true, reply: undefined });
});

Deno.test("kv issues no dot twice when it crashes between sending and committing", async () => {
  const disk = new CachedDisk();
  const before = await startOn(disk);
  const committed = ask(before, "put", put("1"));
  disk.commit();
  // This version was sent to the other replicas, and is not on the disk yet.
  const sent = ask(before, "put", put("2", committed.reply)).accepted;
  invariant(sent !== undefined, "the write was accepted");
  disk.crash();

  const after = await startOn(disk);
  assertEquals(values(ask(after, "get", get()).reply), ["1"]);
  const next = ask(after, "put", put("3", committed.reply)).accepted;
  invariant(next !== undefined, "the write was accepted");
  const common = dots(next).filter((dot) => dots(sent).includes(dot));
  assertEquals(common, []);
  // Had the dot been the same, one of the two writes would vanish here.
  assertEquals(values(mergeObjects(sent, next)).sort(), ["2", "3"]);
});

Deno.test("kv issues no dot twice in any mix of writes, commits and crashes", async () => {
  const chance = seededChance("dots");
  for (let round = 0; round < 50; round++) {
    const disk = new CachedDisk();
    let kv = await startOn(disk);
    const valueOfDot = new Map<string, string>();
    let seen: Uint8Array | undefined;
    for (let i = 0; i < 40; i++) {
      const what = chance.below(4);
      if (what === 0) disk.commit();
      else if (what === 1) {
        disk.crash();
        kv = await startOn(disk);
      } else {
        const value = `${i}`;
        const context = chance.chance(0.5) ? seen : undefined;
        const object = ask(kv, "put", put(value, context)).accepted!;
        seen = object;
        // The newest dot of this actor is the one of this write.
        const at = readSiblings(object).findIndex((sibling) =>
          new TextDecoder().decode(sibling.value) === value
        );
        assert(at >= 0);
        const own = dots(object).find((dot) => !valueOfDot.has(dot));
        invariant(own !== undefined, "each write has a dot nobody had before");
        valueOfDot.set(own, value);
      }
    }
  }
});

Deno.test("kv derives its actor from both chance and the durable epoch, so that either is enough", async () => {
  const same = (count: number) => new Uint8Array(count);
  const store = () => openMemoryStore("0123456789abcdef").partition(0);
  const first = await start(store(), true, 1, same);
  const later = await start(store(), true, 2, same);
  const actorOf = (kv: Started) =>
    ask(kv, "put", put("1")).reply!.slice(6, 6 + ACTOR_BYTES).toHex();
  assertEquals(actorOf(first), "0000000000000000" + "00000001");
  assertEquals(actorOf(later), "0000000000000000" + "00000002");
  const restored = await start(store(), true, 1);
  assertNotEquals(actorOf(restored), actorOf(first));
});

Deno.test("kv merge stores what is new and writes nothing if nothing is", async () => {
  const disk = new CachedDisk();
  const kv = await startOn(disk);
  const one = foreign("one");
  const first = ask(kv, "merge", merge(one));
  assertEquals(first.replied, false);
  disk.commit();
  assertEquals(first.replied, true);
  const again = ask(kv, "merge", merge(one));
  assertEquals([again.replied, disk.writes], [true, 1]);
  ask(kv, "merge", merge(foreign("two", 0xf1)));
  disk.commit();
  assertEquals(values(ask(kv, "get", get()).reply), ["one", "two"]);
  assertEquals(disk.writes, 2);
});

Deno.test("kv merge of an object that is not durable yet waits for the commit", async () => {
  const disk = new CachedDisk();
  const kv = await startOn(disk);
  const one = foreign("one");
  ask(kv, "merge", merge(one));
  const repeat = ask(kv, "merge", merge(one));
  assertEquals([repeat.replied, disk.writes], [false, 1]);
  disk.commit();
  assertEquals(repeat.replied, true);
});

Deno.test("kv fails commands that need a damaged object and repairs it with a merge", async () => {
  for (const slow of [false, true]) {
    const disk = new CachedDisk();
    const kv = await startOn(disk);
    const old = ask(kv, "put", put("1")).accepted!;
    disk.commit();
    disk.corrupt.add(storageKey("k").toHex());
    disk.slow = slow;
    const read = ask(kv, "get", get());
    const write = ask(kv, "put", put("2"));
    await settle();
    assertEquals(read.failure, "value_corrupt");
    assertEquals(write.failure, "value_corrupt");
    const mend = ask(kv, "merge", merge(foreign("theirs")));
    await settle();
    disk.commit();
    assertEquals(mend.replied, true);
    const next = ask(kv, "put", put("3"));
    await settle();
    // The damaged object had counted dots that nobody here knows any longer.
    const common = dots(next.accepted!).filter((dot) =>
      dots(old).includes(dot)
    );
    assertEquals(common, []);
    assertEquals(kv.crashes, []);
  }
});

Deno.test("kv removes a damaged object that is merged with nothing, and keeps a good one", async () => {
  for (const slow of [false, true]) {
    const disk = new CachedDisk();
    const kv = await startOn(disk);
    const nothing = merge(kvObjectMerge.nothing);
    const empty = ask(kv, "merge", nothing);
    await settle();
    assertEquals([empty.replied, disk.writes], [true, 0]);
    const old = ask(kv, "put", put("1")).accepted!;
    disk.commit();
    disk.slow = slow;
    const spared = ask(kv, "merge", nothing);
    await settle();
    assertEquals([spared.replied, disk.writes], [true, 1]);
    disk.corrupt.add(storageKey("k").toHex());
    disk.refuse = new WhorlError("overload", "Too many writes wait");
    const refused = ask(kv, "merge", nothing);
    await settle();
    assertEquals(refused.failure, "overload");
    disk.refuse = undefined;
    const mend = ask(kv, "merge", nothing);
    await settle();
    assertEquals([mend.replied, kv.logged], [false, []]);
    disk.commit();
    assertEquals([mend.replied, kv.logged], [true, [[
      "A damaged object of which no other replica has anything was removed",
      { bucket: "b", key: "k" },
    ]]]);
    const read = ask(kv, "get", get());
    await settle();
    assertEquals([read.failure, read.replied], [undefined, true]);
    const next = ask(kv, "put", put("2"));
    await settle();
    assertEquals(
      dots(next.accepted!).filter((dot) => dots(old).includes(dot)),
      [],
    );
    assertEquals(kv.crashes, []);
  }
});

Deno.test("kv removes or replaces an empty object, as an earlier version stored for a damaged one", async () => {
  for (const theirs of [kvObjectMerge.nothing, foreign("theirs")]) {
    const disk = new CachedDisk();
    const kv = await startOn(disk);
    disk.open().write(
      [{ key: storageKey("k"), value: kvObjectMerge.nothing }],
      () => {},
    );
    disk.commit();
    const mend = ask(kv, "merge", merge(theirs));
    disk.commit();
    const isNothing = theirs === kvObjectMerge.nothing;
    assertEquals([mend.replied, ask(kv, "get", get()).reply], [
      true,
      isNothing ? undefined : theirs,
    ]);
  }
});

/** Runs everything that is ready. */
async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve();
}

Deno.test("kv changes a key in order of arrival while its object is read from disk", async () => {
  const disk = new CachedDisk();
  const kv = await startOn(disk);
  ask(kv, "put", put("0"));
  disk.commit();
  disk.slow = true;
  const request = put("1");
  const answers = [
    ask(kv, "put", request),
    ask(kv, "put", put("2")),
    ask(kv, "merge", merge(foreign("theirs"))),
    ask(kv, "put", put("3")),
    ask(kv, "put", put("other", undefined, "k2")),
  ];
  // The message it came in is reused in the meantime.
  request.value.fill(0);
  request.key.fill(0);
  await settle();
  disk.commit();
  assertEquals(answers.map(({ replied }) => replied), [
    true,
    true,
    true,
    true,
    true,
  ]);
  assertEquals(values(answers[0]!.reply), ["1", "0"]);
  assertEquals(values(answers[1]!.reply), ["2", "1", "0"]);
  assertEquals(values(answers[3]!.reply), ["3", "2", "1", "0", "theirs"]);
  assertEquals(values(answers[4]!.reply), ["other"]);
});

Deno.test("kv answers refusals by name and continues", async () => {
  const disk = new CachedDisk();
  const kv = await startOn(disk);
  disk.refuse = new WhorlError("overload", "Too much is waiting");
  assertEquals(ask(kv, "put", put("1")).failure, "overload");
  assertEquals(ask(kv, "merge", merge(foreign("1"))).failure, "overload");
  disk.refuse = undefined;
  assertEquals(values(ask(kv, "put", put("2")).accepted), ["2"]);
  for (let i = 1; i < SIBLINGS_MAX; i++) ask(kv, "put", put("sibling"));
  assertEquals(ask(kv, "put", put("more")).failure, "too_many_siblings");
});

Deno.test("kv ends itself when a commit fails", async () => {
  const disk = new CachedDisk();
  const kv = await startOn(disk);
  const answers = ask(kv, "put", put("1"));
  const error = new WhorlError("store_unavailable", "The disk is gone");
  disk.failCommit(error);
  assertEquals(kv.crashes, [error]);
  assertEquals(answers.replied, false);
});

Deno.test("kv throws errors it cannot answer for, so that it is restarted", async () => {
  const disk = new CachedDisk();
  const kv = await startOn(disk);
  disk.refuse = new WhorlError("store_unavailable", "The disk is gone");
  assertThrows(() => ask(kv, "put", put("1")), WhorlError, "The disk is gone");
  disk.slow = true;
  ask(kv, "put", put("1"));
  await settle();
  assertEquals(kv.crashes, [disk.refuse]);
});

Deno.test("kv never touches an object of a newer format", async () => {
  const store = openMemoryStore("0123456789abcdef").partition(0);
  const newer = foreign("one");
  newer[0] = 2;
  store.write([{ key: storageKey("k"), value: newer }], () => {});
  const kv = await start(store, false, 1);
  assertThrows(() => ask(kv, "put", put("1")), WhorlError, "format 2");
  assertThrows(
    () => ask(kv, "merge", merge(foreign("1"))),
    WhorlError,
    "format 2",
  );
  assertEquals(await store.get(storageKey("k")), newer);
});

Deno.test("kv hands its objects over in key order, and merges those it receives", async () => {
  const from = await memory();
  const to = await memory();
  for (const key of ["c", "a", "b"]) {
    ask(from, "put", put(`from ${key}`, undefined, key));
  }
  ask(to, "put", put("to b", undefined, "b"));
  assertEquals(await from.vnode.isEmpty(), false);
  const items: HandoffItem[] = [];
  for await (const item of from.vnode.fold()) items.push(item);
  assertEquals(
    items.map(({ sortKey }) => sortKey),
    ["a", "b", "c"].map((key) => storageKey(key)),
  );
  assertEquals(await from.vnode.itemAt?.(storageKey("b")), items[1]);
  assertEquals(await from.vnode.itemAt?.(storageKey("d")), undefined);
  for (const item of [...items, ...items]) {
    const bytes = from.vnode.encodeHandoffItem(item);
    invariant(bytes !== null, "the item is whole");
    await to.vnode.handleHandoffData(bytes);
  }
  assertEquals(values(ask(to, "get", get("a")).reply), ["from a"]);
  assertEquals(values(ask(to, "get", get("b")).reply).sort(), [
    "from b",
    "to b",
  ]);
  await from.vnode.delete();
  assertEquals(await from.vnode.isEmpty(), true);
});

Deno.test("kv leaves an invalid item behind, and refuses to receive one", async () => {
  const kv = await memory();
  const sortKey = storageKey("k");
  const item = new Uint8Array([1, 2, 3]);
  assertStrictEquals(kv.vnode.encodeHandoffItem({ sortKey, item }), null);
  await assertRejects(
    async () => await kv.vnode.handleHandoffData(new Uint8Array([0, 1, 2])),
    WhorlError,
  );
});

Deno.test("kv is another actor after its partition was deleted", async () => {
  const kv = await memory();
  const first = ask(kv, "put", put("1")).reply!;
  await kv.vnode.delete();
  const second = ask(kv, "put", put("2")).reply!;
  assertEquals(values(mergeObjects(first, second)).sort(), ["1", "2"]);
});

Deno.test("kv tells which key space an item belongs to", async () => {
  const { vnode } = await memory();
  const sortKey = storageKey("k");
  assertEquals(
    vnode.keySpaceOf?.({ sortKey, item: new Uint8Array() }, 64),
    partitionOf("b", "k", 64),
  );
});

Deno.test("kv codecs undo each other and refuse the rest", () => {
  const context = contextOf(foreign("x"));
  const roundTrip = <T>(codec: CommandCodec<T>, value: T): T => {
    const into = new ByteWriter();
    codec.encode(value, into);
    return codec.decode(new ByteReader(into.copy()));
  };
  for (const flags of [0, SiblingFlag.json]) {
    const request = { ...put("v"), flags, context };
    assertEquals(roundTrip(kvPutCodec, request), request);
  }
  assertEquals(roundTrip(kvPutCodec, put("")), put(""));
  assertEquals(roundTrip(kvGetCodec, get()), get());
  const object = merge(foreign("x"));
  assertEquals(roundTrip(kvMergeCodec, object), object);

  const body = new ByteWriter();
  writePutBody("b", "k", SiblingFlag.json, context, put("v").value, body);
  assertEquals(
    kvPutCodec.decode(new ByteReader(body.copy())),
    { ...put("v"), flags: SiblingFlag.json, context },
  );

  const refused = (
    codec: CommandCodec<never>,
    change: (bytes: ByteWriter) => void,
  ) => {
    const into = new ByteWriter();
    change(into);
    const error = assertThrows(
      () => codec.decode(new ByteReader(into.copy())),
      WhorlError,
    );
    return error.code;
  };
  const key = (into: ByteWriter) => writeStorageKey("b", "k", into);
  const asNever = (codec: unknown) => codec as CommandCodec<never>;
  assertEquals(
    [
      refused(asNever(kvGetCodec), (into) => into.u16(9)),
      refused(asNever(kvGetCodec), (into) => into.u16(0)),
      refused(asNever(kvGetCodec), (into) => {
        key(into);
        into.u8(0);
      }),
      refused(asNever(kvPutCodec), key),
      refused(asNever(kvPutCodec), (into) => {
        key(into);
        into.u8(4);
        into.u32(0);
      }),
      refused(asNever(kvPutCodec), (into) => {
        key(into);
        into.u8(SiblingFlag.tombstone);
        into.u32(0);
        into.u8(1);
      }),
      refused(asNever(kvPutCodec), (into) => {
        key(into);
        into.u8(0);
        into.blob(new Uint8Array([1, 0, 0, 9]));
      }),
      refused(asNever(kvPutCodec), (into) => {
        key(into);
        into.u8(0);
        into.u32(0);
        into.raw(new Uint8Array(8 * 1024 * 1024 + 1));
      }),
      refused(asNever(kvMergeCodec), key),
    ],
    [
      "protocol_error",
      "invalid_key",
      "protocol_error",
      "protocol_error",
      "protocol_error",
      "protocol_error",
      "invalid_context",
      "value_too_large",
      "protocol_error",
    ],
  );
});
