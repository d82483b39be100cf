import { assertEquals, assertThrows } from "@std/assert";
import { WhorlError } from "../base/errors.ts";
import { LastText } from "./last_text.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);

Deno.test("LastText.of() decodes texts, repeated or new", () => {
  const names = new LastText();
  for (const text of ["", "a", "a", "ab", "b", "ü", "", "ü"]) {
    assertEquals(names.of(bytesOf(text)), text);
  }
});

Deno.test("LastText.of() decodes a range, and does not confuse it with another", () => {
  const names = new LastText();
  const bytes = bytesOf("one two one");
  assertEquals(names.of(bytes, 0, 3), "one");
  assertEquals(names.of(bytes, 4, 7), "two");
  assertEquals(names.of(bytes, 8, 11), "one");
  assertEquals(names.of(bytes, 8, 10), "on");
  assertEquals(names.of(bytes), "one two one");
});

Deno.test("LastText.of() keeps no view of its argument", () => {
  const names = new LastText();
  const bytes = bytesOf("one");
  names.of(bytes);
  bytes.set(bytesOf("two"));
  assertEquals(names.of(bytes), "two");
  assertEquals(names.of(bytesOf("one")), "one");
});

Deno.test("LastText.of() refuses what is not UTF-8, and still remembers the last text", () => {
  const names = new LastText();
  names.of(bytesOf("one"));
  assertThrows(() => names.of(Uint8Array.of(0xff)), WhorlError);
  assertThrows(() => names.of(Uint8Array.of(0xff)), WhorlError);
  assertEquals(names.of(bytesOf("one")), "one");
});
