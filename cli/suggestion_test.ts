import { assertEquals } from "@std/assert";
import { nearest } from "./suggestion.ts";

Deno.test("nearest() suggests similar names only", () => {
  const known = ["ping", "member-status", "get", "put"];
  assertEquals(nearest("pnig", known), "ping");
  assertEquals(nearest("member", known), "member-status");
  assertEquals(nearest("gte", known), undefined);
  assertEquals(nearest("gett", known), "get");
  assertEquals(nearest("explode", known), undefined);
  assertEquals(nearest("x", []), undefined);
});
