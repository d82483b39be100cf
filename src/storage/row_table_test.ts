import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { bytesToText, textToBytes } from "../base/byte_text.ts";
import type { ScanRange } from "../environment/storage.ts";
import { RowPass, RowTable } from "./row_table.ts";

const bytes = (...values: number[]) => new Uint8Array(values);

/** Key and first byte of the value of the row `pass` stands at. */
function rowOf(pass: RowPass): [string, number] {
  const { keyBytes, keyStart, keyEnd, valueBytes, valueStart, valueEnd } = pass;
  assert(valueEnd > valueStart);
  return [
    bytesToText(keyBytes, keyStart, keyEnd),
    valueBytes[valueStart] as number,
  ];
}

function rowsOf(table: RowTable, range: ScanRange = {}): [string, number][] {
  const rows: [string, number][] = [];
  const pass = new RowPass(table, range);
  while (pass.step()) rows.push(rowOf(pass));
  return rows;
}

// Few keys, so that they are removed and come again.
const anyKey = fc.array(fc.constantFrom(0, 1, 128, 255), { maxLength: 3 })
  .map((key) => String.fromCharCode(...key));
const anyRange = fc.record({
  start: fc.option(anyKey, { nil: undefined }),
  end: fc.option(anyKey, { nil: undefined }),
  reverse: fc.boolean(),
  limit: fc.option(fc.nat(8), { nil: undefined }),
}).map(({ start, end, reverse, limit }) => ({
  reverse,
  ...(start === undefined ? {} : { start: textToBytes(start) }),
  ...(end === undefined ? {} : { end: textToBytes(end) }),
  ...(limit === undefined ? {} : { limit }),
}));
type Range = typeof anyRange extends fc.Arbitrary<infer T> ? T : never;

function boundsOf({ start, end }: Range): Pick<ScanRange, "start" | "end"> {
  return {
    ...(start === undefined ? {} : { start }),
    ...(end === undefined ? {} : { end }),
  };
}

function inRange(key: string, { start, end }: Range): boolean {
  return (start === undefined || key >= bytesToText(start)) &&
    (end === undefined || key < bytesToText(end));
}

const anyCall = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      call: fc.constant("set" as const),
      key: anyKey,
      length: fc.constantFrom(1, 30, 5_000, 20_000),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ call: fc.constant("delete" as const), key: anyKey }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      call: fc.constant("deleteRange" as const),
      range: anyRange,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      call: fc.constant("begin" as const),
      range: anyRange,
    }),
  },
  { weight: 6, arbitrary: fc.record({ call: fc.constant("step" as const) }) },
  { weight: 4, arbitrary: fc.record({ call: fc.constant("order" as const) }) },
);

/** A pass under way, and what may and must come of it. */
interface Watched {
  readonly pass: RowPass;
  readonly range: Range;
  /** Keys that have been there all the time since it began. */
  readonly lasting: Set<string>;
  readonly seen: string[];
  over: boolean;
}

Deno.test("RowTable is a sorted map, and a pass sees each key that stays once and in order, whatever else changes", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(0.25, 0.5, 1, 512),
      fc.array(anyCall, { minLength: 80, maxLength: 200, size: "max" }),
      (rowsAtOnce, calls) => {
        const table = new RowTable(rowsAtOnce);
        const model = new Map<string, Uint8Array>();
        const passes: Watched[] = [];
        const remove = (key: string): void => {
          model.delete(key);
          for (const { lasting } of passes) lasting.delete(key);
        };
        const step = (watched: Watched): void => {
          const { pass, range, seen } = watched;
          if (watched.over) return;
          watched.over = !pass.step();
          if (watched.over) return;
          const [key, first] = rowOf(pass);
          assertEquals(first, model.get(key)?.[0], `${key} is as it is now`);
          assert(inRange(key, range));
          const last = seen.at(-1);
          assert(last === undefined || (key > last) !== range.reverse);
          assert(key !== last);
          seen.push(key);
        };
        let seed = 0;
        for (const call of calls) {
          if (call.call === "set") {
            const value = new Uint8Array(call.length).fill(++seed);
            table.set(textToBytes(call.key), value);
            model.set(call.key, value);
          } else if (call.call === "delete") {
            table.delete(textToBytes(call.key));
            remove(call.key);
          } else if (call.call === "deleteRange") {
            table.deleteRange(boundsOf(call.range));
            for (const key of [...model.keys()]) {
              if (inRange(key, call.range)) remove(key);
            }
          } else if (call.call === "begin") {
            passes.push({
              pass: new RowPass(table, call.range),
              range: call.range,
              lasting: new Set(
                [...model.keys()].filter((key) => inRange(key, call.range)),
              ),
              seen: [],
              over: false,
            });
          } else if (call.call === "order") table.putInOrder();
          else passes.forEach(step);
          table.moveFromSparseSlabs();
          assertEquals(table.size, model.size);
        }
        for (const watched of passes) {
          while (!watched.over) step(watched);
          const { lasting, seen, range } = watched;
          if (range.limit !== undefined) {
            assert(seen.length <= range.limit);
            continue;
          }
          for (const key of lasting) {
            assert(seen.includes(key), `${key} is seen`);
          }
        }
        for (const [key, value] of model) {
          assertEquals(table.get(textToBytes(key)), value);
        }
        assertEquals(
          rowsOf(table),
          [...model].sort(([a], [b]) => a < b ? -1 : 1)
            .map(([key, value]) => [key, value[0] as number]),
        );
      },
    ),
    { numRuns: 150 },
  );
});

