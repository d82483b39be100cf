import { assert, assertEquals } from "@std/assert";
import { seededChance } from "../../../src/base/chance.ts";
import {
  drawPlan,
  growAndShrink,
  leaversOf,
  MEMBERS_MAX,
  MEMBERS_MIN,
  type Population,
  populationAfter,
  withReturned,
} from "./membership_plan.ts";

const NAMES = ["a", "b", "c", "d", "e", "f"];

Deno.test("growAndShrink() adds members one by one, and takes away the first ones until two are left", () => {
  const plans = growAndShrink(seededChance("x"), NAMES.slice(0, MEMBERS_MAX));
  let population: Population = { members: ["a"], outsiders: NAMES.slice(1) };
  const sizes = plans.map((plan) => {
    assertEquals(plan.kills.length, 1);
    population = populationAfter(population, plan);
    return population.members.length;
  });
  assertEquals(sizes, [2, 3, 4, 5, 4, 3, 2]);
  assertEquals(population.members, ["d", "e"]);
});

Deno.test("drawPlan() changes something, keeps within the bounds, and draws every kind", () => {
  const chance = seededChance("plans");
  let population: Population = {
    members: NAMES.slice(0, 2),
    outsiders: NAMES.slice(2),
  };
  const seen = { join: 0, leave: 0, replace: 0, aborted: 0, kill: 0 };
  for (let i = 0; i < 500; i++) {
    const plan = drawPlan(chance, population);
    const { joins, leaves, replaces, aborted, kills } = plan;
    assert(joins.length + leaves.length + replaces.length > 0);
    assert(!aborted || kills.length === 0);
    seen.join += joins.length;
    seen.leave += leaves.length;
    seen.replace += replaces.length;
    seen.aborted += Number(aborted);
    seen.kill += kills.length;
    const before = population;
    population = populationAfter(before, plan);
    assert(population.members.length >= MEMBERS_MIN);
    assert(population.members.length <= MEMBERS_MAX);
    // Somebody who was a member before must be there to be asked.
    assert(population.members.some((name) => before.members.includes(name)));
    if (!aborted) population = withReturned(population, leaversOf(plan));
    assertEquals(
      [...population.members, ...population.outsiders].sort(),
      NAMES,
    );
  }
  assert(Object.values(seen).every((count) => count > 30), Deno.inspect(seen));
});

Deno.test("drawPlan() draws the same from the same seed", () => {
  const population = { members: NAMES.slice(0, 3), outsiders: NAMES.slice(3) };
  const draw = () => drawPlan(seededChance("same"), population);
  assertEquals(draw(), draw());
});
