import { assertEquals, assertThrows } from "@std/assert";
import { isWhorlError } from "./errors.ts";
import { invariant, InvariantError } from "./invariant.ts";

Deno.test("invariant() lets pass what holds", () => {
  const value = "text" as string | undefined;
  invariant(value !== undefined, "there is a value");
  // Compiles only as it narrows the type.
  assertEquals(value.length, 4);
});

Deno.test("invariant() throws the rule, as an error that no caller is meant to meet", () => {
  const error = assertThrows(
    () => invariant(false, "acks are from the preference list"),
    InvariantError,
    "Broken invariant: acks are from the preference list",
  );
  assertEquals(error.name, "InvariantError");
  assertEquals(isWhorlError(error), false);
});
