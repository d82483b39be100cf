/**
 * Short-lived small byte arrays, cut from larger ones. Beyond 64 bytes a typed
 * array's memory is allocated outside the heap, which takes close to a
 * microsecond; a view costs a tenth of that.
 *
 * A view keeps its whole slab of 64 KiB alive. So use these for the length of a
 * request, and copy what must be kept longer. The buffer behind a view must
 * never be transferred.
 *
 * @module
 */

const SLAB_BYTES = 64 * 1024;
/** Larger arrays get memory of their own. */
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

/** Up to this size a copying loop is faster than making a view to copy from. */
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
