/**
 * The cluster's cookie: the secret that all nodes and clients of a cluster
 * share. It is only ever used as the key of a MAC and cannot be read back, so
 * that it does not find its way into a log.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createHash, timingSafeEqual } from "node:crypto";
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";

/** Bytes of a {@linkcode Cookie.mac}. */
export const MAC_BYTES = 32;
/** Bytes that SHA-256 takes in at once; HMAC pads its key to as many. */
const BLOCK_BYTES = 64;

/** What a MAC is of, while it is made. */
const scratch = new ByteWriter(512);

/** A shared secret, as a key for HMAC-SHA-256. */
export class Cookie {
  // HMAC's two hashes begin with the key under these masks (RFC 2104). Done here
  // as `createHmac` takes thrice as long as the hashes.
  readonly #inner = new Uint8Array(BLOCK_BYTES).fill(0x36);
  readonly #outer = new Uint8Array(BLOCK_BYTES).fill(0x5c);

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
    const key = createHash("sha256").update(bytes).digest();
    for (const [at, byte] of key.entries()) {
      this.#inner[at] = byte ^ 0x36;
      this.#outer[at] = byte ^ 0x5c;
    }
  }

  /** HMAC-SHA-256 over `parts`, each with its length before it. */
  mac(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
    scratch.clear();
    scratch.raw(this.#inner);
    for (const part of parts) scratch.blob(part);
    const inner = createHash("sha256").update(scratch.view()).digest();
    scratch.clear();
    scratch.raw(this.#outer);
    scratch.raw(inner);
    return new Uint8Array(
      createHash("sha256").update(scratch.view()).digest(),
    );
  }

  /** Whether `mac` is the one of `parts`; takes the same time wherever they differ. */
  verifies(mac: Uint8Array, ...parts: readonly Uint8Array[]): boolean {
    return mac.length === MAC_BYTES &&
      timingSafeEqual(mac, this.mac(...parts));
  }
}
