/**
 * Plain tables. A person gets aligned columns under a heading; a pipe gets one
 * row a line with tabs and no heading, so that `cut` and `awk` work.
 *
 * @module
 */
import type { Output } from "./output.ts";
import { styleFor } from "./style.ts";

/** Narrowest a last column is cut to where a terminal has no room for all of it. */
const LAST_COLUMN_MIN = 10;
const GAP = "  ";

/** Writes `rows` under `heading`. */
export function renderTable(
  output: Output,
  heading: readonly string[],
  rows: readonly (readonly string[])[],
  align: readonly ("left" | "right")[] = [],
  /** Columns a terminal that is too narrow can do without, the first one first; a pipe gets all. */
  dispensable: readonly number[] = [],
): void {
  if (!output.isTerminal) {
    for (const row of rows) output.write(row.join("\t") + "\n");
    return;
  }
  const widths = heading.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]!.length))
  );
  const shown = fittingColumns(widths, dispensable, output.columns());
  const line = (row: readonly string[]) => {
    const text = shown.map((column) =>
      align[column] === "right"
        ? row[column]!.padStart(widths[column]!)
        : row[column]!.padEnd(widths[column]!)
    ).join(GAP).trimEnd();
    return text + "\n";
  };
  if (dispensable.length > 0) {
    const last = shown.at(-1)!;
    const others = widthOf(shown.slice(0, -1).map((column) => widths[column]!));
    const room = output.columns() - others - GAP.length;
    if (widths[last]! > room && room >= LAST_COLUMN_MIN) {
      rows = rows.map((row) => row.with(last, cut(row[last]!, room)));
      widths[last] = room;
    }
  }
  output.write(styleFor(output.color).strong(line(heading)));
  for (const row of rows) output.write(line(row));
}

/** Leaves dispensable columns out until the others fit, or none is left to leave out. */
function fittingColumns(
  widths: readonly number[],
  dispensable: readonly number[],
  columns: number,
): number[] {
  let shown = widths.map((_, column) => column);
  for (const column of dispensable) {
    if (widthOf(shown.map((kept) => widths[kept]!)) <= columns) break;
    shown = shown.filter((kept) => kept !== column);
  }
  return shown;
}

function widthOf(widths: readonly number[]): number {
  return widths.reduce((sum, width) => sum + width, 0) +
    GAP.length * Math.max(0, widths.length - 1);
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}…`;
}
