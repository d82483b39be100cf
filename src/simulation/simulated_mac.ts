/**
 * HMAC-SHA-256 (RFC 2104, FIPS 180-4) in plain code, for simulated clusters
 * alone: a link that is opened takes six, and to be asked costs the runtime
 * ten times as long as the few blocks of a handshake take here. The bytes are
 * those of the runtime, so a simulated handshake is a real one. Nothing here
 * hides a secret, as a simulation has none.
 *
 * @module
 */
import type { MacUnder } from "../environment/environment.ts";

const BLOCK_BYTES = 64;
const DIGEST_WORDS = 8;
/** A last block filled up to here has no room for the length; another must follow. */
const LENGTH_AT = 56;

/** The first 64 bits of the fractional part of `root(n)` of each of the first primes, as words. */
function primeWords(count: number, root: (n: number) => number): Int32Array {
  const words = new Int32Array(count);
  for (let n = 2, found = 0; found < count; n++) {
    let isPrime = true;
    for (let by = 2; by * by <= n; by++) if (n % by === 0) isPrime = false;
    if (isPrime) words[found++] = (root(n) % 1) * 0x1_0000_0000;
  }
  return words;
}

const BEGIN = primeWords(DIGEST_WORDS, Math.sqrt);
const ROUNDS = primeWords(64, Math.cbrt);

/** The block that is being taken in. Shared, as nothing here waits. */
const schedule = new Int32Array(64);
const block = new Uint8Array(BLOCK_BYTES);

/** Takes the 64 bytes of `bytes` from `at` on into `state`. */
function compress(state: Int32Array, bytes: Uint8Array, at: number): void {
  const w = schedule;
  for (let i = 0; i < 16; i++, at += 4) {
    w[i] = (bytes[at] as number) << 24 | (bytes[at + 1] as number) << 16 |
      (bytes[at + 2] as number) << 8 | (bytes[at + 3] as number);
  }
  for (let i = 16; i < 64; i++) {
    const x = w[i - 15] as number, y = w[i - 2] as number;
    const s0 = (x >>> 7 | x << 25) ^ (x >>> 18 | x << 14) ^ x >>> 3;
    const s1 = (y >>> 17 | y << 15) ^ (y >>> 19 | y << 13) ^ y >>> 10;
    w[i] = (w[i - 16] as number) + s0 + (w[i - 7] as number) + s1 | 0;
  }
  let a = state[0] as number, b = state[1] as number;
  let c = state[2] as number, d = state[3] as number;
  let e = state[4] as number, f = state[5] as number;
  let g = state[6] as number, h = state[7] as number;
  for (let i = 0; i < 64; i++) {
    const s1 = (e >>> 6 | e << 26) ^ (e >>> 11 | e << 21) ^ (e >>> 25 | e << 7);
    const one = h + s1 + (e & f ^ ~e & g) + (ROUNDS[i] as number) +
        (w[i] as number) | 0;
    const s0 = (a >>> 2 | a << 30) ^ (a >>> 13 | a << 19) ^
      (a >>> 22 | a << 10);
    const two = s0 + (a & b ^ a & c ^ b & c) | 0;
    h = g;
    g = f;
    f = e;
    e = d + one | 0;
    d = c;
    c = b;
    b = a;
    a = one + two | 0;
  }
  state[0] = (state[0] as number) + a | 0;
  state[1] = (state[1] as number) + b | 0;
  state[2] = (state[2] as number) + c | 0;
  state[3] = (state[3] as number) + d | 0;
  state[4] = (state[4] as number) + e | 0;
  state[5] = (state[5] as number) + f | 0;
  state[6] = (state[6] as number) + g | 0;
  state[7] = (state[7] as number) + h | 0;
}

/** Takes all of `bytes` into `state`, which has taken one block before, and ends it. */
function finish(state: Int32Array, bytes: Uint8Array): void {
  let at = 0;
  for (; bytes.length - at >= BLOCK_BYTES; at += BLOCK_BYTES) {
    compress(state, bytes, at);
  }
  const rest = bytes.length - at;
  for (let i = 0; i < rest; i++) block[i] = bytes[at + i] as number;
  block[rest] = 0x80;
  block.fill(0, rest + 1);
  if (rest >= LENGTH_AT) {
    compress(state, block, 0);
    block.fill(0);
  }
  const bits = (BLOCK_BYTES + bytes.length) * 8;
  for (let i = 0; i < 4; i++) block[BLOCK_BYTES - 1 - i] = bits >>> 8 * i;
  compress(state, block, 0);
}

/** The bytes of `state`. */
function digestOf(state: Int32Array): Uint8Array<ArrayBuffer> {
  const digest = new Uint8Array(4 * DIGEST_WORDS);
  for (let i = 0; i < digest.length; i++) {
    digest[i] = (state[i >> 2] as number) >>> 24 - 8 * (i & 3);
  }
  return digest;
}

/** What has taken the key, padded by `pad`. */
function begun(key: Uint8Array, pad: number): Int32Array {
  const state = BEGIN.slice();
  const padded = new Uint8Array(BLOCK_BYTES).fill(pad);
  for (let i = 0; i < key.length; i++) {
    padded[i] = (key[i] as number) ^ pad;
  }
  compress(state, padded, 0);
  return state;
}

/** Makes MACs under `key`, which has at most 64 bytes. */
export const simulatedMacUnder: MacUnder = (key) => {
  const inner = begun(key, 0x36);
  const outer = begun(key, 0x5c);
  const state = new Int32Array(DIGEST_WORDS);
  return (message) => {
    state.set(inner);
    finish(state, message);
    const digest = digestOf(state);
    state.set(outer);
    finish(state, digest);
    return digestOf(state);
  };
};
