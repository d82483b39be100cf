/**
 * The progress of an import on one line of a terminal: how much of the file,
 * how many records, how fast, how long still.
 *
 * @module
 */
import {
  formatBytes,
  formatDuration,
  renderBar,
} from "../../src/admin/figure_text.ts";
import type { ImportReport } from "./import_records.ts";

/** What a bar shows. */
export interface Progress {
  readonly report: ImportReport;
  /** Bytes of the file read so far. */
  readonly bytes: number;
  /** Bytes of the file, or `undefined` for a pipe. */
  readonly bytesTotal: number | undefined;
}

/** The line for `progress`, at most `columns` characters. */
export function renderProgress(progress: Progress, columns: number): string {
  const { report, bytes, bytesTotal } = progress;
  const perSecond = report.records / Math.max(report.elapsedMs, 1) * 1_000;
  const facts = [
    `${report.records} records`,
    `${Math.round(perSecond)}/s`,
    formatBytes(bytes) +
    (bytesTotal === undefined ? "" : ` of ${formatBytes(bytesTotal)}`),
  ];
  if (report.rejected > 0) facts.push(`${report.rejected} rejected`);
  if (report.retries > 0) facts.push(`${report.retries} retries`);
  let bar = "";
  if (bytesTotal !== undefined && bytesTotal > 0) {
    const share = Math.min(1, bytes / bytesTotal);
    bar = `${renderBar(share)}  `;
    // The first moments say nothing about how long it will take.
    if (share > 0.01 && share < 1) {
      const leftMs = report.elapsedMs / share * (1 - share);
      facts.push(`${formatDuration(leftMs)} left`);
    }
  }
  return (bar + facts.join(" · ")).slice(0, columns);
}
