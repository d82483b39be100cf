import { assertEquals, assertThrows } from "@std/assert";
import { WhorlError } from "../base/errors.ts";
import {
  contextFromText,
  contextOf,
  contextToText,
} from "../kv/causal_context.ts";
import { writeToObject } from "../kv/kv_object.ts";
import {
  checkObject,
  readSiblings,
  SiblingFlag,
} from "../kv/kv_object_codec.ts";
import {
  absentObject,
  CONSISTENT_VALUE_BYTES_MAX,
  indexInContext,
  objectOf,
  storedValue,
  writtenObject,
} from "./consistent_object.ts";

const VALUE = new TextEncoder().encode('{"x":1}');

Deno.test("objectOf() undoes storedValue(), as an object of kv", () => {
  const object = objectOf(7, storedValue(SiblingFlag.json, 1234, VALUE));
  checkObject(object);
  assertEquals(readSiblings(object), [
    { flags: SiblingFlag.json, lastModified: 1234, value: VALUE },
  ]);
});

Deno.test("indexInContext() is the index of what was read, 0 for what was not there", () => {
  for (
    const [object, index] of [
      [objectOf(7, storedValue(0, 0, VALUE)), 7],
      [writtenObject(2 ** 40), 2 ** 40],
      [absentObject(), 0],
    ] as const
  ) {
    checkObject(object);
    const context = contextFromText(contextToText(contextOf(object)));
    assertEquals(indexInContext(context), index);
  }
});

Deno.test("indexInContext() refuses a context of another bucket", () => {
  const actor = new Uint8Array(12).fill(3);
  const version = { flags: 0, lastModified: 0, value: VALUE };
  const object = writeToObject(undefined, undefined, actor, version);
  for (const context of [contextOf(object), new Uint8Array([1, 0, 0, 0])]) {
    const error = assertThrows(() => indexInContext(context), WhorlError);
    assertEquals(error.code, "invalid_context");
  }
});

Deno.test("values are bounded, and malformed ones are refused", () => {
  const large = new Uint8Array(CONSISTENT_VALUE_BYTES_MAX + 1);
  const codes = [
    () => storedValue(0, 0, large),
    () => objectOf(1, new Uint8Array([9, 0])),
    () => objectOf(1, new Uint8Array([1, 0, 0])),
    () => objectOf(1, new Uint8Array([1, 1, 0, 0, 0, 0, 0, 0])),
  ].map((act) => assertThrows(act, WhorlError).code);
  assertEquals(codes, [
    "value_too_large",
    "store_format",
    "value_corrupt",
    "value_corrupt",
  ]);
  storedValue(0, 0, large.subarray(1));
});
