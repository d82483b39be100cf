import { assertEquals } from "@std/assert";
import { type GroupWrite, GroupWrites } from "./group_writes.ts";
import { checkStaleReads, type StaleRead } from "./stale_reads.ts";

const write = (
  key: string,
  value: string | null,
  index?: number,
): GroupWrite => ({ key, value, index, mayBeNothing: false });
const WRITES = new GroupWrites([
  write("a", "1", 3),
  write("a", "2", 5),
  write("b", "3", 4),
  write("b", null, 6),
  write("c", "4"),
]);
const READ: StaleRead = {
  life: "n1",
  key: "a",
  value: "2",
  index: 5,
  appliedIndex: 5,
  commitIndex: 6,
  fleeting: false,
};

function checks(...reads: Partial<StaleRead>[]): string[] {
  return checkStaleReads(reads.map((read) => ({ ...READ, ...read })), WRITES)
    .map(({ check }) => check);
}

const OLD: Partial<StaleRead> = { value: "1", index: 3, appliedIndex: 4 };
const NONE: Partial<StaleRead> = { value: null, index: 0 };

Deno.test("checkStaleReads() allows a member to be behind, as far as it has applied", () => {
  assertEquals(checks({}, { appliedIndex: 2 }), []);
  assertEquals(checks(OLD, {}), []);
  assertEquals(checks({ ...NONE, appliedIndex: 2 }), []);
  assertEquals(checks({ ...NONE, key: "b", appliedIndex: 6 }), []);
  assertEquals(checks({ key: "c", value: "4", index: 7, commitIndex: 7 }), []);
});

Deno.test("checkStaleReads() reports a value older than the member had applied", () => {
  assertEquals(checks({ ...OLD, appliedIndex: 5 }), ["stale_read_behind"]);
  assertEquals(checks(NONE), ["stale_read_behind"]);
  assertEquals(checks({ ...NONE, fleeting: true }), []);
  assertEquals(checks({ ...NONE, key: "b" }), []);
});

Deno.test("checkStaleReads() reports a value older than an earlier read of the same member", () => {
  assertEquals(checks({}, OLD), ["stale_read_falls"]);
  assertEquals(checks({}, { ...OLD, life: "n2" }), []);
});

Deno.test("checkStaleReads() reports values that were not committed, or never written", () => {
  assertEquals(checks({ commitIndex: 4 }), ["stale_read_uncommitted"]);
  assertEquals(checks({ value: "9" }), ["stale_read_phantom"]);
});
