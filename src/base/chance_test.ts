import {
  assert,
  assertEquals,
  assertNotEquals,
  assertThrows,
} from "@std/assert";
import { type Chance, fnv1a32, seededChance } from "./chance.ts";

function draws(chance: Chance, count = 8): number[] {
  return Array.from({ length: count }, () => chance.next());
}

Deno.test("seededChance() draws these numbers, on every machine and in every version", () => {
  // A seed in a bug report must replay: whoever changes these breaks them all.
  const chance = seededChance("whorl");
  assertEquals(
    Array.from({ length: 6 }, () => chance.below(0x1_0000_0000)),
    [4159402416, 870850652, 240172557, 1183624631, 1646642926, 4190371351],
  );
});

Deno.test("seededChance() gives equal numbers for equal seeds, and others for others", () => {
  assertEquals(draws(seededChance(7)), draws(seededChance("7")));
  const seen = new Set<number>();
  for (let seed = 0; seed < 1_000; seed++) seen.add(seededChance(seed).next());
  assertEquals(seen.size, 1_000);
});

Deno.test("Chance.next() is spread evenly over [0, 1)", () => {
  const chance = seededChance(1);
  const counts = new Array(10).fill(0);
  for (let i = 0; i < 100_000; i++) {
    const drawn = chance.next();
    assert(drawn >= 0 && drawn < 1);
    counts[Math.floor(drawn * 10)]++;
  }
  // Nine standard deviations of a binomial; the seed is fixed, so it never flickers.
  for (const count of counts) {
    assert(Math.abs(count - 10_000) < 900, `${counts}`);
  }
});

Deno.test("Chance.below() draws every number below its bound and no other", () => {
  const chance = seededChance(2);
  const seen = new Set<number>();
  for (let i = 0; i < 500; i++) seen.add(chance.below(7));
  assertEquals([...seen].sort(), [0, 1, 2, 3, 4, 5, 6]);
  assertEquals(chance.below(1), 0);
});

Deno.test("Chance.below() refuses bounds it cannot draw from", () => {
  const chance = seededChance(3);
  for (const bound of [0, -1, 1.5, NaN, Infinity, 2 ** 32 + 1]) {
    assertThrows(
      () => chance.below(bound),
      RangeError,
      `Cannot draw below ${bound}`,
    );
  }
});

Deno.test("Chance.chance() holds as often as it should", () => {
  const chance = seededChance(4);
  let held = 0;
  for (let i = 0; i < 10_000; i++) {
    if (chance.chance(0.2)) held++;
    assert(!chance.chance(0));
    assert(chance.chance(1));
  }
  assert(held > 1_800 && held < 2_200, `${held}`);
});

Deno.test("Chance.pick() takes any item and refuses to take one of none", () => {
  const chance = seededChance(5);
  const items = ["a", "b", "c"];
  const seen = new Set(Array.from({ length: 100 }, () => chance.pick(items)));
  assertEquals([...seen].sort(), items);
  assertThrows(() => chance.pick([]), RangeError, "empty list");
});

Deno.test("Chance.shuffle() reaches every order about equally often, in place", () => {
  const chance = seededChance(6);
  const counts = new Map<string, number>();
  for (let i = 0; i < 6_000; i++) {
    const items = ["a", "b", "c"];
    assertEquals(chance.shuffle(items) === items, true);
    const order = items.join("");
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  assertEquals(counts.size, 6);
  for (const count of counts.values()) assert(count > 850 && count < 1_150);
});

Deno.test("Chance.fork() is not moved by what is drawn later, and differs by purpose", () => {
  const one = seededChance(8);
  const fork = one.fork("gossip");
  const two = seededChance(8);
  const sameFork = two.fork("gossip");
  draws(two, 100);
  assertEquals(draws(fork), draws(sameFork));
  assertNotEquals(
    draws(seededChance(8).fork("claim")),
    draws(seededChance(8).fork("gossip")),
  );
  assertNotEquals(draws(seededChance(8).fork("")), draws(seededChance(8)));
});

Deno.test("fnv1a32() is FNV-1a as published", () => {
  // Test vectors of draft-eastlake-fnv.
  assertEquals(fnv1a32(""), 0x811c9dc5);
  assertEquals(fnv1a32("a"), 0xe40c292c);
  assertEquals(fnv1a32("foobar"), 0xbf9cf968);
});
