/**
 * Majorities.
 *
 * @module
 */

/** The size of a majority of `voters`. */
export function majorityOf(voters: number): number {
  return Math.floor(voters / 2) + 1;
}

/**
 * The highest number that a majority of `reached` has reached; 0 for an empty
 * list. Sorts the list in place; it is short, a handful of voters.
 */
export function quorumIndex(reached: number[]): number {
  for (let i = 1; i < reached.length; i++) {
    const value = reached[i] as number;
    let j = i - 1;
    while (j >= 0 && (reached[j] as number) < value) {
      reached[j + 1] = reached[j] as number;
      j--;
    }
    reached[j + 1] = value;
  }
  return reached[reached.length >>> 1] ?? 0;
}
