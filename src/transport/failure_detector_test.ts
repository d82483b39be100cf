import { assert, assertEquals } from "@std/assert";
import { seededChance } from "../base/chance.ts";
import {
  answered,
  checkSilence,
  createFailureDetector,
  FAILURE_DETECTOR_DEFAULTS,
  type FailureDetectorState,
  forgivePause,
  phi,
} from "./failure_detector.ts";

const { pingIntervalMs } = FAILURE_DETECTOR_DEFAULTS;

/** A peer that has answered `answers` times, each after `intervalMs`; the clock stands at the last. */
function answering(
  answers: number,
  intervalMs: () => number,
): { detector: FailureDetectorState; nowMs: number } {
  let nowMs = 0;
  const detector = createFailureDetector(nowMs);
  for (let i = 0; i < answers; i++) {
    nowMs += intervalMs();
    answered(detector, nowMs);
  }
  return { detector, nowMs };
}

/** Milliseconds of silence at which suspicion begins, looked for in steps of 10 ms. */
function suspectedAfterMs(
  detector: FailureDetectorState,
  nowMs: number,
): number {
  for (let silent = 0; silent <= 10_000; silent += 10) {
    if (checkSilence(detector, nowMs + silent) === "suspect") return silent;
  }
  throw new Error("never suspected");
}

Deno.test("checkSilence() suspects a regular peer after 1.5 to 2.5 seconds of silence", () => {
  const { detector, nowMs } = answering(100, () => pingIntervalMs);
  const after = suspectedAfterMs(detector, nowMs);
  assert(after >= 1_500 && after <= 2_500, `${after} ms`);
});

Deno.test("checkSilence() suspects a peer that has never answered", () => {
  const after = suspectedAfterMs(createFailureDetector(0), 0);
  assert(after >= 1_500 && after <= 2_500, `${after} ms`);
});

Deno.test("checkSilence() keeps both its bounds whatever the earlier intervals were", () => {
  for (let seed = 0; seed < 200; seed++) {
    const chance = seededChance(seed);
    const spread = chance.next() * 4_000;
    const { detector, nowMs } = answering(
      chance.below(150),
      () => Math.floor(chance.next() * spread),
    );
    detector.suspected = false;
    const after = suspectedAfterMs(detector, nowMs);
    assert(after >= 1_500 && after <= 2_500, `seed ${seed}: ${after} ms`);
  }
});

Deno.test("checkSilence() does not suspect a peer whose collector pauses it for a second", () => {
  let nowMs = 0;
  const detector = createFailureDetector(nowMs);
  for (let round = 0; round < 50; round++) {
    for (let i = 0; i < 10; i++) {
      nowMs += pingIntervalMs;
      answered(detector, nowMs);
      assertEquals(checkSilence(detector, nowMs), undefined);
    }
    // The pause begins just before the next answer would have left.
    const untilMs = nowMs + pingIntervalMs + 1_000;
    for (; nowMs < untilMs; nowMs += 50) {
      assertEquals(checkSilence(detector, nowMs), undefined);
    }
    // The pings that waited are answered in one burst.
    for (let i = 0; i < 4; i++) answered(detector, nowMs);
  }
});

Deno.test("checkSilence() reports a suspicion once, and answered() its end once", () => {
  const { detector, nowMs } = answering(10, () => pingIntervalMs);
  assertEquals(checkSilence(detector, nowMs + 3_000), "suspect");
  assertEquals(checkSilence(detector, nowMs + 4_000), undefined);
  assertEquals(answered(detector, nowMs + 5_000), "alive");
  assertEquals(answered(detector, nowMs + 5_250), undefined);
  assertEquals(checkSilence(detector, nowMs + 5_300), undefined);
});

Deno.test("answered() does not learn an interval from an outage", () => {
  const { detector, nowMs } = answering(100, () => pingIntervalMs);
  const before = phi(detector, nowMs + 1_600);
  assertEquals(checkSilence(detector, nowMs + 60_000), "suspect");
  answered(detector, nowMs + 60_000);
  assertEquals(phi(detector, nowMs + 61_600), before);
});

Deno.test("phi() increases with silence and stays finite", () => {
  const { detector, nowMs } = answering(100, () => pingIntervalMs);
  let last = -1;
  for (let silent = 0; silent < 100_000; silent += 100) {
    const now = phi(detector, nowMs + silent);
    assert(Number.isFinite(now) && now >= 0);
    assert(now >= last, `${now} after ${silent} ms, ${last} before`);
    last = now;
  }
  assert(phi(detector, nowMs + 250) < 0.1);
  // Half of all answers come after the mean and the granted pause: φ = log10 2.
  assert(Math.abs(phi(detector, nowMs + 1_250) - Math.log10(2)) < 0.02);
});

Deno.test("phi() is slower to suspect a peer whose answers come irregularly", () => {
  const chance = seededChance(1);
  const regular = answering(64, () => 250);
  const irregular = answering(64, () => chance.next() * 500);
  assert(
    phi(irregular.detector, irregular.nowMs + 2_000) <
      phi(regular.detector, regular.nowMs + 2_000),
  );
});

Deno.test("forgivePause() does not count a pause of this process as silence of a peer", () => {
  const { detector, nowMs } = answering(10, () => pingIntervalMs);
  forgivePause(detector, 30_000);
  assertEquals(checkSilence(detector, nowMs + 30_250), undefined);
  assertEquals(checkSilence(detector, nowMs + 32_750), "suspect");
});

Deno.test("createFailureDetector() uses the bounds in its options", () => {
  const detector = createFailureDetector(0, {
    suspectAfterMsMin: 100,
    suspectAfterMsMax: 200,
  });
  assertEquals(checkSilence(detector, 199), undefined);
  assertEquals(checkSilence(detector, 200), "suspect");
});
