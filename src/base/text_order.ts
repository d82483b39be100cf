/**
 * The one order of texts in which nodes compare names: by UTF-16 units, so that
 * every machine sorts alike whatever its locale.
 *
 * @module
 */

/** Negative if `a` comes before `b`, positive if after, 0 if they are equal. */
export function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
