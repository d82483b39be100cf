/**
 * Mixes as data: what a seed comes to.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { seededChance } from "../../../src/base/chance.ts";
import {
  drawMixOperation,
  itemAt,
  MIX_KINDS,
  MIX_PERCENT,
  type MixOperation,
} from "./mix_plan.ts";

function draw(seed: string, count: number): MixOperation[] {
  const chance = seededChance(seed);
  return Array.from({ length: count }, () => drawMixOperation(chance));
}

Deno.test("drawMixOperation() draws each kind as often as ra's harness does, and the same from the same seed", () => {
  const count = 100_000;
  const drawn = draw("a", count);
  assertEquals(draw("a", 100), drawn.slice(0, 100));
  for (const kind of MIX_KINDS) {
    const percent = drawn.filter((one) => one.kind === kind).length /
      count * 100;
    // Five standard deviations of the rarest kind are a sixth of a percent.
    assert(
      Math.abs(percent - MIX_PERCENT[kind]) < 0.8,
      `${kind}: ${percent} of a hundred`,
    );
  }
  assertEquals(
    Object.values(MIX_PERCENT).reduce(
      (sum: number, percent) => sum + percent,
      0,
    ),
    100,
  );
});

Deno.test("itemAt() has a place for each item, and none where there are none", () => {
  assertEquals(
    [0, 0.33, 0.34, 0.99].map((place) => itemAt(["a", "b", "c"], place)),
    ["a", "a", "b", "c"],
  );
  assertEquals(itemAt([], 0.5), undefined);
});
