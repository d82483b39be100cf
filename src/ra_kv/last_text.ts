/**
 * Decodes names that repeat: the cluster in each operation, the leader in each
 * answer. Comparing a few bytes with the last name costs a twentieth of
 * decoding them, and returns the same string object.
 *
 * @module
 */
import { equalsRange } from "../base/byte_order.ts";
import { WhorlError } from "../base/errors.ts";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Decodes texts and remembers the last one. */
export class LastText {
  #bytes: Uint8Array = new Uint8Array(0);
  #text = "";

  /** The text in `bytes[start, end)`. @throws {WhorlError} `protocol_error` if it is not UTF-8. */
  of(bytes: Uint8Array, start = 0, end: number = bytes.length): string {
    if (equalsRange(this.#bytes, bytes, start, end)) return this.#text;
    const own = bytes.slice(start, end);
    try {
      this.#text = decoder.decode(own);
    } catch (cause) {
      throw new WhorlError(
        "protocol_error",
        "Cannot read a name that is not UTF-8",
        { cause },
      );
    }
    this.#bytes = own;
    return this.#text;
  }
}
