import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  bytesToText,
  lowerBound,
  mergeSorted,
  textToBytes,
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
