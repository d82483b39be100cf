/**
 * Tests of SHA-1 against the published examples and against node:crypto.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { createHash } from "node:crypto";
import { createSha1State, sha1, SHA1_BYTES, sha1Bytes } from "./sha1.ts";

function digest(bytes: Uint8Array, start?: number, end?: number): string {
  const state = createSha1State();
  sha1(state, bytes, start, end);
  return sha1Bytes(state).toHex();
}

Deno.test("sha1() gives the digests of FIPS 180's examples", () => {
  const encoder = new TextEncoder();
  const examples: [string, string][] = [
    ["", "da39a3ee5e6b4b0d3255bfef95601890afd80709"],
    ["abc", "a9993e364706816aba3e25717850c26c9cd0d89d"],
    [
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
    ],
    ["a".repeat(1_000_000), "34aa973cd4c4daa4f61eeb2bdbad27316534016f"],
  ];
  for (const [message, hex] of examples) {
    assertEquals(digest(encoder.encode(message)), hex);
  }
});

Deno.test("sha1() agrees with node:crypto at every length around the block borders", () => {
  for (let length = 0; length <= 260; length++) {
    const bytes = Uint8Array.from({ length }, (_, i) => i * 31 + length);
    assertEquals(
      digest(bytes),
      createHash("sha1").update(bytes).digest("hex"),
      `${length} bytes`,
    );
  }
});

Deno.test("sha1() hashes only the part it is given and starts afresh each time", () => {
  const bytes = Uint8Array.from({ length: 200 }, (_, i) => i);
  const part = bytes.slice(3, 131);
  assertEquals(digest(bytes, 3, 131), digest(part));
  const state = createSha1State();
  sha1(state, bytes);
  sha1(state, part);
  assertEquals(sha1Bytes(state).toHex(), digest(part));
  assertEquals(sha1Bytes(state).length, SHA1_BYTES);
});

Deno.test("sha1Bytes() gives bytes that later digests leave alone", () => {
  const state = createSha1State();
  const kept: [Uint8Array, string][] = [];
  // More digests than a pool is likely to hold.
  for (let i = 0; i < 1000; i++) {
    const message = Uint8Array.of(i >> 8, i);
    sha1(state, message);
    kept.push([
      sha1Bytes(state),
      createHash("sha1").update(message).digest("hex"),
    ]);
  }
  for (const [bytes, hex] of kept) assertEquals(bytes.toHex(), hex);
});
