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

Deno.test("checkLiveEntries() accepts the entries of what was found, and that a value has come to its end", () => {
  assertEquals(messages([4, 9]), []);
  assertEquals(messages([4]), []);
});

Deno.test("checkLiveEntries() finds an entry that is let go of while it holds a key", () => {
  assertEquals(messages([9]), [
    'A member does not call entry 4 live, which holds "left"',
    'A member does not call entry 4 live, which holds "right"',
  ]);
});

Deno.test("checkLiveEntries() finds an entry that is kept for nothing", () => {
  assertEquals(messages([2, 4, 9]), [
    "A member calls entry 2 live, which holds no value",
  ]);
});
