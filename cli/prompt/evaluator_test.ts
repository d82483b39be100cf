import { assertEquals } from "@std/assert";
import { Evaluator } from "./evaluator.ts";

Deno.test("Evaluator ends code that runs too long without awaiting, and goes on", async () => {
  using evaluator = new Evaluator({}, 50);
  const ended = await evaluator.evaluate("for (;;) {}");
  assertEquals(
    ended.type === "thrown" && String(ended.error),
    "Error: Ended, as code may run 0.05 s without awaiting",
  );
  assertEquals(await evaluator.evaluate("1 + 1"), { type: "value", value: 2 });
});

Deno.test("Evaluator hands each value to whoever asked when several ask at once", async () => {
  const scope = { one: { first: 1 }, two: { second: 2 } };
  using evaluator = new Evaluator(scope);
  const [ofOne, value, ofTwo] = await Promise.all([
    evaluator.membersOf("one"),
    evaluator.evaluate("two"),
    evaluator.membersOf("two"),
  ]);
  assertEquals([ofOne, ofTwo], [["first"], ["second"]]);
  assertEquals(value.type === "value" && value.value === scope.two, true);
});
