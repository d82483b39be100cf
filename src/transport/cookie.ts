/**
 * The cluster's cookie: the secret that all nodes and clients of a cluster
 * share. It is only used as the key of a MAC and cannot be read back, so it
 * cannot end up in a log.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { hash, timingSafeEqual } from "node:crypto";
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";

/** Bytes of a {@linkcode Cookie.mac}. */
export const MAC_BYTES = 32;

/** Block size of SHA-256, in bytes. */
const BLOCK_BYTES = 64;
/** The inner and outer pads of RFC 2104. */
const INNER_PAD = 0x36;
const OUTER_PAD = 0x5c;

/** A shared secret, as a key for HMAC-SHA-256. */
export class Cookie {
  /** The key XORed with the inner pad, followed by the message. */
  readonly #inner = new ByteWriter(512);
  /** The key XORed with the outer pad, followed by the inner hash. */
  readonly #outer = new Uint8Array(BLOCK_BYTES + MAC_BYTES);
  readonly #innerHash: Uint8Array = this.#outer.subarray(BLOCK_BYTES);

  /**
   * @param secret At least one byte; a string is taken as UTF-8.
   * @throws {WhorlError} `invalid_config` if it is empty.
   */
  constructor(secret: string | Uint8Array) {
    const bytes = Buffer.from(secret as string);
    if (bytes.length === 0) {
      throw new WhorlError(
        "invalid_config",
        "Cannot use a cookie of 0 bytes: the least is 1",
      );
    }
    // HMAC pads short keys with zeros, so "a" and "a\0" would be one key.
    const key = Uint8Array.fromHex(hash("sha256", bytes, "hex"));
    for (let i = 0; i < BLOCK_BYTES; i++) {
      const byte = key[i] ?? 0;
      this.#inner.u8(byte ^ INNER_PAD);
      this.#outer[i] = byte ^ OUTER_PAD;
    }
  }

  /**
   * HMAC-SHA-256 (RFC 2104) over `parts`, each prefixed with its length. It is
   * made of two one-shot hashes: the runtime's own HMAC creates a stream for each
   * hash and takes three times as long.
   */
  mac(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
    return Uint8Array.fromHex(this.macHex(...parts));
  }

  /** {@linkcode Cookie.mac} as 64 hex digits. */
  macHex(...parts: readonly Uint8Array[]): string {
    const inner = this.#inner;
    inner.length = BLOCK_BYTES;
    for (const part of parts) inner.blob(part);
    this.#innerHash.setFromHex(hash("sha256", inner.view(), "hex"));
    return hash("sha256", this.#outer, "hex");
  }

  /** Whether `mac` is the MAC of `parts`; compares in constant time. */
  verifies(mac: Uint8Array, ...parts: readonly Uint8Array[]): boolean {
    return mac.length === MAC_BYTES &&
      timingSafeEqual(mac, this.mac(...parts));
  }
}
