import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { isWhorlError, madeOnce, reasonOf, WhorlError } from "./errors.ts";

Deno.test("WhorlError carries its code, its data and what was behind it", () => {
  const cause = new Error("disk full");
  const error = new WhorlError("store_full", "Cannot write", {
    details: { path: "/data" },
    cause,
  });
  assert(error instanceof Error);
  assertEquals(error.name, "WhorlError");
  assertEquals(error.code, "store_full");
  assertEquals(error.message, "Cannot write");
  assertEquals(error.details, { path: "/data" });
  assertStrictEquals(error.cause, cause);
  assertEquals(String(error), "WhorlError: Cannot write");
});

Deno.test("WhorlError has no cause unless it is given one, be it undefined", () => {
  assertEquals("cause" in new WhorlError("timeout", "Too late"), false);
  assertEquals(
    "cause" in new WhorlError("timeout", "Too late", { cause: undefined }),
    true,
  );
  assertEquals(new WhorlError("timeout", "Too late").details, {});
});

Deno.test("isWhorlError() tells them from others, and by code", () => {
  const error: unknown = new WhorlError("timeout", "Too late");
  assertEquals(isWhorlError(error), true);
  assertEquals(isWhorlError(error, "timeout"), true);
  assertEquals(isWhorlError(error, "overload"), false);
  assertEquals(isWhorlError(new Error("timeout"), "timeout"), false);
  assertEquals(isWhorlError({ name: "WhorlError", code: "timeout" }), false);
  assertEquals(isWhorlError(undefined), false);
});

Deno.test("madeOnce() makes an error when it is first asked for, and gives the same to all", () => {
  let made = 0;
  const error = madeOnce(() => new WhorlError("closed", `Made ${++made}`));
  const another = madeOnce(() => new WhorlError("closed", "Another"));
  assertEquals(made, 0);
  const first = error();
  assertEquals(first.message, "Made 1");
  assertStrictEquals(error(), first);
  assertEquals([made, another().message], [1, "Another"]);
});

Deno.test("reasonOf() says something of whatever was thrown", () => {
  assertEquals(reasonOf(new WhorlError("timeout", "Too late")), "Too late");
  assertEquals(reasonOf(new RangeError("Too far")), "Too far");
  assertEquals(reasonOf("thrown text"), "thrown text");
  assertEquals(reasonOf(undefined), "undefined");
  assertEquals(reasonOf(null), "null");
});
