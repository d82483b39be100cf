import { assertEquals } from "@std/assert";
import { HistoryRecorder } from "../history.ts";
import { checkExpiry } from "./expiry.ts";
import type { RaKvInput, RaKvOutput } from "./ra_kv_model.ts";

/** A put that begins at `putMs` and takes 10 ms, and a get at `getMs` that finds nothing. */
function checks(putMs: number, getMs: number, key = "lease"): string[] {
  let nowMs = putMs;
  const history = new HistoryRecorder<RaKvInput, RaKvOutput>(() => nowMs);
  const put = history.invoke("c", key, { type: "put", value: "a" });
  nowMs += 10;
  history.succeed(put, 1);
  nowMs = getMs;
  history.succeed(history.invoke("d", key, { type: "get" }), null);
  return checkExpiry(
    history.records,
    (key) => key === "lease" ? 100 : undefined,
  ).map(({ check }) => check);
}

Deno.test("checkExpiry() reports a value that is gone before it expires", () => {
  assertEquals(checks(5, 90), ["expired_early"]);
  assertEquals(checks(5, 103.9), ["expired_early"]);
});

Deno.test("checkExpiry() allows a value to expire on time, with a resolution of milliseconds", () => {
  assertEquals(checks(5, 104), []);
  assertEquals(checks(5, 500), []);
});

Deno.test("checkExpiry() ignores puts that had not returned before the get, and other keys", () => {
  assertEquals(checks(5, 15), []);
  assertEquals(checks(5, 50, "k0"), []);
});
