/**
 * SHA-1 (FIPS 180-4) of bytes in a larger buffer, into a state of five words
 * kept by the caller. It allocates nothing and makes no call into the runtime:
 * a ring hash is one block, and a call of node:crypto takes ten times as long.
 * Used to place keys like riak_core and to distinguish rings, never for
 * secrets.
 *
 * @module
 */

/** The five words of a digest, most significant first. */
export type Sha1State = Int32Array<ArrayBuffer>;

/** Length of a digest in bytes. */
export const SHA1_BYTES = 20;

/** Length of a block in bytes. */
const BLOCK_BYTES = 64;
/**
 * A block filled to here or beyond has no room for the length, which goes into
 * another one.
 */
const LENGTH_AT = 56;

// The expanded block. Shared, since nothing here is asynchronous.
const schedule = new Int32Array(80);

/** A state to pass to {@linkcode sha1}. */
export function createSha1State(): Sha1State {
  return new Int32Array(5);
}

/** The first 64 bits of a digest, as 16 hex digits. */
export function sha1Prefix(state: Sha1State): string {
  return wordText(state[0] as number) + wordText(state[1] as number);
}

function wordText(word: number): string {
  return (word >>> 0).toString(16).padStart(8, "0");
}

/** Writes the digest of `bytes[start, end)` to `state`. */
export function sha1(
  state: Sha1State,
  bytes: Uint8Array,
  start = 0,
  end: number = bytes.length,
): void {
  state[0] = 0x67452301;
  state[1] = 0xefcdab89;
  state[2] = 0x98badcfe;
  state[3] = 0x10325476;
  state[4] = 0xc3d2e1f0;
  let at = start;
  for (; end - at >= BLOCK_BYTES; at += BLOCK_BYTES) {
    for (let i = 0, from = at; i < 16; i++, from += 4) {
      schedule[i] = word(bytes, from);
    }
    compress(state);
  }
  // The rest, a one bit, zeros, and the length in bits.
  const rest = end - at;
  const words = rest >> 2;
  for (let i = 0; i < words; i++, at += 4) schedule[i] = word(bytes, at);
  schedule[words] = lastWord(bytes, at, end);
  for (let i = words + 1; i < 16; i++) schedule[i] = 0;
  if (rest >= LENGTH_AT) {
    compress(state);
    for (let i = 0; i < 14; i++) schedule[i] = 0;
  }
  const length = end - start;
  schedule[14] = length / 0x2000_0000;
  schedule[15] = length << 3;
  compress(state);
}

// Digests are cut from one pool, since allocating a typed array of its own
// takes five times as long as computing the digest.
const POOL_BYTES = 200 * SHA1_BYTES;
let pool = new Uint8Array(POOL_BYTES);
let poolUsed = 0;

/**
 * The digest in `state` as 20 bytes that nothing else writes to. They may be
 * part of a larger buffer, so send or transfer the bytes, never their `buffer`.
 */
export function sha1Bytes(state: Sha1State): Uint8Array<ArrayBuffer> {
  if (poolUsed === POOL_BYTES) {
    pool = new Uint8Array(POOL_BYTES);
    poolUsed = 0;
  }
  const start = poolUsed;
  poolUsed += SHA1_BYTES;
  for (let i = 0, at = start; i < 5; i++, at += 4) {
    const word = state[i]!;
    pool[at] = word >>> 24;
    pool[at + 1] = word >>> 16;
    pool[at + 2] = word >>> 8;
    pool[at + 3] = word;
  }
  return pool.subarray(start, poolUsed);
}

function word(bytes: Uint8Array, at: number): number {
  return bytes[at]! << 24 | bytes[at + 1]! << 16 | bytes[at + 2]! << 8 |
    bytes[at + 3]!;
}

/**
 * The zero to three bytes before `end`, then the one bit that ends the message.
 */
function lastWord(bytes: Uint8Array, at: number, end: number): number {
  switch (end - at) {
    case 0:
      return 0x80 << 24;
    case 1:
      return bytes[at]! << 24 | 0x80 << 16;
    case 2:
      return bytes[at]! << 24 | bytes[at + 1]! << 16 | 0x80 << 8;
    default:
      return bytes[at]! << 24 | bytes[at + 1]! << 16 | bytes[at + 2]! << 8 |
        0x80;
  }
}

/** Mixes the block in the first 16 words of the schedule into `state`. */
function compress(state: Sha1State): void {
  for (let i = 16; i < 80; i++) {
    const mixed = schedule[i - 3]! ^ schedule[i - 8]! ^ schedule[i - 14]! ^
      schedule[i - 16]!;
    schedule[i] = mixed << 1 | mixed >>> 31;
  }
  let a = state[0]!;
  let b = state[1]!;
  let c = state[2]!;
  let d = state[3]!;
  let e = state[4]!;
  let i = 0;
  for (; i < 20; i++) {
    const next = (a << 5 | a >>> 27) + (d ^ b & (c ^ d)) + e + 0x5a827999 +
        schedule[i]! | 0;
    e = d;
    d = c;
    c = b << 30 | b >>> 2;
    b = a;
    a = next;
  }
  for (; i < 40; i++) {
    const next = (a << 5 | a >>> 27) + (b ^ c ^ d) + e + 0x6ed9eba1 +
        schedule[i]! | 0;
    e = d;
    d = c;
    c = b << 30 | b >>> 2;
    b = a;
    a = next;
  }
  for (; i < 60; i++) {
    const next = (a << 5 | a >>> 27) + (b & c | d & (b | c)) + e +
        0x8f1bbcdc + schedule[i]! | 0;
    e = d;
    d = c;
    c = b << 30 | b >>> 2;
    b = a;
    a = next;
  }
  for (; i < 80; i++) {
    const next = (a << 5 | a >>> 27) + (b ^ c ^ d) + e + 0xca62c1d6 +
        schedule[i]! | 0;
    e = d;
    d = c;
    c = b << 30 | b >>> 2;
    b = a;
    a = next;
  }
  state[0] = state[0]! + a | 0;
  state[1] = state[1]! + b | 0;
  state[2] = state[2]! + c | 0;
  state[3] = state[3]! + d | 0;
  state[4] = state[4]! + e | 0;
}
