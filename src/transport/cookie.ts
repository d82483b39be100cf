/**
 * The cluster's cookie: the secret that all nodes and clients of a cluster
 * share. It is only used as the key of a MAC and cannot be read back, so it
 * cannot end up in a log.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";

/** Bytes of a {@linkcode Cookie.mac}. */
export const MAC_BYTES = 32;

/** A shared secret, as a key for HMAC-SHA-256. */
export class Cookie {
  readonly #key: Buffer;
  /** What a MAC is of. */
  readonly #parts = new ByteWriter(512);

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
    this.#key = createHash("sha256").update(bytes).digest();
  }

  /** HMAC-SHA-256 over `parts`, each prefixed with its length. */
  mac(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
    return Uint8Array.fromHex(this.macHex(...parts));
  }

  /** {@linkcode Cookie.mac} as 64 hex digits. */
  macHex(...parts: readonly Uint8Array[]): string {
    const all = this.#parts;
    all.clear();
    for (const part of parts) all.blob(part);
    return createHmac("sha256", this.#key).update(all.view()).digest("hex");
  }

  /** Whether `mac` is the MAC of `parts`; compares in constant time. */
  verifies(mac: Uint8Array, ...parts: readonly Uint8Array[]): boolean {
    return mac.length === MAC_BYTES &&
      timingSafeEqual(mac, this.mac(...parts));
  }
}
