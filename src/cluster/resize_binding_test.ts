import { assertEquals } from "@std/assert";
import {
  BINDING_LOOK_MS,
  BINDING_LOOKS_MAX,
  BINDING_REST_MS,
  createBinding,
  followPhase,
  lookAtBinding,
  type ResizeBinding,
} from "./resize_binding.ts";

/** Looks until writes were held for too long, and lets them be; returns how often. */
function looksUntilOverdue(binding: ResizeBinding): number {
  assertEquals(followPhase(binding, "copying", "binding"), BINDING_LOOK_MS);
  for (let looks = 1;; looks++) {
    if (lookAtBinding(binding, true)) {
      assertEquals(
        followPhase(binding, "binding", "copying"),
        BINDING_REST_MS,
      );
      assertEquals(lookAtBinding(binding, true), false);
      return looks;
    }
    assertEquals(followPhase(binding, "binding", "binding"), BINDING_LOOK_MS);
  }
}

Deno.test("lookAtBinding() doubles the time that writes may be held at each attempt, up to a bound, and starts over for another resize", () => {
  const binding = createBinding();
  const seen = Array.from({ length: 5 }, () => looksUntilOverdue(binding));
  assertEquals(seen, [1, 2, 4, 8, BINDING_LOOKS_MAX]);
  followPhase(binding, "copying", "binding");
  followPhase(binding, "binding", "reading");
  assertEquals(looksUntilOverdue(binding), 1);
});

Deno.test("lookAtBinding() ends a later attempt at the first check that finds a member gone", () => {
  const binding = createBinding();
  looksUntilOverdue(binding);
  looksUntilOverdue(binding);
  followPhase(binding, "copying", "binding");
  assertEquals(lookAtBinding(binding, true), false);
  followPhase(binding, "binding", "binding");
  assertEquals(lookAtBinding(binding, false), true);
});

Deno.test("followPhase() asks for no timer while one runs or none is needed", () => {
  const binding = createBinding();
  assertEquals(followPhase(binding, undefined, undefined), undefined);
  assertEquals(followPhase(binding, undefined, "copying"), undefined);
  assertEquals(followPhase(binding, "copying", "binding"), BINDING_LOOK_MS);
  assertEquals(followPhase(binding, "binding", "binding"), undefined);
  assertEquals(followPhase(binding, "binding", "reading"), undefined);
  // What was asked for before runs out.
  assertEquals(lookAtBinding(binding, true), false);
});
