/**
 * Plain tables. A person gets aligned columns under a heading; a pipe gets one
 * row a line with tabs and no heading, so that `cut` and `awk` work.
 *
 * @module
 */
import type { Output } from "./output.ts";
import { styleFor } from "./style.ts";

/** Writes `rows` under `heading`. */
export function renderTable(
  output: Output,
  heading: readonly string[],
  rows: readonly (readonly string[])[],
  align: readonly ("left" | "right")[] = [],
): void {
  if (!output.isTerminal) {
    for (const row of rows) output.write(row.join("\t") + "\n");
    return;
  }
  const widths = heading.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]!.length))
  );
  const line = (row: readonly string[]) =>
    row.map((cell, column) =>
      align[column] === "right"
        ? cell.padStart(widths[column]!)
        : cell.padEnd(widths[column]!)
    ).join("  ").trimEnd() + "\n";
  output.write(styleFor(output.color).strong(line(heading)));
  for (const row of rows) output.write(line(row));
}
