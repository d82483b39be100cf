import { assert, assertEquals, assertThrows } from "@std/assert";
import { WhorlError } from "../base/errors.ts";
import {
  checkContext,
  contextFromText,
  contextOf,
  contextToText,
} from "./causal_context.ts";
import {
  hasLiveValue,
  kvObjectMerge,
  mergeObjects,
  type NewVersion,
  OBJECT_BYTES_MAX,
  SIBLINGS_MAX,
  writeToObject,
} from "./kv_object.ts";
import { checkObject, readSiblings, SiblingFlag } from "./kv_object_codec.ts";
import { VALUE_BYTES_MAX } from "./key_limits.ts";

const A = new Uint8Array(12).fill(0xaa);
const B = new Uint8Array(12).fill(0xbb);

function version(text: string, flags = 0): NewVersion {
  return { flags, lastModified: 0x0102_0304_0506, value: encode(text) };
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function values(object: Uint8Array): string[] {
  return readSiblings(object).map(({ value }) =>
    new TextDecoder().decode(value)
  );
}

Deno.test("writeToObject() writes the layout of docs/object_format.md", () => {
  const object = writeToObject(undefined, undefined, A, version("hi", 2));
  assertEquals(
    object.toHex(),
    "01" + "00" + "0001" + "0001" + // one entry, one sibling
      "aa".repeat(12) + "000000000001" + "0001" +
      "02" + "010203040506" + "00000002" + "6869",
  );
  assertEquals(
    contextOf(object).toHex(),
    "01" + "00" + "0001" + "aa".repeat(12) + "000000000001",
  );
});

Deno.test("writeToObject() replaces what the writer has seen and keeps the rest", () => {
  const first = writeToObject(undefined, undefined, A, version("1"));
  const blind = writeToObject(first, undefined, A, version("2"));
  assertEquals(values(blind), ["2", "1"]);
  const seenFirst = writeToObject(blind, contextOf(first), A, version("3"));
  assertEquals(values(seenFirst), ["3", "2"]);
  const seenAll = writeToObject(
    seenFirst,
    contextOf(seenFirst),
    B,
    version("4"),
  );
  assertEquals(values(seenAll), ["4"]);
});

Deno.test("writeToObject() reuses no dot when the writer has seen more than the replica holds", () => {
  const first = writeToObject(undefined, undefined, A, version("1"));
  const second = writeToObject(first, contextOf(first), A, version("2"));
  // The replica has lost the object; the writer has seen both versions.
  const third = writeToObject(
    undefined,
    contextOf(second),
    A,
    version("3"),
  );
  assertEquals(values(mergeObjects(second, third)), ["3"]);
});

Deno.test("mergeObjects() keeps concurrent values and drops replaced ones", () => {
  const a = writeToObject(undefined, undefined, A, version("a"));
  const b = writeToObject(undefined, undefined, B, version("b"));
  const both = mergeObjects(a, b);
  assertEquals(values(both), ["a", "b"]);
  assertEquals(both, mergeObjects(b, a));
  const resolved = writeToObject(both, contextOf(both), A, version("c"));
  assert(mergeObjects(both, resolved) === resolved);
  assert(mergeObjects(resolved, a) === resolved);
});

Deno.test("mergeObjects() agrees on one value when two replicas hold different bytes for one dot", () => {
  const one = writeToObject(undefined, undefined, A, version("one"));
  const two = writeToObject(undefined, undefined, A, version("two"));
  assert(mergeObjects(one, two) === mergeObjects(two, one));
});

Deno.test("hasLiveValue() is false if there are only tombstones", () => {
  const value = writeToObject(undefined, undefined, A, version("v"));
  const removed = writeToObject(
    value,
    contextOf(value),
    B,
    version("", SiblingFlag.tombstone),
  );
  assertEquals(hasLiveValue(value), true);
  assertEquals(hasLiveValue(removed), false);
  const concurrent = writeToObject(value, contextOf(value), A, version("w"));
  assertEquals(hasLiveValue(mergeObjects(removed, concurrent)), true);
});

Deno.test("writeToObject() refuses one sibling more than the limit", () => {
  let full: Uint8Array = writeToObject(undefined, undefined, A, version("0"));
  for (let i = 1; i < SIBLINGS_MAX; i++) {
    full = writeToObject(full, undefined, A, version(`${i}`));
  }
  const error = assertThrows(
    () => writeToObject(full, undefined, A, version("more")),
    WhorlError,
  );
  assertEquals(error.code, "too_many_siblings");
  const resolved = writeToObject(full, contextOf(full), A, version("one"));
  assertEquals(values(resolved), ["one"]);
});

Deno.test("writeToObject() accepts the largest value, and refuses siblings beyond the largest object", () => {
  const largest = {
    flags: 0,
    lastModified: 0,
    value: new Uint8Array(VALUE_BYTES_MAX),
  };
  const object = writeToObject(undefined, undefined, A, largest);
  assert(object.length <= OBJECT_BYTES_MAX);
  checkObject(object);
  const error = assertThrows(
    () => writeToObject(object, undefined, B, largest),
    WhorlError,
  );
  assertEquals(error.code, "value_too_large");
});

Deno.test("mergeObjects() refuses a result that fits in no frame", () => {
  const large = (actor: Uint8Array) =>
    writeToObject(undefined, undefined, actor, {
      flags: 0,
      lastModified: 0,
      value: new Uint8Array(VALUE_BYTES_MAX),
    });
  const error = assertThrows(
    () => mergeObjects(large(A), large(B)),
    WhorlError,
  );
  assertEquals(error.code, "value_too_large");
});

Deno.test("checkObject() refuses objects that are not canonical, each for its reason", () => {
  const good = writeToObject(
    writeToObject(undefined, undefined, A, version("a")),
    undefined,
    B,
    version("b"),
  );
  checkObject(good);
  const change = (at: number, ...bytes: number[]): Uint8Array => {
    const copy = good.slice();
    copy.set(bytes, at);
    return copy;
  };
  const cases: [Uint8Array, string][] = [
    [new Uint8Array(0), "cut short"],
    [good.subarray(0, 5), "cut short"],
    [good.subarray(0, 30), "cut short"],
    [good.subarray(0, good.length - 1), "cut short"],
    [new Uint8Array([...good, 0]), "bytes follow it"],
    [change(1, 1), "reserved byte"],
    [change(6, 0xcc), "do not ascend"],
    [change(26, ...A), "do not ascend"],
    [change(4, 0, 3), "do not agree"],
    [change(24, 0, 2), "more siblings than dots"],
    [change(18, 0, 0, 0, 0, 0, 0), "more siblings than dots"],
    [change(46, 4), "unknown flags"],
    [change(46, 1), "a tombstone has a value"],
    [change(53, 0xff, 0xff, 0xff, 0xff), "cut short"],
  ];
  for (const [bytes, reason] of cases) {
    const error = assertThrows(() => checkObject(bytes), WhorlError, reason);
    assertEquals(error.code, "protocol_error");
    assertThrows(() => kvObjectMerge.merge(good, bytes), WhorlError);
  }
  const newer = assertThrows(() => checkObject(change(0, 2)), WhorlError);
  assertEquals(newer.code, "store_format");
});

Deno.test("contextFromText() refuses contexts that no read returned", () => {
  const object = writeToObject(undefined, undefined, A, version("a"));
  const text = contextToText(contextOf(object));
  assertEquals(contextFromText(text), contextOf(object));
  for (
    const bad of [
      "",
      "A",
      "not a context!",
      text.slice(1),
      text.slice(0, -1),
      text.slice(0, -4),
      text + "AAAA",
      // The last letter has two bits that belong to no byte.
      text.slice(0, -1) + letterAfter(text.at(-1) as string),
      "A".repeat(1_000_000),
    ]
  ) {
    const error = assertThrows(() => contextFromText(bad), WhorlError);
    assertEquals(error.code, "invalid_context");
  }
  for (const bad of [null, 5, {}]) {
    const error = assertThrows(
      () => contextFromText(bad as unknown as string),
      WhorlError,
    );
    assertEquals(error.code, "invalid_context");
  }
});

/** The next letter of base64url. */
function letterAfter(letter: string): string {
  const letters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  return letters[letters.indexOf(letter) + 1] as string;
}

Deno.test("checkContext() refuses counters that would push a vnode to its limit", () => {
  const object = writeToObject(undefined, undefined, A, version("a"));
  const context = contextOf(object);
  context.set([0x7f, 0xff, 0xff, 0xff, 0xff, 0xff], 16);
  checkContext(context);
  context.set([0x80, 0, 0, 0, 0, 0], 16);
  assertThrows(() => checkContext(context), WhorlError);
  context.set([0, 0, 0, 0, 0, 0], 16);
  assertThrows(() => checkContext(context), WhorlError);
});
