import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { backoffDelayMs } from "../../supervisors/backoff.ts";
import { crash } from "../../supervisors/exit_reason.ts";
import {
  addRestart,
  createIntensity,
} from "../../supervisors/restart_intensity.ts";
import { WhorlError } from "../base/errors.ts";
import {
  MASTER_BACKOFF,
  MASTER_RESTARTS_MAX,
  MASTER_RESTARTS_PERIOD_MS,
  masterPausesAfter,
  masterWaiting,
  partPausesAfter,
} from "./master_backoff.ts";

const full = new WhorlError("store_full", "Cannot write /d/store: it is full");
const notStarted = Object.assign(
  new Error("Cannot start kv-0", { cause: full }),
  { code: "start_failed" },
);

Deno.test("MASTER_BACKOFF never exceeds the restart intensity, whatever chance draws", () => {
  for (const chance of [0, 0.5, 0.999999]) {
    const intensity = createIntensity({
      intensity: MASTER_RESTARTS_MAX - 1,
      periodMs: MASTER_RESTARTS_PERIOD_MS,
    });
    let nowMs = 0;
    for (let attempt = 0; attempt < 100; attempt++) {
      // A restart counts from the moment it is decided.
      assert(addRestart(intensity, nowMs), `restart ${attempt}, ${chance}`);
      const pauseMs = backoffDelayMs(MASTER_BACKOFF, attempt, chance);
      assertEquals(pauseMs === 0, attempt === 0);
      nowMs += pauseMs;
    }
  }
});

const damaged = new WhorlError("store_corrupt", "Cannot read /d/store");

Deno.test("masterPausesAfter() applies to failures that time may cure, and to failed starts", () => {
  for (const ran of [true, false]) {
    assert(masterPausesAfter(crash(full), ran));
    assert(masterPausesAfter(crash(notStarted), ran));
    assert(!masterPausesAfter(crash(damaged), ran));
    assertEquals(masterPausesAfter(crash(new Error("a bug")), ran), !ran);
    assertEquals(masterPausesAfter("killed", ran), !ran);
  }
});

Deno.test("partPausesAfter() applies to failed starts, unless a store is damaged", () => {
  assert(partPausesAfter(crash(notStarted), false));
  assert(partPausesAfter(crash(new Error("no room")), false));
  assert(!partPausesAfter(crash(damaged), false));
  assert(!partPausesAfter(crash(full), true));
  assert(!partPausesAfter("killed", true));
});

Deno.test("masterWaiting() names the store's failure, or tells what else stopped the master", () => {
  const error = masterWaiting("kv-0", crash(notStarted));
  assertEquals(error.code, "store_full");
  assertEquals(error.details.master, "kv-0");
  assertStringIncludes(error.message, full.message);
  const other = masterWaiting("kv-0", crash(new Error("no such module")));
  assertEquals(other.code, "vnode_crashed");
  assertStringIncludes(other.message, "no such module");
});
