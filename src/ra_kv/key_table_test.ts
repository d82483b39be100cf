import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { KeyTable } from "./key_table.ts";
import type { KeyTableView } from "./key_table_view.ts";

const encoder = new TextEncoder();

function find(table: KeyTable, key: string): number {
  const bytes = encoder.encode(`<${key}>`);
  return table.find(bytes, 1, bytes.length - 1);
}

function put(table: KeyTable, key: string, index: number): number {
  const bytes = encoder.encode(`<${key}>`);
  const record = table.findOrAdd(bytes, 1, bytes.length - 1);
  table.set(record, index, index % 7, index % 2, index % 3 ? 0 : index * 10);
  return record;
}

/** Adds what the table says of `record`. */
function visit(
  table: KeyTable,
  record: number,
  found: Record<string, unknown[]>,
): void {
  const key = new TextDecoder().decode(table.keyOf(record));
  assert(!(key in found), `${key} is there twice`);
  assertEquals(find(table, key), record);
  found[key] = [
    table.indexOf(record),
    table.valueHashOf(record),
    table.flagsOf(record),
    table.expiryOf(record),
  ];
}

function contents(table: KeyTable): Record<string, unknown[]> {
  const found: Record<string, unknown[]> = {};
  for (let record = 0; record < table.recordEnd; record++) {
    if (table.has(record)) visit(table, record, found);
  }
  return found;
}

Deno.test("KeyTable behaves like a Map, whatever is put and removed in any order", () => {
  // Few slots and many keys: chains merge and are broken up again.
  const key = fc.nat(40).map((n) => `k${"x".repeat(n % 5)}${n}`);
  const step = fc.tuple(fc.constantFrom("put", "put", "remove"), key);
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 300 }),
      fc.nat(),
      (steps, seed) => {
        const table = new KeyTable(seed);
        const model = new Map<string, unknown[]>();
        steps.forEach(([what, key], at) => {
          const index = at + 1;
          if (what === "put") {
            put(table, key, index);
            model.set(key, [
              index,
              index % 7,
              index % 2,
              index % 3 ? 0 : index * 10,
            ]);
            return;
          }
          const record = find(table, key);
          assertEquals(record >= 0, model.delete(key));
          if (record >= 0) table.remove(record);
        });
        assertEquals(contents(table), Object.fromEntries(model));
        assertEquals(table.size, model.size);
        let keyBytes = 0;
        for (const key of model.keys()) keyBytes += key.length;
        assertEquals(table.keyBytes, keyBytes);
        for (let n = 0; n <= 40; n++) {
          const key = `k${"x".repeat(n % 5)}${n}`;
          assertEquals(find(table, key) >= 0, model.has(key));
        }
      },
    ),
    { numRuns: 300 },
  );
});

Deno.test("KeyTable frees the bytes of removed keys", () => {
  const table = new KeyTable(1);
  for (let n = 0; n < 20_000; n++) put(table, `a key of some length ${n}`, n);
  const before = table.byteCount;
  for (let n = 0; n < 19_000; n++) {
    table.remove(find(table, `a key of some length ${n}`));
  }
  assert(table.byteCount < before - 200_000);
  for (let n = 19_000; n < 20_000; n++) {
    assertEquals(table.indexOf(find(table, `a key of some length ${n}`)), n);
  }
});

Deno.test("KeyTable.view() visits each key once, as it was, while the table changes", () => {
  const key = fc.nat(40).map((n) => `k${n}`);
  const step = fc.tuple(
    fc.constantFrom("put", "remove", "advance", "view"),
    key,
    fc.nat(20),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const table = new KeyTable(1);
      const views: {
        readonly was: Record<string, unknown[]>;
        readonly visited: Record<string, unknown[]>;
        readonly view: KeyTableView;
      }[] = [];
      steps.forEach(([what, key, count], at) => {
        if (what === "put") put(table, key, at + 1);
        else if (what === "remove") {
          const record = find(table, key);
          if (record >= 0) table.remove(record);
        } else if (what === "view") {
          const visited: Record<string, unknown[]> = {};
          const view = table.view((record) => visit(table, record, visited));
          assertEquals(view.size, table.size);
          views.push({ was: contents(table), visited, view });
        } else {
          const view = views.at(count % 3 - 1)?.view;
          for (let i = 0; i < count && view?.advance(); i++);
        }
      });
      for (const { was, visited, view } of views) {
        while (view.advance());
        assertEquals(visited, was);
        table.release(view);
      }
      for (let n = 0; n <= 40; n++) put(table, `k${n}`, 1_000);
      for (const { was, visited } of views) assertEquals(visited, was);
    }),
    { numRuns: 300 },
  );
});

Deno.test("KeyTable uses as much memory as its module comment says", () => {
  const table = new KeyTable(1);
  const bytes = new Uint8Array(8);
  for (let n = 0; n < 131_072; n++) {
    new DataView(bytes.buffer).setUint32(0, n);
    const record = table.findOrAdd(bytes, 0, 8);
    table.set(record, n + 1, 0, 0, 0);
  }
  assertEquals(table.size, 131_072);
  assert(table.byteCount / table.size <= 40 + 8, `${table.byteCount}`);
});

Deno.test("KeyTable behaves like a Map over many pages, and reuses records for other keys", () => {
  const table = new KeyTable(3);
  const model = new Map<string, number>();
  for (let n = 0; n < 30_000; n++) {
    const key = `key ${n}`;
    model.set(key, put(table, key, n + 1));
    if (n % 3 !== 0) continue;
    const gone = `key ${n / 3}`;
    table.remove(model.get(gone) as number);
    model.delete(gone);
  }
  assertEquals(table.size, model.size);
  assert(table.recordEnd < 30_000, "free records are used again");
  for (const [key, record] of model) assertEquals(find(table, key), record);
  for (let n = 0; n < 10_000; n++) assertEquals(find(table, `key ${n}`), -1);
  assertEquals(Object.keys(contents(table)).length, model.size);
});

/** Bytes of the arrays that `action` allocates. */
function bytesMadeBy(action: () => void): number {
  const kinds = [Uint8Array, Uint16Array, Uint32Array, Float64Array] as const;
  let bytes = 0;
  const restore = kinds.map((Kind) => {
    const place = globalThis as unknown as Record<string, typeof Kind>;
    place[Kind.name] = new Proxy(Kind, {
      construct(target, [size, ...rest]) {
        if (typeof size === "number") bytes += size * Kind.BYTES_PER_ELEMENT;
        return Reflect.construct(target, [size, ...rest]);
      },
    });
    return () => void (place[Kind.name] = Kind);
  });
  try {
    action();
  } finally {
    restore.forEach((each) => each());
  }
  return bytes;
}

Deno.test("KeyTable grows in small steps, however many keys there are", () => {
  // A page with its keys, and a segment of slots: the most that is filled or
  // moved at once.
  const pieceBytesMax = 350 * 1024;
  const table = new KeyTable(1);
  let most = 0;
  for (let n = 0; n < 150_000; n++) {
    const key = `customer/${n}/address`;
    const bytes = bytesMadeBy(() => put(table, key, n + 1));
    most = Math.max(most, bytes);
    assert(bytes <= pieceBytesMax, `${bytes} bytes at ${n}`);
  }
  assert(most > pieceBytesMax / 4, `${most} bytes: it is not counted`);
});
