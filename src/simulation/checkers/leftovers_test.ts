import { assertEquals } from "@std/assert";
import { checkLeftovers } from "./leftovers.ts";

Deno.test("checkLeftovers() passes if nothing is left", () => {
  assertEquals(checkLeftovers("n1", { timers: 0, tasks: 0, streams: 0 }), []);
});

Deno.test("checkLeftovers() reports what is left", () => {
  const [violation] = checkLeftovers("n1", { timers: 2, tasks: 0, streams: 1 });
  assertEquals(violation!.message, "n1 has left behind 2 timers, 1 streams");
  assertEquals(violation!.details, { timers: 2, streams: 1 });
});
