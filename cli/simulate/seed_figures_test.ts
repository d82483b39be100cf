import { assertEquals } from "@std/assert";
import { emptyTally } from "../../src/simulation/schedule/seed_summary.ts";
import {
  ratesOf,
  renderFailedSeed,
  renderSeedBar,
  renderSeedProgress,
  renderTally,
} from "./seed_figures.ts";

const failure = {
  seed: "17",
  violations: [
    { check: "lost_write", message: "Gone\nat line 2" },
    { check: "diverged", message: "Two" },
  ],
  undecided: [],
  ok: 0,
  failed: 0,
  unknown: 0,
  events: 0,
  virtualMs: 0,
  faults: {},
  changes: {},
};
const undecided = (seed: string) => ({
  ...failure,
  seed,
  violations: [],
  undecided: ["linearizable"],
});
const tally = {
  ...emptyTally(),
  seeds: 500,
  ok: 20_000,
  failed: 3_000,
  unknown: 2_000,
  events: 4_000_000,
  virtualMs: 5_000_000,
  faults: { kill: 10, pause: 300 },
};

Deno.test("ratesOf() counts by second, by worker and by virtual time", () => {
  assertEquals(ratesOf(tally, 2_500, 2), {
    seedsPerSecond: 200,
    seedsPerSecondAndWorker: 100,
    eventsPerSecond: 1_600_000,
    timesRealTime: 2_000,
  });
});

Deno.test("renderSeedProgress() shows progress, rate and remaining time", () => {
  const size = { count: 1_000, jobs: 2 };
  const text =
    "2.5s left · 200 seeds/s (100 a worker) · 1.60M events/s · 2000x real time · 20000 operations ok";
  assertEquals(
    renderSeedProgress(tally, 2_500, size),
    `500 of 1000 seeds · ${text}`,
  );
  const troubled = { ...tally, failures: [failure], undecidedCount: 4 };
  assertEquals(
    renderSeedProgress(troubled, 2_500, size),
    `500 of 1000 seeds · 1 FAILED · 4 undecided · ${text}`,
  );
  assertEquals(
    renderSeedBar(tally, 2_500, size),
    `${"█".repeat(12)}${"░".repeat(12)}  50%  500 of 1000 seeds · ${text}`,
  );
});

Deno.test("renderTally() counts what is undecided as neither passed nor failed", () => {
  const names = Array.from({ length: 12 }, (_, index) => String(index));
  assertEquals(
    renderTally(
      {
        ...tally,
        failures: [failure],
        undecided: names.map(undecided),
        undecidedCount: 12,
      },
      2_500,
      2,
    ),
    [
      "500 seeds in 2.5s on 2 workers: 487 passed, 1 failed, 12 undecided",
      "200 seeds/s (100 a worker) · 1.60M events/s · 2000x real time",
      "25000 operations: 20000 ok, 3000 failed, 2000 unknown",
      "faults: 300 pause, 10 kill",
      `undecided, which is not passed: ${
        names.slice(0, 10).map((seed) => `${seed} (linearizable)`).join(", ")
      } and 2 more`,
    ],
  );
});

Deno.test("renderFailedSeed() is one line", () => {
  assertEquals(
    renderFailedSeed(failure),
    "FAIL seed=17 check=lost_write: Gone (and 1 more)",
  );
});
