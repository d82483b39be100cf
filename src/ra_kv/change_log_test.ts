import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { ChangeKind, ChangeLog, CHANGES_KEPT_MAX } from "./change_log.ts";

function add(log: ChangeLog, index: number, key: string): void {
  const bytes = new TextEncoder().encode(`<${key}>`);
  log.add(index, ChangeKind.put, bytes, 1, bytes.length - 1);
}

function after(log: ChangeLog, index: number, count = Infinity): string[] {
  const seen: string[] = [];
  if (count === 0) return seen;
  log.visitAfter(index, ({ index, bytes, start, end }) => {
    const key = new TextDecoder().decode(bytes.subarray(start, end));
    seen.push(`${index} ${key}`);
    return seen.length < count;
  });
  return seen;
}

Deno.test("ChangeLog.visitAfter() shows the changes after an index until the visitor stops it", () => {
  const steps = fc.array(fc.nat(3), { maxLength: 300 });
  fc.assert(
    fc.property(steps, fc.nat(50), fc.nat(20), (steps, from, count) => {
      const log = new ChangeLog(0);
      let index = 1;
      const all = steps.map((step, at) => {
        index += step;
        add(log, index, `key ${at}`);
        return { index, text: `${index} key ${at}` };
      });
      const expected = all.filter(({ index }) => index > from)
        .map(({ text }) => text);
      assertEquals(after(log, from), expected);
      assertEquals(after(log, from, count), expected.slice(0, count));
    }),
  );
});

Deno.test("ChangeLog keeps a bounded number of changes and tells up to where they are gone", () => {
  const log = new ChangeLog(7);
  assertEquals(log.floor, 7);
  const last = 3 * CHANGES_KEPT_MAX;
  for (let index = 8; index <= last; index++) add(log, index, "k");
  const kept = last - log.floor;
  assert(kept <= CHANGES_KEPT_MAX && kept > CHANGES_KEPT_MAX / 2, `${kept}`);
  const seen = after(log, log.floor);
  assertEquals(seen.length, kept);
  assertEquals(seen[0], `${log.floor + 1} k`);
});

Deno.test("ChangeLog keeps fewer changes of long keys", () => {
  const log = new ChangeLog(0);
  for (let index = 1; index <= 4_000; index++) {
    add(log, index, "k".repeat(1_000));
  }
  assert(log.floor > 3_000, `${log.floor}`);
  assertEquals(after(log, log.floor).length, 4_000 - log.floor);
});

Deno.test("ChangeLog.floor never splits an entry whose changes are in two parts", () => {
  const log = new ChangeLog(0);
  // More changes than all parts hold, in entries of 100.
  for (let index = 1; index <= 120; index++) {
    for (let n = 0; n < 100; n++) add(log, index, `${n}`);
  }
  const { floor } = log;
  assertEquals(after(log, floor).length, (120 - floor) * 100);
});
