import { assertEquals } from "@std/assert";
import { ringViewOf } from "./ring_view.ts";

Deno.test("ringViewOf() includes a node that serves and owns nothing yet", () => {
  // A partition that has just moved is known there before the ring says so.
  const view = ringViewOf(1, ["b", "b", "c", "b"], ["a", "b"], "a");
  assertEquals(view.nodes, ["b", "c", "a"]);
  assertEquals([...view.owners], [0, 0, 1, 0]);
  assertEquals([...view.up], [1, 0, 1]);
  assertEquals(view.self, 2);
});
