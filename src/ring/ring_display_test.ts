/**
 * Tests of the ring picture against what riak_core printed
 * (tests/golden/display.json and display_plan.txt).
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { ringStatusText } from "./ring_display.ts";
import golden from "../../tests/golden/display.json" with { type: "json" };

const names = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => `dev${i + 1}@127.0.0.1`);

Deno.test("ringStatusText() draws every ring as riak_core does", () => {
  assertEquals(golden.prettyPrint.length, 7);
  for (const { nodes, ringSize, owners, text } of golden.prettyPrint) {
    assertEquals(
      ringStatusText({ ringSize, owners, nodes: names(nodes) }),
      text,
    );
  }
});

Deno.test("ringStatusText() lists members that own nothing", () => {
  const text = ringStatusText({
    ringSize: 8,
    owners: new Uint16Array(8),
    nodes: names(2),
  });
  assertEquals(text.includes("Node b: 0 (  0.0%) dev2@127.0.0.1\n"), true);
});

Deno.test("ringStatusText() groups letters by targetN and closes whole groups only", () => {
  const text = ringStatusText({
    ringSize: 8,
    owners: [0, 1, 0, 1, 0, 1, 0, 1],
    nodes: names(2),
    targetN: 3,
  });
  assertEquals(text.endsWith("\naba|bab|ab\n"), true);
});

Deno.test("ringStatusText() uses z for the 26th node and numbers from 27 nodes on", () => {
  const owners = Array.from({ length: 32 }, (_, i) => i % 26);
  const letters = ringStatusText({ ringSize: 32, owners, nodes: names(26) });
  assertEquals(
    letters.endsWith("\nabcd|efgh|ijkl|mnop|qrst|uvwx|yzab|cdef|\n"),
    true,
  );
  const numbers = ringStatusText({
    ringSize: 32,
    owners: Array.from({ length: 32 }, (_, i) => i % 27),
    nodes: names(27),
  });
  assertEquals(numbers.includes("Node 27: 1 (  3.1%) dev27@127.0.0.1\n"), true);
  assertEquals(
    numbers.endsWith(
      "\n 1  2  3  4| 5  6  7  8| 9 10 11 12|13 14 15 16|17 18 19 20|" +
        "21 22 23 24|25 26 27  1| 2  3  4  5|\n",
    ),
    true,
  );
});
