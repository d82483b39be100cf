/**
 * A replacement for random bytes where everything must follow from a seed.
 *
 * @module
 */
import type { Chance } from "../base/chance.ts";

/** `count` bytes drawn from `chance`. */
export function seededBytes(
  chance: Chance,
  count: number,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(count);
  for (let i = 0; i < count; i++) bytes[i] = chance.below(256);
  return bytes;
}
