/**
 * flavio's vnode and its messages, without a node.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { mergedMessages } from "../examples/flavio/flavio.ts";
import flavioModule from "../examples/flavio/flavio_vnode.ts";
import {
  decodeMessage,
  encodeMessage,
  keyAfter,
  keyPrefix,
  type Message,
  messageKey,
  partsOfKey,
} from "../examples/flavio/message.ts";
import type { VnodeContext } from "../mod.ts";
import { openMemoryStore } from "../src/storage/memory_store.ts";
import { WatchedPartition } from "../src/vnode/watched_partition.ts";
import { NOW } from "./harness/flavio_node.ts";

Deno.test("mergedMessages() has each message once, in order, including those that share a number", () => {
  const message = (id: number, origin: string): Message => ({
    id,
    origin,
    date: NOW,
    lat: 0,
    lng: 0,
    ref: 0,
    type: 0,
    size: 1,
    msg: `${id}`,
  });
  const [one, two, three] = [1, 2, 3].map((id) => message(id, "a"));
  const twin = message(2, "b");
  const replies = [
    { messages: [one!, two!] },
    { error: "outofbound" as const },
    { messages: [one!, twin, three!] },
  ];
  assertEquals(mergedMessages(replies, 1, 10), [one, two, twin, three]);
  assertEquals(mergedMessages(replies, 1, 2), [one, two]);
  assertEquals(mergedMessages(replies, null, 2), [twin, three]);
});

Deno.test("messageKey() keeps streams together and in the order of their numbers", () => {
  const keys = [
    messageKey("a", "s", { id: 1, origin: "z" }),
    messageKey("a", "s", { id: 255, origin: "a" }),
    messageKey("a", "s", { id: 256, origin: "a" }),
    messageKey("a", "s", { id: 2 ** 53 - 1, origin: "a" }),
    messageKey("a", "t", { id: 1, origin: "a" }),
    messageKey("b", "s", { id: 1, origin: "a" }),
  ];
  const text = keys.map((key) => key.toHex());
  assertEquals(text, text.toSorted());
  const after = keyAfter(keyPrefix("a", "s")).toHex();
  assert(text[3]! < after && after <= text[4]!);
  // A name may end with the largest byte there is in UTF-8, and a length in 0xff.
  for (const name of ["\u{10ffff}", "x".repeat(255)]) {
    const beyond = keyAfter(keyPrefix(name)).toHex();
    assert(messageKey(name, "s", { id: 9, origin: "a" }).toHex() < beyond);
  }
  assertEquals(partsOfKey(keys[2]!), {
    user: "a",
    stream: "s",
    id: 256,
    origin: "a",
  });
});

/** A vnode of partition 42 on a store of its own. */
async function startVnode(id = "0") {
  const store = openMemoryStore(id.repeat(16));
  const context = {
    storage: new WatchedPartition(store.partition(42)),
    store: { tailLost: false },
    ringSize: 64,
  };
  // It needs nothing else of its context.
  return {
    vnode: await flavioModule.init(42, context as unknown as VnodeContext),
    context,
  };
}

Deno.test("flavio's vnode hands messages over, and receiving them twice or beside others changes nothing", async () => {
  const { vnode: from } = await startVnode("0");
  const { vnode: to, context } = await startVnode("1");
  const put = async (
    vnode: typeof from,
    id: number,
    origin: string,
  ): Promise<Uint8Array> => {
    const key = messageKey("mariano", "english", { id, origin });
    const value = encodeMessage(
      { date: NOW, lat: 0, lng: 0, ref: 0, type: 0, msg: origin } as Message,
    );
    const bytes = vnode.encodeHandoffItem({ sortKey: key, item: value })!;
    await vnode.handleHandoffData(bytes);
    return key;
  };
  await put(from, 2, "a");
  await put(from, 1, "a");
  await put(to, 2, "b");
  for (let i = 0; i < 2; i++) {
    for await (const item of from.fold()) {
      assertEquals(from.keySpaceOf?.(item, 64), 42);
      assertEquals(from.keySpaceOf?.(item, 128), 84);
      assertEquals(await from.itemAt?.(item.sortKey), item);
      await to.handleHandoffData(from.encodeHandoffItem(item)!);
    }
  }
  const found: string[] = [];
  for await (const { key, value } of context.storage.scan()) {
    const { id, origin, msg } = decodeMessage(key, value);
    found.push(`${id} ${origin} ${msg}`);
  }
  assertEquals(found, ["1 a a", "2 a a", "2 b b"]);
  assertEquals(await to.itemAt?.(new Uint8Array([1])), undefined);
  assertEquals(await to.isEmpty(), false);
  await to.delete();
  assertEquals(await to.isEmpty(), true);
});

Deno.test("flavio's vnode gives out no numbers and no messages while its store lacks commits", async () => {
  const { vnode, context } = await startVnode();
  context.store.tailLost = true;
  const failures: string[] = [];
  const call = {
    fail: (failure: string) => void failures.push(failure),
  } as never;
  const name = { user: "u", stream: "s" };
  await vnode.handleCommand.reserve(name, call);
  await vnode.handleCommand.read({ ...name, from: null, count: 1 }, call);
  assertEquals(failures, ["tail_lost", "tail_lost"]);
});
