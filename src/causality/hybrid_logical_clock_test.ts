/**
 * Tests of hybrid logical clocks.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import {
  compareHybridStamps,
  compareHybridTimes,
  HYBRID_COUNT_MAX,
  hybridLeadMs,
  hybridStart,
  receiveHybrid,
  tickHybrid,
} from "./hybrid_logical_clock.ts";

Deno.test("tickHybrid() follows the wall clock while it advances", () => {
  assertEquals(tickHybrid(hybridStart, 1000), { wallMs: 1000, count: 0 });
  const later = tickHybrid({ wallMs: 1000, count: 7 }, 1001.9);
  assertEquals(later, { wallMs: 1001, count: 0 });
});

Deno.test("tickHybrid() counts while the wall clock stands still or goes back", () => {
  const last = { wallMs: 1000, count: 3 };
  for (const wallMs of [1000, 1000.9, 999, 0]) {
    assertEquals(tickHybrid(last, wallMs), { wallMs: 1000, count: 4 });
  }
});

Deno.test("tickHybrid() moves on a millisecond when the count is used up", () => {
  const last = { wallMs: 1000, count: HYBRID_COUNT_MAX };
  assertEquals(tickHybrid(last, 1000), { wallMs: 1001, count: 0 });
});

Deno.test("receiveHybrid() is after the local and the received moment", () => {
  const local = { wallMs: 1000, count: 3 };
  const cases: [number, number, number, { wallMs: number; count: number }][] = [
    [2000, 5, 1500, { wallMs: 2000, count: 6 }],
    [1000, 9, 1000, { wallMs: 1000, count: 10 }],
    [900, 9, 950, { wallMs: 1000, count: 4 }],
    [2000, 5, 3000, { wallMs: 3000, count: 0 }],
  ];
  for (const [wallMs, count, now, expected] of cases) {
    const after = receiveHybrid(local, { wallMs, count }, now);
    assertEquals(after, expected);
    assertEquals(compareHybridTimes(after, local) > 0, true);
    assertEquals(compareHybridTimes(after, { wallMs, count }) > 0, true);
  }
});

Deno.test("compareHybridStamps() orders by time, then count, then node", () => {
  const ordered = [
    { wallMs: 1, count: 9, node: "z" },
    { wallMs: 2, count: 0, node: "b" },
    { wallMs: 2, count: 1, node: "a" },
    { wallMs: 2, count: 1, node: "b" },
  ];
  ordered.forEach((a, i) =>
    ordered.forEach((b, j) =>
      assertEquals(Math.sign(compareHybridStamps(a, b)), Math.sign(i - j))
    )
  );
});

Deno.test("hybridLeadMs() is how far a stamp is ahead, never less than 0", () => {
  assertEquals(hybridLeadMs({ wallMs: 1500, count: 0 }, 1000), 500);
  assertEquals(hybridLeadMs({ wallMs: 500, count: 0 }, 1000), 0);
});
