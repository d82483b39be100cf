/**
 * What a run came to: the data of its report, and the table for people.
 *
 * @module
 */
import { reasonOf } from "../../src/base/errors.ts";
import type { Violation } from "../../src/simulation/checkers/violation.ts";
import type { DiskCounts } from "./fault_library.ts";
import { run } from "./machine.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
/** What came of one kind of fault. */
export interface FaultCount {
  readonly name: string;
  readonly injected: number;
  /** Why it was not done, if it could not be. */
  readonly skipped: string | undefined;
}

/** What came of a run. */
export interface NemesisSummary {
  readonly passed: boolean;
  /** What was attacked. */
  readonly store: string;
  readonly seed: string;
  readonly commit: string;
  readonly nodes: number;
  readonly only: readonly string[] | undefined;
  readonly rounds: number;
  readonly tookMs: number;
  readonly faults: readonly FaultCount[];
  readonly operations: { ok: number; failed: number; unknown: number };
  readonly acknowledgedPerSecond: number;
  readonly longestRecoveryMs: number;
  /** For how long the process of the clients did not get to run, at most. */
  readonly longestStallMs: number;
  /** How often nodes ended by themselves because their disks failed. */
  readonly falls: number;
  /** What the disks of nodes have suffered; `undefined` if they cannot be harmed here. */
  readonly disks: DiskCounts | undefined;
  readonly violations: readonly Violation[];
  /** Where the report is. */
  readonly directory: string;
}

/** The commit that runs, and whether the tree differs from it. */
export async function commitOf(): Promise<string> {
  try {
    const head = (await run("git", "-C", ROOT, "rev-parse", "HEAD")).trim();
    const changes = await run("git", "-C", ROOT, "status", "--porcelain");
    return changes === "" ? head : `${head} with changes`;
  } catch (error) {
    return `unknown: ${reasonOf(error)}`;
  }
}

/** Violations that are shown; the report has all. */
const SHOWN_MAX = 10;

/** What a run came to, as a table and a verdict. */
export function summaryText(summary: NemesisSummary): string {
  const { operations, violations } = summary;
  const rows = summary.faults.map(({ name, injected, skipped }) =>
    `  ${name.padEnd(20)}${
      skipped === undefined
        ? String(injected).padStart(8)
        : ` skipped: ${skipped}`
    }`
  );
  const shown = violations.slice(0, SHOWN_MAX).map(({ check, message }) =>
    `  ${check}: ${message}`
  );
  const more = violations.length - shown.length;
  const again = [
    `--seed ${summary.seed}`,
    `--nodes ${summary.nodes}`,
    ...(summary.only === undefined ? [] : [`--only ${summary.only.join()}`]),
  ].join(" ");
  return [
    "",
    `  fault               injected`,
    ...rows,
    "",
    `  operations          ${operations.ok} ok, ${operations.failed} failed, ${operations.unknown} unknown`,
    `  under faults        ${summary.acknowledgedPerSecond} acknowledged a second`,
    `  longest recovery    ${summary.longestRecoveryMs} ms`,
    `  own stalls          ${summary.longestStallMs} ms at the longest`,
    `  ended by disk       ${summary.falls} times`,
    ...diskRows(summary.disks),
    `  rounds              ${summary.rounds} in ${
      Math.round(summary.tookMs / 1000)
    } s`,
    "",
    ...shown,
    ...(more > 0 ? [`  … and ${more} more`] : []),
    summary.passed
      ? `PASSED  ${again}, summary in ${summary.directory}`
      : `FAILED  ${again}, report in ${summary.directory}`,
  ].join("\n");
}

function diskRows(disks: DiskCounts | undefined): string[] {
  if (disks === undefined) return [];
  const { syncsDelayed, errors, refusals, shortWrites } = disks;
  return [
    `  on disks            ${syncsDelayed} late syncs, ${errors} errors, ${refusals} full, ${shortWrites} short writes`,
  ];
}
