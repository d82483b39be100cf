/**
 * What somebody probably meant: the known word nearest to a mistyped one.
 *
 * @module
 */
import { levenshteinDistance } from "npm:deno-std@1.4.0/text/levenshtein_distance.js";

/**
 * The word of `known` nearest to `typed`, or `undefined` if none is near enough
 * to be worth saying: a third of the letters may differ, and in words of four or
 * more always two, since two letters in the wrong order count as that.
 */
export function nearest(
  typed: string,
  known: readonly string[],
): string | undefined {
  let best: string | undefined;
  let bestDistance = Infinity;
  for (const word of known) {
    // Half a word is as good a hint as a misspelt one.
    const distance = typed.length >= 2 && word.startsWith(typed)
      ? 0.5
      : levenshteinDistance(typed, word) as number;
    if (distance < bestDistance) {
      best = word;
      bestDistance = distance;
    }
  }
  const allowed = typed.length <= 3
    ? 1
    : Math.max(2, Math.floor(typed.length / 3));
  return bestDistance <= allowed ? best : undefined;
}
