import { assert, assertEquals } from "@std/assert";
import { ByteWriter } from "../base/byte_writer.ts";
import { CHANGES_KEPT_MAX } from "../ra_kv/change_log.ts";
import { RaKvOp } from "../ra_kv/ra_kv_command_codec.ts";
import { raKvMachine } from "../ra_kv/ra_kv_machine.ts";
import { writeValueField } from "../ra_kv/ra_kv_value.ts";
import { sealCommand } from "../ra_kv/succession_codec.ts";
import {
  EXPORT_KEYS_BYTES,
  type ExportedKeys,
  exportKeys,
  readKeyVersions,
} from "./group_export.ts";
import { partitionOfKey } from "./group_sources.ts";

const machine = raKvMachine();
const encoder = new TextEncoder();
const decoder = new TextDecoder();
const NOTHING = new Uint8Array(0);
const TARGET = { partition: 3, size: 8 };

function storedKey(name: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(`\0\x01b${name}`);
}

/** Names of keys that are all exported. */
function names(count: number, prefix = "k"): string[] {
  const found: string[] = [];
  for (let i = 0; found.length < count; i++) {
    const name = `${prefix}${String(i * 7 % 100_003).padStart(6, "0")}`;
    const { partition, size } = TARGET;
    if (partitionOfKey(storedKey(name), size) === partition) found.push(name);
  }
  return found;
}

/** A group with keys of a bucket. */
class Group {
  state = machine.init();
  index = 0;

  apply(command: Uint8Array<ArrayBuffer>): void {
    const meta = { term: 1, timeMs: 1, machineVersion: 0 };
    machine.apply({ index: ++this.index, ...meta }, command, this.state);
  }

  put(name: string): void {
    this.#change(RaKvOp.put, name);
  }

  delete(name: string): void {
    this.#change(RaKvOp.delete, name);
  }

  #change(op: number, name: string): void {
    const into = new ByteWriter();
    into.u8(op);
    into.u8(0);
    into.u16(3 + name.length);
    into.raw(storedKey(name));
    if (op === RaKvOp.put) writeValueField(into, name);
    this.apply(into.copy());
  }

  /** Its export to a ring of `size` partitions. */
  export(
    since: number,
    after: Uint8Array = NOTHING,
    to = TARGET,
  ): ExportedKeys {
    return exportKeys(this.state, this.index, { since, after, ...to });
  }
}

function named({ keys }: ExportedKeys): [string, number][] {
  return readKeyVersions(keys).map(({ key, version }) => [
    decoder.decode(key.subarray(3)),
    version,
  ]);
}

Deno.test("exportKeys() lists all keys in order, page by page, with the index of the state", () => {
  const group = new Group();
  const all = names(9_000);
  for (const name of all) group.put(name);
  const found: string[] = [];
  let pages = 0;
  for (let after: Uint8Array | undefined = NOTHING; after !== undefined;) {
    const page: ExportedKeys = group.export(0, after);
    assert(page.keys.length <= EXPORT_KEYS_BYTES);
    assertEquals([page.at, page.sealedAt], [9_000, 0]);
    found.push(...named(page).map(([name]) => name));
    after = page.last;
    pages++;
  }
  assertEquals(found, all.toSorted());
  assert(pages > 2);
});

Deno.test("exportKeys() lists changes since an index, each key once and as it is now", () => {
  const group = new Group();
  const [a, b, c, d] = names(4) as [string, string, string, string];
  for (const name of [a, b, c]) group.put(name);
  group.put(b);
  group.delete(c);
  group.put(d);
  group.put(d);
  const news = group.export(3);
  assertEquals(named(news), [[b, 4], [c, 0], [d, 7]]);
  assertEquals([news.at, news.isCut, news.sealedAt], [7, false, 0]);
  assertEquals(named(group.export(7)), []);
});

Deno.test("exportKeys() cuts changes at the end of an entry, and continues there", () => {
  const group = new Group();
  const [first, ...others] = names(151, "x".repeat(700));
  group.put(first as string);
  for (const name of others) group.put(name);
  const found: string[] = [];
  let since = 1;
  let answers = 0;
  for (let isCut = true; isCut;) {
    const news: ExportedKeys = group.export(since);
    found.push(...named(news).map(([name]) => name));
    ({ isCut, at: since } = news);
    answers++;
  }
  assertEquals(found, others);
  assert(answers > 1);
});

Deno.test("exportKeys() reports that changes were forgotten, and that nothing will change any more", () => {
  const group = new Group();
  const few = names(5);
  for (let i = 0; i < CHANGES_KEPT_MAX + 2_000; i++) {
    group.put(few[i % 5] as string);
  }
  assertEquals(group.export(1).isForgotten, true);
  const since = group.index;
  group.put(few[0] as string);
  group.apply(sealCommand({ generation: 1, size: 16 }));
  const news = group.export(since);
  assertEquals([news.isForgotten, named(news).length], [false, 1]);
  assertEquals(news.sealedAt, group.index);
});

Deno.test("exportKeys() has forgotten nothing since a seal, though its member began with a later snapshot", () => {
  const group = new Group();
  const [a, b] = names(2) as [string, string];
  group.put(a);
  group.apply(sealCommand({ generation: 1, size: 16 }));
  const seal = group.index;
  // It is refused, and counts as applied.
  group.put(b);
  group.state = machine.decode(machine.encode(group.state));
  assertEquals(group.state.changes.floor, seal + 1);
  assertEquals(group.export(seal - 1).isForgotten, true);
  const copy = group.export(0);
  assertEquals([named(copy), copy.at], [[[a, 1]], seal]);
  const news = group.export(copy.at);
  assertEquals([news.isForgotten, news.sealedAt], [false, seal]);
  assertEquals(named(news), []);
});

Deno.test("exportKeys() lists only keys of the partition", () => {
  const group = new Group();
  for (let i = 0; i < 200; i++) group.put(`k${i}`);
  const counts = Array.from({ length: 16 }, (_, partition) => {
    const keys = readKeyVersions(
      group.export(0, NOTHING, { partition, size: 16 }).keys,
    );
    assert(keys.every(({ key }) => partitionOfKey(key, 16) === partition));
    return keys.length;
  });
  assertEquals(counts.reduce((sum, count) => sum + count), 200);
});
