/**
 * The cluster's cookie: the secret that all nodes and clients of a cluster
 * share. It is only used as the key of a MAC and cannot be read back, so it
 * cannot end up in a log.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { WhorlError } from "../base/errors.ts";
import type { MacUnder } from "../environment/environment.ts";

/** Bytes of a {@linkcode Cookie.mac}. */
export const MAC_BYTES = 32;

const systemMacUnder: MacUnder = (key) => (message) =>
  new Uint8Array(createHmac("sha256", key).update(message).digest());

/** A shared secret, as a key for HMAC-SHA-256. */
export class Cookie {
  readonly #mac: (message: Uint8Array) => Uint8Array<ArrayBuffer>;

  /**
   * @param secret At least one byte; a string is taken as UTF-8.
   * @param macUnder Makes HMAC-SHA-256 under a key. @default {the system's}
   * @throws {WhorlError} `invalid_config` if it is empty.
   */
  constructor(
    secret: string | Uint8Array,
    macUnder: MacUnder = systemMacUnder,
  ) {
    const bytes = Buffer.from(secret as string);
    if (bytes.length === 0) {
      throw new WhorlError(
        "invalid_config",
        "Cannot use a cookie of 0 bytes: the least is 1",
      );
    }
    // HMAC pads short keys with zeros, so "a" and "a\0" would be one key.
    this.#mac = macUnder(createHash("sha256").update(bytes).digest());
  }

  /** HMAC-SHA-256 over `parts`, each prefixed with its length. */
  mac(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
    let length = 0;
    for (const part of parts) length += 4 + part.length;
    // In one piece: each call of the runtime costs as much as hashing all of it.
    const message = new Uint8Array(length);
    const view = new DataView(message.buffer);
    let at = 0;
    for (const part of parts) {
      view.setUint32(at, part.length);
      message.set(part, at + 4);
      at += 4 + part.length;
    }
    return this.#mac(message);
  }

  /** Whether `mac` is the MAC of `parts`; compares in constant time. */
  verifies(mac: Uint8Array, ...parts: readonly Uint8Array[]): boolean {
    return mac.length === MAC_BYTES &&
      timingSafeEqual(mac, this.mac(...parts));
  }
}
