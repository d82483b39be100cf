/**
 * What the workers of `words_vnode.ts` do: count the words of a text. It runs in
 * a thread of its own, so it may take its time.
 *
 * @module
 */

/** How often each word stands in `text`. */
export default function countWords(text: string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const [word] of text.toLowerCase().matchAll(/[\p{L}\p{N}]+/gu)) {
    counts[word] = (counts[word] ?? 0) + 1;
  }
  return counts;
}
