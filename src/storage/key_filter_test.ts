import { assert, assertEquals } from "@std/assert";
import { seededChance } from "../base/chance.ts";
import { KeyFilter } from "./key_filter.ts";

function hashes(count: number, seed: string): number[] {
  const chance = seededChance(seed);
  return Array.from({ length: count }, () => chance.below(2 ** 32) | 0);
}

Deno.test("KeyFilter.mayHave() never denies a key that was added", () => {
  const filter = new KeyFilter(1 << 20);
  const added = hashes(200_000, "added");
  for (const hash of added) filter.add(hash);
  for (const hash of added) assert(filter.mayHave(hash));
  assert(
    filter.mayHave((added[0] as number) >>> 0),
    "sign makes no difference",
  );
});

Deno.test("KeyFilter.mayHave() denies 95 % of the keys that were not added", () => {
  const filter = new KeyFilter(8 << 20);
  for (const hash of hashes(500_000, "added")) filter.add(hash);
  const wrong = hashes(100_000, "strangers")
    .filter((hash) => filter.mayHave(hash)).length;
  assert(wrong < 5_000, `${wrong} of 100000`);
});

Deno.test("KeyFilter uses no more memory than its budget, and still denies no added key", () => {
  const filter = new KeyFilter(64 * 1024);
  const added = hashes(300_000, "many");
  for (const hash of added) filter.add(hash);
  assert(filter.bytes <= 64 * 1024);
  for (const hash of added) assert(filter.mayHave(hash));
});

Deno.test("KeyFilter.restore() undoes save()", () => {
  const filter = new KeyFilter(1 << 20);
  const added = hashes(50_000, "saved");
  for (const hash of added) filter.add(hash);
  const restored = new KeyFilter(1 << 20);
  restored.restore(filter.save());
  for (const hash of added) assert(restored.mayHave(hash));
  for (const hash of hashes(1_000, "strangers")) {
    assertEquals(restored.mayHave(hash), filter.mayHave(hash));
  }
  const more = hashes(50_000, "more");
  for (const hash of more) restored.add(hash);
  for (const hash of more) assert(restored.mayHave(hash));
});