Deno.test("RowTable reuses row numbers, so that adding and removing rows does not grow its memory", () => {
  const table = new RowTable();
  table.set(bytes(1), bytes(1));
  assertEquals(rowsOf(table).length, 1);
  for (let i = 0; i < 10_000; i++) {
    table.set(bytes(2, i >> 8, i), bytes(1));
    table.delete(bytes(2, i >> 8, i));
  }
  assert(table.inOrder().length < 200, `${table.inOrder().length} numbers`);
});

Deno.test("RowPass continues at its place when the rows before and after it are renumbered", () => {
  const table = new RowTable();
  for (let i = 0; i < 100; i++) table.set(bytes(i), bytes(i));
  const pass = new RowPass(table, {});
  for (let i = 0; i <= 50; i++) assert(pass.step());
  assertEquals(rowOf(pass)[1], 50);
  // All of these, the one it stands at included, give up their numbers to others.
  for (let i = 0; i <= 90; i++) table.delete(bytes(i));
  for (let i = 0; i <= 90; i++) table.set(bytes(200, i), bytes(200));
  table.inOrder();
  assert(pass.step());
  assertEquals(rowOf(pass)[1], 91);
});

Deno.test("RowTable.get() returns a value that later writes do not change", () => {
  const table = new RowTable();
  table.set(bytes(1), bytes(7, 7));
  const before = table.get(bytes(1));
  for (let i = 0; i < 10_000; i++) {
    table.set(bytes(1), bytes(8, 8));
    table.moveFromSparseSlabs();
  }
  assertEquals(before, bytes(7, 7));
  assertEquals(table.get(bytes(1)), bytes(8, 8));
  assert(table.bytes <= 3 * 64 * 1024);
});

Deno.test("RowTable.putInOrder() sorts a share of the rows at a time, and includes those added meanwhile", () => {
  const rowsAtOnce = 8;
  const table = new RowTable(rowsAtOnce);
  const rows = 4_000;
  const key = (number: number) => textToBytes(`${number}`.padStart(6, "0"));
  for (let i = 0; i < rows; i++) table.set(key(i * 7_919 % rows * 2), bytes(1));
  let steps = 0;
  let come = 1;
  while (!table.putInOrder()) {
    steps++;
    if (steps % 10 > 0) continue;
    table.set(key(come), bytes(2));
    table.delete(key(come + 1));
    come += 2;
  }
  // Taken once and merged once, 32 rows at a time.
  const share = 4 * rowsAtOnce;
  assert(steps >= 2 * rows / share - come, `${steps}`);
  assert(steps < 3 * rows / share, `${steps}`);
  const found = rowsOf(table);
  assertEquals(found.length, rows);
  assertEquals(found, found.toSorted((a, b) => a[0] < b[0] ? -1 : 1));
  // What has come since is woven into it.
  for (let i = 0; i < 500; i++) table.set(key(2 * rows + i), bytes(3));
  steps = 0;
  while (!table.putInOrder()) steps++;
  assert(steps >= 2 * 500 / share && steps < 200, `${steps}`);
  assertEquals(rowsOf(table).length, rows + 500);
});
