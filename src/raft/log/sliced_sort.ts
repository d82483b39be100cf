/**
 * Sorts a million numbers without blocking the event loop: sorts short runs,
 * one at a time, and then merges them (Knuth, vol. 3, 5.2.4), yielding in
 * between.
 *
 * @module
 */

/** Numbers sorted without a pause, which takes about a millisecond. */
const RUN = 16_384;
/** Numbers merged or moved without a pause. */
const MERGED_AT_ONCE = 65_536;

/** The numbers in ascending order, duplicates included. */
export function* sortedInSlices(
  given: Iterable<number>,
): Generator<void, Float64Array> {
  const { numbers, isSorted } = yield* taken(given);
  if (isSorted) return numbers;
  let from = numbers;
  for (let start = 0; start < from.length; start += RUN) {
    // Without a comparison function it takes a third of the time.
    from.subarray(start, start + RUN).sort();
    yield;
  }
  let to = new Float64Array(from.length);
  for (let width = RUN; width < from.length; width *= 2) {
    for (let start = 0; start < from.length; start += 2 * width) {
      yield* merged(from, start, width, to);
    }
    [from, to] = [to, from];
  }
  return from;
}

function* taken(
  given: Iterable<number>,
): Generator<
  void,
  { readonly numbers: Float64Array<ArrayBuffer>; readonly isSorted: boolean }
> {
  const chunks: Float64Array<ArrayBuffer>[] = [];
  let chunk = new Float64Array(RUN);
  let used = 0;
  let isSorted = true;
  let before = -Infinity;
  for (const number of given) {
    isSorted &&= number >= before;
    before = number;
    if (used === RUN) {
      chunks.push(chunk);
      chunk = new Float64Array(RUN);
      used = 0;
      yield;
    }
    chunk[used++] = number;
  }
  chunks.push(chunk.subarray(0, used));
  const numbers = new Float64Array((chunks.length - 1) * RUN + used);
  for (const [place, chunk] of chunks.entries()) {
    numbers.set(chunk, place * RUN);
    yield;
  }
  return { numbers, isSorted };
}

/** Merges the run of `width` numbers at `start` with the one behind it. */
function* merged(
  from: Float64Array,
  start: number,
  width: number,
  to: Float64Array,
): Generator<void, void> {
  const middle = Math.min(from.length, start + width);
  const end = Math.min(from.length, start + 2 * width);
  let left = start;
  let right = middle;
  for (let at = start; at < end;) {
    for (const stop = Math.min(end, at + MERGED_AT_ONCE); at < stop; at++) {
      const isLeft = left < middle &&
        (right === end || (from[left] as number) <= (from[right] as number));
      to[at] = from[isLeft ? left++ : right++] as number;
    }
    yield;
  }
}
