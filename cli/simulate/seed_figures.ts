/**
 * What a run of many seeds looks like: the line while it goes on, and what it
 * came to.
 *
 * @module
 */
import { formatDuration, renderBar } from "../../src/admin/figure_text.ts";
import type {
  SeedSummary,
  SeedTally,
} from "../../src/simulation/schedule/seed_summary.ts";

/** Undecided seeds that are named; the rest are counted. */
const UNDECIDED_SHOWN_MAX = 10;

/** How fast it goes. */
export interface SeedRates {
  readonly seedsPerSecond: number;
  readonly seedsPerSecondAndWorker: number;
  readonly eventsPerSecond: number;
  /** Virtual time that passes in a second of real time, in seconds. */
  readonly timesRealTime: number;
}

/** The rates of `tally`, reached by `jobs` workers in so many milliseconds. */
export function ratesOf(
  tally: SeedTally,
  elapsedMs: number,
  jobs: number,
): SeedRates {
  const seconds = Math.max(elapsedMs, 1) / 1_000;
  return {
    seedsPerSecond: tally.seeds / seconds,
    seedsPerSecondAndWorker: tally.seeds / seconds / jobs,
    eventsPerSecond: tally.events / seconds,
    timesRealTime: tally.virtualMs / 1_000 / seconds,
  };
}

/** One line about a run under way, without a bar. */
export function renderSeedProgress(
  tally: SeedTally,
  elapsedMs: number,
  { count, jobs }: { readonly count: number; readonly jobs: number },
): string {
  const share = tally.seeds / count;
  // What matters most comes first: a narrow terminal shows no more.
  const facts = [`${tally.seeds} of ${count} seeds`];
  if (tally.failures.length > 0) facts.push(`${tally.failures.length} FAILED`);
  if (tally.undecidedCount > 0) facts.push(`${tally.undecidedCount} undecided`);
  // The first moments say nothing about how long it will take.
  if (share > 0.01 && share < 1) {
    facts.push(`${formatDuration(elapsedMs / share * (1 - share))} left`);
  }
  facts.push(
    rateText(ratesOf(tally, elapsedMs, jobs)),
    `${tally.ok} operations ok`,
  );
  return facts.join(" · ");
}

/** The same with a bar, for a terminal. */
export function renderSeedBar(
  tally: SeedTally,
  elapsedMs: number,
  size: { readonly count: number; readonly jobs: number },
): string {
  const bar = renderBar(tally.seeds / size.count);
  return `${bar}  ${renderSeedProgress(tally, elapsedMs, size)}`;
}

/** What a run came to, as lines. */
export function renderTally(
  tally: SeedTally,
  elapsedMs: number,
  jobs: number,
): string[] {
  const failed = tally.failures.length;
  const passed = tally.seeds - failed - tally.undecidedCount;
  const operations = tally.ok + tally.failed + tally.unknown;
  const lines = [
    `${tally.seeds} seeds in ${
      formatDuration(elapsedMs)
    } on ${jobs} workers: ${passed} passed, ${failed} failed, ${tally.undecidedCount} undecided`,
    rateText(ratesOf(tally, elapsedMs, jobs)),
    `${operations} operations: ${tally.ok} ok, ${tally.failed} failed, ${tally.unknown} unknown`,
    `faults: ${countsText(tally.faults) || "none"}`,
  ];
  const changes = countsText(tally.changes);
  if (changes !== "") lines.push(`changes: ${changes}`);
  const acts = countsText(tally.acts);
  if (acts !== "") lines.push(`acts on the group: ${acts}`);
  if (tally.undecidedCount > 0) {
    const shown = tally.undecided.slice(0, UNDECIDED_SHOWN_MAX);
    const more = tally.undecidedCount - shown.length;
    lines.push(
      `undecided, which is not passed: ${
        shown.map(({ seed, undecided }) => `${seed} (${undecided.join(", ")})`)
          .join(", ")
      }${more > 0 ? ` and ${more} more` : ""}`,
    );
  }
  return lines;
}

/** Counts by kind, the commonest first. */
function countsText(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts).sort(([, a], [, b]) => b - a)
    .map(([type, count]) => `${count} ${type}`).join(", ");
}

/** One line about a seed that failed. */
export function renderFailedSeed({ seed, violations }: SeedSummary): string {
  const [first] = violations;
  const more = violations.length - 1;
  const [message = ""] = first?.message.split("\n") ?? [];
  return `FAIL seed=${seed} check=${first?.check}: ${message}${
    more > 0 ? ` (and ${more} more)` : ""
  }`;
}

function rateText(rates: SeedRates): string {
  return [
    `${rounded(rates.seedsPerSecond)} seeds/s (${
      rounded(rates.seedsPerSecondAndWorker)
    } a worker)`,
    `${thousands(rates.eventsPerSecond)} events/s`,
    `${Math.round(rates.timesRealTime)}x real time`,
  ].join(" · ");
}

function rounded(value: number): string {
  return value < 10 ? value.toFixed(1) : String(Math.round(value));
}

function thousands(value: number): string {
  return value < 1_000_000
    ? `${rounded(value / 1_000)}k`
    : `${(value / 1_000_000).toFixed(2)}M`;
}
