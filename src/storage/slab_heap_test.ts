import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { SlabHeap } from "./slab_heap.ts";

function filled(length: number, seed: number): Uint8Array {
  return new Uint8Array(length).fill(seed);
}

Deno.test("SlabHeap.view() returns what was put, whatever else was added and removed", () => {
  fc.assert(fc.property(
    fc.array(
      fc.tuple(
        fc.nat(5),
        fc.constantFrom(0, 1, 7, 100, 5_000, 20_000, 70_000),
      ),
      { maxLength: 100 },
    ),
    (puts) => {
      const heap = new SlabHeap<string>();
      const places = new Map<string, number>();
      const expected = new Map<string, Uint8Array>();
      puts.forEach(([owner, length], i) => {
        const name = String(owner);
        const before = places.get(name);
        places.set(name, heap.put(filled(length, i), name));
        expected.set(name, filled(length, i));
        if (before !== undefined) heap.release(before);
        for (;;) {
          const sparse = heap.takeSparse();
          if (sparse === undefined) break;
          for (const one of sparse.owners) {
            const place = places.get(one) as number;
            if (!heap.isIn(place, sparse.index)) continue;
            places.set(one, heap.put(heap.view(place), one));
          }
          heap.drop(sparse.index);
        }
      });
      for (const [name, value] of expected) {
        const found = heap.view(places.get(name) as number);
        assertEquals(found.length, value.length);
        assert(found.every((byte) => byte === value[0]));
      }
    },
  ));
});

Deno.test("SlabHeap frees the space of replaced contents", () => {
  const heap = new SlabHeap<string>();
  let place = heap.put(filled(100, 0), "a");
  for (let i = 1; i < 50_000; i++) {
    const next = heap.put(filled(100, i), "a");
    heap.release(place);
    place = next;
    for (let one = heap.takeSparse(); one; one = heap.takeSparse()) {
      if (heap.isIn(place, one.index)) {
        place = heap.put(heap.view(place), "a");
      }
      heap.drop(one.index);
    }
  }
  assert(heap.bytes <= 3 * 64 * 1024, `${heap.bytes} bytes for one content`);
  assertEquals(heap.view(place)[0], 49_999 & 255);
});

Deno.test("SlabHeap allocates little memory at first", () => {
  const heap = new SlabHeap<string>();
  heap.put(filled(10, 1));
  assert(heap.bytes <= 2048);
});
