/**
 * The message stream in the pipes to and from a subprocess:
 *
 *     u32 length · u8 kind · payload
 *
 * `length` counts kind and payload. Kind 0 is an order or an answer
 * (`program_protocol.ts`, as V8 serialises it), kind 1 a message of the application.
 *
 * @module
 */
import type { Message } from "./program.ts";

/** An order or an answer. */
export const KIND_CONTROL = 0;
/** A message of the application. */
export const KIND_MESSAGE = 1;
/** Largest payload: 64 MiB. A length beyond it means that the stream is broken. */
export const PAYLOAD_BYTES_MAX = 64 * 1024 * 1024;

const HEADER_BYTES = 5;

/** The bytes received are not a message stream. Nothing after them can be understood. */
export class BrokenStreamError extends Error {
  override name = "BrokenStreamError";
}

/** Collects messages into one run of bytes. */
export class MessageBatch {
  #parts: { readonly kind: number; readonly payload: Uint8Array }[] = [];
  #bytes = 0;

  /** Bytes it holds. */
  get length(): number {
    return this.#bytes;
  }

  /**
   * Adds a message, which must not change until it is taken.
   *
   * @throws {RangeError} If it is too large.
   */
  add(kind: number, payload: Uint8Array): void {
    if (payload.length > PAYLOAD_BYTES_MAX) {
      throw new RangeError(
        `Cannot send message of ${payload.length} bytes: the limit is ${PAYLOAD_BYTES_MAX}`,
      );
    }
    this.#parts.push({ kind, payload });
    this.#bytes += HEADER_BYTES + payload.length;
  }

  /** Takes everything that was added. */
  take(): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.#bytes);
    const view = new DataView(bytes.buffer);
    let at = 0;
    for (const { kind, payload } of this.#parts) {
      view.setUint32(at, payload.length + 1);
      bytes[at + 4] = kind;
      bytes.set(payload, at + HEADER_BYTES);
      at += HEADER_BYTES + payload.length;
    }
    this.#parts = [];
    this.#bytes = 0;
    return bytes;
  }
}

/** Finds messages in a stream that arrives in pieces. */
export class MessageReader {
  readonly #handle: (kind: number, payload: Message) => void;
  readonly #header = new Uint8Array(HEADER_BYTES);
  #headerBytes = 0;
  #payload: Message | undefined = undefined;
  #payloadBytes = 0;

  /** @param handle Gets each message, and owns its bytes. */
  constructor(handle: (kind: number, payload: Message) => void) {
    this.#handle = handle;
  }

  /**
   * Takes the next piece, which may be reused afterwards.
   *
   * @throws {BrokenStreamError} If a length is 0 or beyond the limit.
   */
  push(piece: Uint8Array): void {
    let at = 0;
    while (at < piece.length) {
      if (this.#payload === undefined) {
        while (this.#headerBytes < HEADER_BYTES && at < piece.length) {
          this.#header[this.#headerBytes++] = piece[at++]!;
        }
        if (this.#headerBytes < HEADER_BYTES) return;
        this.#payload = new Uint8Array(payloadLength(this.#header));
        this.#payloadBytes = 0;
      }
      const missing = this.#payload.length - this.#payloadBytes;
      const found = Math.min(missing, piece.length - at);
      this.#payload.set(piece.subarray(at, at + found), this.#payloadBytes);
      this.#payloadBytes += found;
      at += found;
      if (found === missing) this.#finish(this.#payload);
    }
  }

  #finish(payload: Message): void {
    this.#payload = undefined;
    this.#headerBytes = 0;
    this.#handle(this.#header[4]!, payload);
  }
}

function payloadLength(header: Uint8Array): number {
  const length = new DataView(header.buffer).getUint32(0);
  if (length === 0 || length - 1 > PAYLOAD_BYTES_MAX) {
    throw new BrokenStreamError(
      `Cannot read message as its length must be 1 to ${PAYLOAD_BYTES_MAX} bytes: it is ${length}`,
    );
  }
  return length - 1;
}
