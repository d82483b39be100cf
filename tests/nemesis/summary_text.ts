/**
 * The end of a run, for people.
 *
 * @module
 */
import type { NemesisSummary } from "./nemesis.ts";

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
    `  ended by disk       ${summary.falls} times`,
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
