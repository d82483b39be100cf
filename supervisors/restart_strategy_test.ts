import { assertEquals } from "@std/assert";
import { restartGroup, shouldRestart } from "./restart_strategy.ts";

Deno.test("restartGroup() names who is restarted with the second of four", () => {
  assertEquals(restartGroup("one_for_one", 1, 4), { from: 1, to: 2 });
  assertEquals(restartGroup("one_for_all", 1, 4), { from: 0, to: 4 });
  assertEquals(restartGroup("rest_for_one", 1, 4), { from: 1, to: 4 });
});

Deno.test("shouldRestart() follows OTP: always, when abnormal, never", () => {
  const kinds = ["permanent", "transient", "temporary"] as const;
  assertEquals(kinds.map((kind) => shouldRestart(kind, "normal")), [
    true,
    false,
    false,
  ]);
  assertEquals(kinds.map((kind) => shouldRestart(kind, "killed")), [
    true,
    true,
    false,
  ]);
});
