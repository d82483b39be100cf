import { assertEquals } from "@std/assert";
import { checkLiveEntries, type FoundEntry } from "./live_entries.ts";

const FOUND: readonly FoundEntry[] = [
  { key: "left", index: 4, mayEnd: false },
  { key: "right", index: 4, mayEnd: false },
  { key: "gone", index: 0, mayEnd: false },
  { key: "lease", index: 9, mayEnd: true },
];

function messages(live: readonly number[]): string[] {
  return checkLiveEntries("A member", live, FOUND).map(({ message }) =>
    message
  );
}

Deno.test("checkLiveEntries() accepts the entries of the values found, and an expired value", () => {
  assertEquals(messages([4, 9]), []);
  assertEquals(messages([4]), []);
});

Deno.test("checkLiveEntries() reports an entry that is not live although it holds a value", () => {
  assertEquals(messages([9]), [
    'A member does not call entry 4 live, which holds "left"',
    'A member does not call entry 4 live, which holds "right"',
  ]);
});

Deno.test("checkLiveEntries() reports a live entry that holds no value", () => {
  assertEquals(messages([2, 4, 9]), [
    "A member calls entry 2 live, which holds no value",
  ]);
});
