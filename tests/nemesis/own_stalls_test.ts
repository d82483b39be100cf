import { assertEquals } from "@std/assert";
import { HistoryRecorder } from "../../src/simulation/history.ts";
import { checkProgress } from "../../src/simulation/checkers/progress.ts";
import { OWN_STALL_MS_MAX, OwnStalls } from "./own_stalls.ts";

/** A process whose timers fire when the test says so. */
function bench() {
  let nowMs = 0;
  let due: (() => void) | undefined;
  const stalls = new OwnStalls(() => nowMs, {
    setTimer: (_ms, callback) => due = callback,
    clearTimer: () => due = undefined,
  });
  return {
    stalls,
    now: () => nowMs,
    /** So much time goes by, and then the timer fires. */
    pass: (ms: number) => {
      nowMs += ms;
      due?.();
    },
    isWatching: () => due !== undefined,
  };
}

Deno.test("OwnStalls counts the time by which timers are late, and nothing else", () => {
  const { stalls, pass, isWatching } = bench();
  {
    using _ = stalls.watch();
    // 0 to 20, 43, 563, 583 ms: late by 500 ms from 63 to 563.
    for (const ms of [20, 23, 520, 20]) pass(ms);
    assertEquals(stalls.longestMs, 500);
    assertEquals(stalls.within(0, 600), 500);
    assertEquals(stalls.within(100, 200), 100);
    assertEquals(stalls.within(0, 63), 0);
    assertEquals(stalls.within(500, 10_000), 63);
    assertEquals(stalls.within(563, 10_000), 0);
    pass(120);
    assertEquals(stalls.within(0, 10_000), 600);
  }
  assertEquals(isWatching(), false);
});

Deno.test("OwnStalls.allowed() excuses what the process slept over, and no more", () => {
  const { stalls, now, pass } = bench();
  using _ = stalls.watch();
  const history = new HistoryRecorder<string, string>(now);
  const late = (): number => {
    const found = checkProgress(history.records, {
      acknowledgedMin: 0,
      timeoutMs: stalls.allowed(2_000, now()),
      graceMs: 1_000,
      endedAtMs: now(),
    });
    return found.flatMap(({ operations = [] }) => operations).length;
  };
  const slept = history.invoke("c1", "k", "get");
  pass(4_020);
  history.succeed(slept, "v");
  assertEquals(late(), 0);
  // It was awake all the time, and nobody answered.
  const unanswered = history.invoke("c1", "k", "get");
  for (let i = 0; i < 155; i++) pass(20);
  history.succeed(unanswered, "v");
  assertEquals(late(), 1);
});

Deno.test("OwnStalls.violations() tells when a run is not to be judged", () => {
  const { stalls, pass } = bench();
  using _ = stalls.watch();
  pass(20 + OWN_STALL_MS_MAX);
  assertEquals(stalls.violations(), []);
  pass(21 + OWN_STALL_MS_MAX);
  assertEquals(stalls.violations().map(({ check }) => check), ["own_stalls"]);
});
