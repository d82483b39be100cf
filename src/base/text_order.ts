/**
 * The order in which all nodes sort names: by UTF-16 units, which does not
 * depend on a machine's locale.
 *
 * @module
 */

/** Negative if `a` comes before `b`, positive if after, 0 if they are equal. */
export function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
