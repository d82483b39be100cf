import { assertEquals, assertMatch } from "@std/assert";
import { WHORL_VERSION } from "./version.ts";

Deno.test("WHORL_VERSION is the version in deno.json", async () => {
  const url = new URL("../../deno.json", import.meta.url);
  const { version } = JSON.parse(await Deno.readTextFile(url));
  assertEquals(WHORL_VERSION, version);
  assertMatch(WHORL_VERSION, /^\d+\.\d+\.\d+(-[0-9a-z.]+)?$/);
});
