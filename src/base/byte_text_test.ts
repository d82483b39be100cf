import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  bytesToText,
  lowerBound,
  mergeSorted,
  shortAscii,
  textToBytes,
  utf8Of,
} from "./byte_text.ts";

const anyBytes = fc.uint8Array({ maxLength: 20 });

Deno.test("bytesToText() keeps every byte and their order", () => {
  fc.assert(fc.property(anyBytes, anyBytes, (a, b) => {
    const [textA, textB] = [bytesToText(a), bytesToText(b)];
    assertEquals([...textToBytes(textA)], [...a]);
    const order = Math.sign(
      [...a].findIndex((byte, i) => byte !== b[i]) < 0
        ? a.length - b.length
        : compareBytes(a, b),
    );
    assertEquals(textA < textB ? -1 : textA > textB ? 1 : 0, order);
  }));
});

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

Deno.test("bytesToText() reads a part of a larger buffer", () => {
  const bytes = new Uint8Array([9, 0, 255, 9]).subarray(0, 4);
  assertEquals(bytesToText(bytes, 1, 3), "\0\xff");
  assertEquals([...textToBytes("ab\0", 1)], [98, 0]);
});

Deno.test("mergeSorted() and lowerBound() agree with sorting and searching", () => {
  const anyTexts = fc.array(fc.string({ maxLength: 2 }));
  fc.assert(fc.property(anyTexts, anyTexts, fc.string(), (a, b, wanted) => {
    const unique = (texts: string[]) => [...new Set(texts)].sort();
    const merged = mergeSorted(unique(a), unique(b));
    assertEquals(merged, unique([...a, ...b]));
    const expected = merged.findIndex((text) => text >= wanted);
    assertEquals(
      lowerBound(merged, wanted),
      expected < 0 ? merged.length : expected,
    );
  }));
});

const ascii = (length: number) => "a\0\x7f~".repeat(65).slice(0, length);
/** Texts, and whether they are short and ASCII. */
const texts: readonly (readonly [string, boolean])[] = [
  ["", true],
  ["\0", true],
  ["\x7f", true],
  [ascii(255), true],
  [ascii(256), true],
  [ascii(257), false],
  ["\u0080", false],
  ["\u0080a", false],
  ["a\u0080", false],
  [ascii(255) + "\u0080", false],
  [ascii(256) + "\u0080", false],
  ["\u07ff\u0800\uffff", false],
  ["\u{10000}", false],
  ["\ufeff", false],
  ["\ufeffa", false],
  ["a\ufeff", false],
  ["\ud800", false],
  ["a\udc00b", false],
  ["\udc00\ud800", false],
  [ascii(256) + "\ud800", false],
];

Deno.test("utf8Of() gives what TextEncoder does, in bytes that nobody else has", () => {
  const encoder = new TextEncoder();
  const given = texts.map(([text]) => utf8Of(text));
  texts.forEach(([text], i) => assertEquals(given[i], encoder.encode(text)));
  given.forEach((bytes, i) => bytes.fill(i));
  given.forEach((bytes, i) =>
    assertEquals(bytes.every((byte) => byte === i), true)
  );
});

Deno.test("shortAscii() answers what is short and ASCII as TextDecoder does, and nothing else", () => {
  const encoder = new TextEncoder();
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  for (const [text, isShort] of texts) {
    const whole = encoder.encode(text);
    assertEquals(shortAscii(whole), isShort ? text : undefined);
    // As a part of a buffer, and cut anywhere, also within a character.
    const within = new Uint8Array([0xff, 0xff, ...whole, 0xff]);
    for (let length = 0; length <= whole.length; length++) {
      const cut = whole.subarray(0, length);
      const found = shortAscii(within, 2, 2 + length);
      assertEquals(found, shortAscii(cut));
      const isAscii = cut.every((byte) => byte < 0x80);
      assertEquals(
        found,
        isAscii && length <= 256 ? decoder.decode(cut) : undefined,
      );
    }
  }
});

Deno.test("shortAscii() answers nothing for a byte beyond ASCII, wherever it is", () => {
  for (const length of [1, 2, 255, 256]) {
    for (const at of [0, length >> 1, length - 1]) {
      for (const byte of [0x80, 0xbf, 0xc0, 0xff]) {
        const bytes = new Uint8Array(length).fill(0x61).fill(byte, at, at + 1);
        assertEquals(shortAscii(bytes), undefined);
        // Bytes around the part that is asked for say nothing of it.
        assertEquals(shortAscii(bytes, 0, at), "a".repeat(at));
        assertEquals(shortAscii(bytes, at + 1), "a".repeat(length - at - 1));
      }
    }
  }
});
