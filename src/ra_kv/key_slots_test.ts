import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { seededChance } from "../base/chance.ts";
import { KeySlots } from "./key_slots.ts";

/** Whether a reader of the slots finds `record`. */
function has(slots: KeySlots, hash: number, record: number): boolean {
  const segment = slots.slotsOf(hash);
  const mask = segment.length - 1;
  for (let slot = hash & mask;; slot = (slot + 1) & mask) {
    if (segment[slot] === 0) return false;
    if (segment[slot] === record + 1) return true;
  }
}

/** Slots with a record for each of `hashes`. */
function slotsWith(hashes: readonly number[]): KeySlots {
  const slots = new KeySlots((record) => hashes[record] as number);
  hashes.forEach((hash, record) => slots.add(hash, record));
  return slots;
}

Deno.test("KeySlots finds what was added and not removed, whatever the hashes", () => {
  // Few distinct bits at either end: segments fill up, and chains wrap around.
  const hash = fc.tuple(fc.nat(3), fc.nat(40)).map(([high, low]) =>
    (high << 30 | low) >>> 0
  );
  fc.assert(
    fc.property(
      fc.array(fc.tuple(hash, fc.boolean()), { maxLength: 200 }),
      (steps) => {
        const hashes = steps.map(([each]) => each);
        const slots = new KeySlots((record) => hashes[record] as number);
        const there = new Set<number>();
        steps.forEach(([each, stays], record) => {
          slots.add(each, record);
          there.add(record);
          if (stays) return;
          const [oldest] = there;
          slots.remove(hashes[oldest as number] as number, oldest as number);
          there.delete(oldest as number);
        });
        hashes.forEach((each, record) =>
          assertEquals(has(slots, each, record), there.has(record))
        );
      },
    ),
    { numRuns: 300 },
  );
});

Deno.test("KeySlots splits segments as it grows, and always finds every record", () => {
  const chance = seededChance("key slots");
  const hashes = Array.from({ length: 60_000 }, () => chance.below(2 ** 32));
  const slots = new KeySlots((record) => hashes[record] as number);
  let growths = 0;
  let before = slots.byteCount;
  hashes.forEach((hash, record) => {
    slots.add(hash, record);
    if (slots.byteCount === before) return;
    before = slots.byteCount;
    growths++;
    for (let other = record; other >= 0; other -= 7) {
      const found = has(slots, hashes[other] as number, other);
      assert(found, `${other} when there are ${record + 1}`);
    }
  });
  assert(growths > 16, `${growths} growths`);
  hashes.forEach((hash, record) => assert(has(slots, hash, record)));
  hashes.forEach((hash, record) => {
    if (record % 2 === 0) slots.remove(hash, record);
  });
  hashes.forEach((hash, record) =>
    assertEquals(has(slots, hash, record), record % 2 === 1)
  );
  const lengths = new Set(hashes.map((hash) => slots.slotsOf(hash).length));
  assertEquals([...lengths], [16_384], "none is larger than one that divides");
});

Deno.test("KeySlots never moves more than half a segment at once, whatever its size", () => {
  const chance = seededChance("moved slots");
  const hashes = Array.from({ length: 60_000 }, () => chance.below(2 ** 32));
  let moved = 0;
  let movedMax = 0;
  const slots = new KeySlots((record) => {
    moved++;
    return hashes[record] as number;
  });
  hashes.forEach((hash, record) => {
    moved = 0;
    slots.add(hash, record);
    movedMax = Math.max(movedMax, moved);
  });
  assertEquals(movedMax, 8_192);
});

Deno.test("KeySlots splits one range of hashes even if all others are empty", () => {
  const hashes = Array.from(
    { length: 20_000 },
    (_, i) => (0xa5a5_0000 | i * 3) >>> 0,
  );
  const slots = slotsWith([...hashes, 0, 0xffff_ffff, 0xa5a4_ffff]);
  [...hashes, 0, 0xffff_ffff, 0xa5a4_ffff].forEach((hash, record) =>
    assert(has(slots, hash, record), `${record}`)
  );
  // Their first 16 bits are the same, so their segment had to grow.
  assertEquals(slots.slotsOf(hashes[0] as number).length, 65_536);
  assertEquals(slots.slotsOf(0).length, 16_384);
});

Deno.test("KeySlots splits a segment that has many places in the directory", () => {
  const chance = seededChance("shallow");
  // The directory uses 16 bits before the other segments are first split.
  const hashes = [
    ...Array.from({ length: 20_000 }, (_, i) => (0xa5a5_0000 | i) >>> 0),
    ...Array.from({ length: 40_000 }, () => chance.below(2 ** 32)),
  ];
  const slots = slotsWith(hashes);
  hashes.forEach((hash, record) => assert(has(slots, hash, record)));
  for (let place = 0; place < 2 ** 16; place++) {
    const hash = place * 2 ** 16;
    if (place !== 0xa5a5) assertEquals(slots.slotsOf(hash).length, 16_384);
  }
});

Deno.test("KeySlots does not grow when records are added and removed repeatedly", () => {
  const slots = new KeySlots((record) => record);
  const before = slots.byteCount;
  for (let record = 0; record < 10_000; record++) {
    slots.add(record, record);
    slots.remove(record, record);
  }
  assertEquals(slots.byteCount, before);
});
