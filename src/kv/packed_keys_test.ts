import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { ByteWriter } from "../base/byte_writer.ts";
import { compareBytes } from "../base/byte_order.ts";
import { WhorlError } from "../base/errors.ts";
import { packKey, placeAfter, unpackKeys } from "./packed_keys.ts";

const encoder = new TextEncoder();

function packed(keys: readonly string[]): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter();
  for (const key of keys.map((text) => encoder.encode(text))) {
    packKey(into, key, 0, key.length);
  }
  return into.copy();
}

function unpacked(keys: Uint8Array, at = 0): string[] {
  const texts: string[] = [];
  const last = unpackKeys(keys, at, texts);
  assertEquals(
    last === undefined ? undefined : new TextDecoder().decode(last),
    texts.at(-1),
  );
  return texts;
}

/** Keys of any text, some too long for a length of one byte. */
const anyKey = fc.oneof(
  fc.string({ unit: "grapheme" }),
  fc.string({ unit: "binary-ascii", maxLength: 30 }),
  fc.constant("ä".repeat(300)),
).map((text) => text.toWellFormed());

Deno.test("unpackKeys() reads what packKey() wrote, whatever the text", () => {
  fc.assert(fc.property(fc.array(anyKey), (keys) => {
    assertEquals(unpacked(packed(keys)), keys);
  }));
});

Deno.test("packKey() packs a key from the middle of other bytes", () => {
  const into = new ByteWriter();
  packKey(into, encoder.encode("before key after"), 7, 10);
  assertEquals(unpacked(into.view()), ["key"]);
});

Deno.test("placeAfter() skips the keys up to a given one, which need not be among them", () => {
  const inOrder = fc.uniqueArray(anyKey).map((keys) =>
    keys.map((key) => encoder.encode(key)).sort(compareBytes)
      .map((key) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(key))
  );
  fc.assert(fc.property(inOrder, anyKey, (keys, key) => {
    const said = encoder.encode(key);
    const all = packed(keys);
    assertEquals(
      unpacked(all, placeAfter(all, said)),
      keys.filter((one) => compareBytes(encoder.encode(one), said) > 0),
    );
  }));
});

Deno.test("unpackKeys() and placeAfter() refuse keys that are cut short", () => {
  const whole = packed(["a", "key"]);
  for (const length of [1, 2, 4, 5, 7]) {
    const cut = whole.subarray(0, length);
    for (
      const read of [
        () => unpackKeys(cut, 0, []),
        () => placeAfter(cut, encoder.encode("z")),
      ]
    ) {
      assertEquals(assertThrows(read, WhorlError).code, "protocol_error");
    }
  }
  assertThrows(
    () => unpackKeys(new Uint8Array([0, 1, 0xff]), 0, []),
    WhorlError,
  );
});
