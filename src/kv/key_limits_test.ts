import { assertEquals, assertThrows } from "@std/assert";
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import { storeLimits } from "../environment/storage.ts";
import {
  BUCKET_BYTES_MAX,
  checkStorageKey,
  checkValueBytes,
  KEY_BYTES_MAX,
  parseStorageKey,
  readStorageKey,
  STORAGE_KEY_BYTES_MAX,
  storageKeyParts,
  VALUE_BYTES_MAX,
  writeModuleKey,
  writeStorageKey,
} from "./key_limits.ts";

function roundTrip(bucket: string, key: string): unknown {
  const into = new ByteWriter();
  into.u8(7);
  writeStorageKey(bucket, key, into);
  into.u8(9);
  const from = new ByteReader(into.view(), 1);
  const storageKey = readStorageKey(from);
  assertEquals(from.u8(), 9);
  return parseStorageKey(storageKey);
}

Deno.test("writeStorageKey() accepts any well-formed Unicode, including NUL", () => {
  for (
    const [bucket, key] of [
      ["b", "k"],
      ["\0", "\0\0"],
      ["Bücher", "日本語 🗝"],
      ["\ufeffb", "\ufeff"],
      ["é", "e\u0301"],
      ["b".repeat(BUCKET_BYTES_MAX), "k".repeat(KEY_BYTES_MAX)],
      ["ü".repeat(BUCKET_BYTES_MAX / 2), "ü".repeat(KEY_BYTES_MAX / 2)],
    ] as [string, string][]
  ) assertEquals(roundTrip(bucket, key), { bucket, key });
});

Deno.test("writeStorageKey() refuses names that are empty, too long or not text, and writes nothing", () => {
  for (
    const [bucket, key, what] of [
      ["", "k", "bucket"],
      ["b", "", "key"],
      ["b".repeat(BUCKET_BYTES_MAX + 1), "k", "bucket"],
      ["b", "k".repeat(KEY_BYTES_MAX + 1), "key"],
      ["b", "ü".repeat(KEY_BYTES_MAX / 2 + 1), "key"],
      ["b", "k".repeat(50_000_000), "key"],
      ["b", "\ud800", "key"],
      ["\udc00x", "k", "bucket"],
      [5, "k", "bucket"],
      ["b", undefined, "key"],
    ] as [string, string, string][]
  ) {
    const into = new ByteWriter();
    into.u8(1);
    const error = assertThrows(
      () => writeStorageKey(bucket, key, into),
      WhorlError,
      `Cannot use a ${what} as it must`,
    );
    assertEquals(error.code, "invalid_key");
    assertEquals(into.length, 1);
  }
});

Deno.test("writeModuleKey() accepts bytes that are not text, and text as writeStorageKey() does", () => {
  const written = (key: string | Uint8Array) => {
    const into = new ByteWriter();
    writeModuleKey("b", key, into);
    return readStorageKey(new ByteReader(into.view()));
  };
  const bytes = new Uint8Array([131, 100, 0, 2, 107, 49]);
  assertEquals(storageKeyParts(written(bytes)).key, bytes);
  assertEquals(written("ü"), written(new TextEncoder().encode("ü")));
});

Deno.test("writeModuleKey() refuses anything else, and empty or long keys, and writes nothing", () => {
  for (
    const key of [
      "",
      new Uint8Array(0),
      new Uint8Array(KEY_BYTES_MAX + 1),
      new Uint16Array(2),
      7,
      undefined,
    ] as Uint8Array[]
  ) {
    const into = new ByteWriter();
    into.u8(1);
    const error = assertThrows(
      () => writeModuleKey("b", key, into),
      WhorlError,
      "Cannot use a key as it must",
    );
    assertEquals(error.code, "invalid_key");
    assertEquals(into.length, 1);
  }
});

Deno.test("checkStorageKey() applies the same limits to bytes from elsewhere", () => {
  const cases = [
    [],
    [0],
    [0, 0, 1],
    [0, 1, 98],
    [0, 5, 98],
    [255, 255, 1, 2, 3],
    [0, 1, 98, ...new Array(KEY_BYTES_MAX + 1).fill(107)],
    [1, 1, ...new Array(258).fill(98)],
  ];
  for (const bytes of cases) {
    const error = assertThrows(
      () => checkStorageKey(new Uint8Array(bytes)),
      WhorlError,
    );
    assertEquals(error.code, "invalid_key");
  }
  checkStorageKey(new Uint8Array([0, 1, 98, 107]));
});

Deno.test("parseStorageKey() refuses bytes that are not UTF-8", () => {
  assertThrows(
    () => parseStorageKey(new Uint8Array([0, 1, 0xff, 107])),
    WhorlError,
    "UTF-8",
  );
});

Deno.test("STORAGE_KEY_BYTES_MAX fits what a store accepts", () => {
  assertEquals(STORAGE_KEY_BYTES_MAX <= storeLimits.keyBytesMax, true);
});

Deno.test("checkValueBytes() accepts 8 MiB and refuses one byte more", () => {
  checkValueBytes(0);
  checkValueBytes(VALUE_BYTES_MAX);
  const error = assertThrows(
    () => checkValueBytes(VALUE_BYTES_MAX + 1),
    WhorlError,
  );
  assertEquals(error.code, "value_too_large");
});
