/**
 * The few text forms that all cluster tables share: titles and rules of 79
 * columns, percentages, and node names as Erlang prints atoms. Operators have
 * scripts that read these tables, so they come out byte for byte as riak_core
 * prints them.
 *
 * @module
 */

/** Columns in a table. */
export const TABLE_COLUMNS = 79;

/** `title` between rules of equals signs; `left` of them stand before it. */
export function titleLine(title: string, left: number): string {
  const right = TABLE_COLUMNS - left - title.length - 2;
  return `${"=".repeat(left)} ${title} ${"=".repeat(right)}\n`;
}

/** A rule of `mark` across the table. */
export function ruleLine(mark: "-" | "#"): string {
  return `${mark.repeat(TABLE_COLUMNS)}\n`;
}

/** A percentage with one decimal in five columns, without its sign. */
export function percentText(percent: number): string {
  return percent.toFixed(1).padStart(5);
}

// What an atom may not be without quotes, though it is written like one.
const RESERVED = new Set(
  ("after and andalso band begin bnot bor bsl bsr bxor case catch cond div else " +
    "end fun if let maybe not of or orelse receive rem try when xor").split(
      " ",
    ),
);

/** A node's name as Erlang prints the atom: in quotes unless it can go without. */
export function quotedName(name: string): string {
  if (/^[a-z][a-zA-Z0-9_@]*$/.test(name) && !RESERVED.has(name)) return name;
  return `'${name.replace(/[\\']/g, "\\$&")}'`;
}

/** Names as Erlang prints a list of atoms, on one line so that scripts can read it. */
export function quotedNames(names: readonly string[]): string {
  return `[${names.map(quotedName).join(",")}]`;
}
