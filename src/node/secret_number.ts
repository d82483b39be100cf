/**
 * Numbers that nobody else has, of groups and their members.
 *
 * @module
 */

/** Six bytes of chance as a number from 1 to 2^48 - 1. */
export function secretNumber(bytes: Uint8Array): number {
  let number = 0;
  for (const byte of bytes) number = number * 256 + byte;
  return Math.max(1, number);
}
