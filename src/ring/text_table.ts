/**
 * Text forms shared by all cluster tables: titles and rules of 79 columns,
 * percentages, and node names as Erlang prints atoms. Scripts read these
 * tables, so they match riak_core's output byte for byte.
 *
 * @module
 */

/** Columns in a table. */
export const TABLE_COLUMNS = 79;

/** `title` between rules of equals signs, with `left` of them before it. */
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

// Words that need quotes as atoms, although their characters do not.
const RESERVED = new Set(
  ("after and andalso band begin bnot bor bsl bsr bxor case catch cond div else " +
    "end fun if let maybe not of or orelse receive rem try when xor").split(
      " ",
    ),
);

/** A node's name as Erlang prints the atom: quoted if necessary. */
export function quotedName(name: string): string {
  if (/^[a-z][a-zA-Z0-9_@]*$/.test(name) && !RESERVED.has(name)) return name;
  return `'${name.replace(/[\\']/g, "\\$&")}'`;
}

/**
 * Names as Erlang prints a list of atoms, on one line so that scripts can read
 * it.
 */
export function quotedNames(names: readonly string[]): string {
  return `[${names.map(quotedName).join(",")}]`;
}
