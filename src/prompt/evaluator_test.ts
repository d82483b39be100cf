import { assertEquals, assertThrows } from "@std/assert";
import { WhorlError } from "../base/errors.ts";
import { Evaluator } from "./evaluator.ts";

Deno.test("Evaluator ends code that runs too long without awaiting, and goes on", async () => {
  using evaluator = new Evaluator({}, 50);
  const ended = await evaluator.evaluate("for (;;) {}");
  assertEquals(
    ended.type === "thrown" && String(ended.error),
    "Error: Stopped: code may run 0.05 s without awaiting",
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

Deno.test("Evaluator is alone in its thread, and leaves names as they were", async () => {
  const globals = globalThis as Record<string, unknown>;
  globals["taken"] = "before";
  try {
    {
      using evaluator = new Evaluator({ taken: "meanwhile", added: 1 });
      assertThrows(() => new Evaluator({}), WhorlError, "another one is open");
      assertEquals(await evaluator.evaluate("taken + added"), {
        type: "value",
        value: "meanwhile1",
      });
    }
    assertEquals(globals["taken"], "before");
    assertEquals(["added" in globals, "_" in globals], [false, false]);
  } finally {
    delete globals["taken"];
  }
});
