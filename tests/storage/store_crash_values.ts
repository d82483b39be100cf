/**
 * What the writers of `store_crash_child.ts` write: writer 0 replaces one large
 * value again and again, the others write new keys and overwrite old ones.
 *
 * @module
 */

/** How many writers there are. */
export const writers = 24;

/** Keys a small writer goes round. */
const keysPerWriter = 400;

/** Where and what `writer` writes as its write of that number; the value tells both. */
export function valueAt(
  writer: number,
  number: number,
): { partition: number; key: Uint8Array; value: Uint8Array } {
  const slot = writer === 0 ? 0 : number % keysPerWriter;
  const value = new Uint8Array(writer === 0 ? 1_500_000 : 120);
  const view = new DataView(value.buffer);
  for (let at = 0; at + 8 <= value.length; at += 8) {
    view.setUint32(at, number);
    view.setUint16(at + 4, writer);
  }
  return {
    partition: writer % 7,
    key: new TextEncoder().encode(`writer-${writer}/${slot}`),
    value,
  };
}

/** First number whose key nobody overwrote by `last`. */
export function firstOfLastRound(writer: number, last: number): number {
  return writer === 0 ? last : Math.max(0, last - keysPerWriter + 1);
}
