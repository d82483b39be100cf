import { assertEquals } from "@std/assert";
import { STUCK_AFTER_MS, StuckGroups } from "./stuck_groups.ts";

/** An attempt that took a second. */
function attempt(group: string, endedMs: number, term = 1) {
  return { group, term, begunMs: endedMs - 1_000, endedMs };
}

Deno.test("StuckGroups reports once that a group keeps failing, and again after a success", () => {
  const groups = new StuckGroups();
  const failed = (at: number) => groups.failed(attempt("a", 1_000 + at));
  assertEquals(failed(0), false);
  assertEquals(failed(STUCK_AFTER_MS - 1_001), false);
  assertEquals(failed(STUCK_AFTER_MS - 1_000), true);
  assertEquals(failed(2 * STUCK_AFTER_MS), false);
  assertEquals(groups.succeeded("a"), true);
  assertEquals(groups.succeeded("a"), false);
  assertEquals(failed(3 * STUCK_AFTER_MS), false);
  assertEquals(failed(4 * STUCK_AFTER_MS), true);
});

Deno.test("StuckGroups counts each group and leader separately, and forgets former groups", () => {
  const groups = new StuckGroups();
  const late = 10 * STUCK_AFTER_MS;
  for (const group of ["a", "b", "c"]) groups.failed(attempt(group, 1_000));
  assertEquals(groups.succeeded("b"), false);
  groups.keep((group) => group !== "c");
  const told = ["a", "b", "c"].map((group) =>
    groups.failed(attempt(group, late))
  );
  assertEquals(told, [true, false, false]);
  assertEquals(groups.failed(attempt("a", late + 1_000, 2)), false);
});
