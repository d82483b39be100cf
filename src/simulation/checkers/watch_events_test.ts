import { assertEquals } from "@std/assert";
import type { RaKvEvent } from "../../ra_kv/ra_kv_client.ts";
import { type GroupWrite, GroupWrites } from "./group_writes.ts";
import { checkWatch } from "./watch_events.ts";

const write = (
  key: string,
  value: string | null,
  index?: number,
): GroupWrite => ({ key, value, index, mayBeNothing: false });
const WRITES: readonly GroupWrite[] = [
  write("a", "1", 3),
  write("b", "2", 4),
  write("a", null, 5),
  write("a", "3", 6),
  write("lease", "4", 7),
  write("c", "5"),
];
const put = (index: number, key: string, value: string): RaKvEvent => ({
  type: "put",
  key,
  index,
  value,
});
const watching = (index: number): RaKvEvent => ({ type: "watching", index });
const gone: RaKvEvent = { type: "delete", key: "a", index: 5 };
const ALL = [
  watching(2),
  put(3, "a", "1"),
  put(4, "b", "2"),
  gone,
  put(6, "a", "3"),
  put(7, "lease", "4"),
];

function checks(
  events: readonly RaKvEvent[],
  { values = true, writes = WRITES } = {},
): string[] {
  return checkWatch({
    name: "w",
    events,
    values,
    fleeting: (key) => key === "lease",
  }, new GroupWrites(writes)).map(({ check }) => check);
}

Deno.test("checkWatch() passes a watch that gets everything once, or is told that it missed something", () => {
  assertEquals(checks(ALL), []);
  assertEquals(checks([watching(4), ...ALL.slice(3)]), []);
  assertEquals(
    checks([watching(2), { type: "missed", index: 6 }, put(7, "lease", "4")]),
    [],
  );
  assertEquals(
    checks([...ALL, { type: "expire", key: "lease", index: 9 }]),
    [],
  );
  // It may have happened.
  assertEquals(checks([...ALL, put(8, "c", "5")]), []);
  assertEquals(checks([]), []);
});

Deno.test("checkWatch() reports a change that was not delivered", () => {
  assertEquals(checks(ALL.toSpliced(2, 1)), ["watch_missed"]);
  assertEquals(checks(ALL.toSpliced(3, 1)), ["watch_missed"]);
});

Deno.test("checkWatch() allows an overwritten value to be left out, if values are delivered", () => {
  const without = ALL.toSpliced(1, 1);
  assertEquals(checks(without), []);
  const keysOnly = without.map((event) =>
    event.type === "put" ? { ...event, value: undefined } : event
  );
  assertEquals(checks(keysOnly, { values: false }), ["watch_missed"]);
});

Deno.test("checkWatch() reports events delivered twice or out of order", () => {
  assertEquals(checks([...ALL, put(7, "lease", "4")]), ["watch_twice"]);
  assertEquals(checks([watching(3), ...ALL.slice(1)]), ["watch_twice"]);
  assertEquals(checks([ALL[0]!, ALL[2]!, ALL[1]!, ...ALL.slice(3)]), [
    "watch_order",
  ]);
  assertEquals(checks([...ALL, watching(3)]), ["watch_order"]);
});

Deno.test("checkWatch() reports events that nobody has written", () => {
  assertEquals(checks([...ALL, put(8, "b", "9")]), ["watch_phantom"]);
  assertEquals(checks([...ALL, { ...gone, key: "b", index: 8 }]), [
    "watch_phantom",
  ]);
  assertEquals(checks([...ALL, { type: "expire", key: "b", index: 8 }]), [
    "watch_phantom",
  ]);
});
