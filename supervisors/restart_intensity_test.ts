import { assertEquals, assertThrows } from "@std/assert";
import { addRestart, createIntensity } from "./restart_intensity.ts";

Deno.test("addRestart() bears as many restarts as intensity says, and not one more", () => {
  const state = createIntensity({ intensity: 3, periodMs: 1_000 });
  assertEquals(
    [0, 1, 2, 3].map((nowMs) => addRestart(state, nowMs)),
    [true, true, true, false],
  );
});

Deno.test("addRestart() still counts a restart exactly one period old, as OTP does", () => {
  const state = createIntensity({ intensity: 1, periodMs: 1_000 });
  assertEquals(addRestart(state, 0), true);
  assertEquals(addRestart(state, 1_000), false);
  const later = createIntensity({ intensity: 1, periodMs: 1_000 });
  assertEquals(addRestart(later, 0), true);
  assertEquals(addRestart(later, 1_001), true);
});

Deno.test("addRestart() with intensity 0 bears none", () => {
  const state = createIntensity({ intensity: 0, periodMs: 1_000 });
  assertEquals(addRestart(state, 0), false);
});

Deno.test("createIntensity() refuses limits that make no sense", () => {
  for (const limit of [[-1, 1], [1, -1], [NaN, 1], [1, NaN]] as const) {
    const [intensity, periodMs] = limit;
    assertThrows(() => createIntensity({ intensity, periodMs }), RangeError);
  }
});
