/**
 * Random numbers that identify Raft groups and their members uniquely.
 *
 * @module
 */

/** Six random bytes as a number from 1 to 2^48 - 1. */
export function secretNumber(bytes: Uint8Array): number {
  let number = 0;
  for (const byte of bytes) number = number * 256 + byte;
  return Math.max(1, number);
}
