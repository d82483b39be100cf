import { assertEquals } from "@std/assert";
import { oncePerKeystroke, SAME_KEYSTROKE_MS } from "./stop_signals.ts";
import type { StopSignal } from "./world.ts";

function listening() {
  const heard: StopSignal[] = [];
  const clock = { nowMs: 0 };
  const hear = oncePerKeystroke(
    (signal) => heard.push(signal),
    () => clock.nowMs,
  );
  return { heard, hear, clock };
}

Deno.test("oncePerKeystroke() reports a Ctrl-C that arrives twice once, as under deno task", () => {
  const { heard, hear, clock } = listening();
  hear("SIGINT");
  clock.nowMs += 2;
  hear("SIGINT");
  assertEquals(heard, ["SIGINT"]);
});

Deno.test("oncePerKeystroke() reports a second Ctrl-C", () => {
  const { heard, hear, clock } = listening();
  hear("SIGINT");
  clock.nowMs += SAME_KEYSTROKE_MS;
  hear("SIGINT");
  assertEquals(heard, ["SIGINT", "SIGINT"]);
});

Deno.test("oncePerKeystroke() reports a different signal at once", () => {
  const { heard, hear } = listening();
  hear("SIGINT");
  hear("SIGTERM");
  assertEquals(heard, ["SIGINT", "SIGTERM"]);
});
