/**
 * How far a majority has come.
 *
 * @module
 */

/** How many of `voters` are a majority. */
export function majorityOf(voters: number): number {
  return Math.floor(voters / 2) + 1;
}

/**
 * The highest number that a majority of `reached` has reached: 0 if there is
 * none. Sorts the list, which is short: at most a handful of voters.
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
