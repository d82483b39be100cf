import { assert, assertEquals } from "@std/assert";
import { compareTexts } from "./text_order.ts";

Deno.test("compareTexts() sorts by UTF-16 units, not as people of some country would", () => {
  const sorted = ["", "Z", "a", "ab", "b", "z", "ä", "\u{1f600}", "\uff61"];
  assertEquals([...sorted].reverse().sort(compareTexts), sorted);
});

Deno.test("compareTexts() is 0 for equal texts only", () => {
  assertEquals(compareTexts("dev1@h", "dev1@h"), 0);
  // The same letter to a reader, but not the same name.
  assert(compareTexts("\u00e4", "a\u0308") > 0);
  assert(compareTexts("a\u0308", "\u00e4") < 0);
});
