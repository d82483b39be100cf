/**
 * Small byte arrays that do not live long, cut from larger ones. A typed array of
 * its own costs the engine close to a microsecond once it is beyond 64 bytes, as
 * its memory is then outside of the heap; a view costs a tenth of that.
 *
 * A view holds on to its slab of 64 KiB. So this is for what lives as long as a
 * request; what is kept longer is copied by who keeps it. Nobody may transfer the
 * buffer behind a view.
 *
 * @module
 */

/**
 * No bytes, for whoever has none yet: even an array of none costs the engine
 * memory outside of the heap.
 */
export const NO_BYTES: Uint8Array<ArrayBuffer> = new Uint8Array(0);

const SLAB_BYTES = 64 * 1024;
/** Larger ones have memory of their own. */
const SHARED_BYTES_MAX = 4 * 1024;

let slab = new Uint8Array(SLAB_BYTES);
let used = 0;

/** `count` zero bytes. */
export function briefBytes(count: number): Uint8Array<ArrayBuffer> {
  if (count > SHARED_BYTES_MAX) return new Uint8Array(count);
  if (used + count > SLAB_BYTES) {
    slab = new Uint8Array(SLAB_BYTES);
    used = 0;
  }
  const start = used;
  used += count;
  return slab.subarray(start, used);
}

/** Up to here a loop beats making a view to copy from. */
const LOOP_BYTES_MAX = 256;

/** A copy of `bytes[start, end)`. */
export function briefCopyOf(
  bytes: Uint8Array,
  start: number,
  end: number,
): Uint8Array<ArrayBuffer> {
  const copy = briefBytes(end - start);
  if (end - start > LOOP_BYTES_MAX) copy.set(bytes.subarray(start, end));
  else for (let i = start; i < end; i++) copy[i - start] = bytes[i] as number;
  return copy;
}

/** A copy of `bytes`. */
export function briefCopy(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const copy = briefBytes(bytes.length);
  copy.set(bytes);
  return copy;
}
