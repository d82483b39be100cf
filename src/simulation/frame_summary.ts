/**
 * What stands in the bytes of a stream, in words: which frames begin in a piece
 * of it, and of which one it is the rest. Only traces need it, so it follows a
 * stream from its first byte and is content with whatever it finds.
 *
 * @module
 */
import {
  announcedFrameBytes,
  FRAME_BYTES_MAX,
  FRAME_HEADER_BYTES,
} from "../wire/frame.ts";
import { FrameType } from "../wire/frame_type.ts";

/** The length, then the type. */
const TYPE_AT = 4;

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(FrameType).map(([name, type]) => [type, name]),
);

/** Follows one direction of a stream. */
export class FrameSummary {
  /** Length and type of the frame that begins, as far as they have come. */
  readonly #head = new Uint8Array(TYPE_AT + 1);
  #headBytes = 0;
  /** Bytes that the current frame still lacks. */
  #lacking = 0;
  #name = "";
  /** Whether what came cannot be frames. */
  #foreign = false;

  /** What the next piece of the stream holds: `2 vnodeRequest, ping, 214 bytes`. */
  describe(bytes: Uint8Array): string {
    const counts = new Map<string, number>();
    const parts: string[] = [];
    let at = 0;
    while (at < bytes.length && !this.#foreign) {
      if (this.#lacking > 0) {
        const count = Math.min(this.#lacking, bytes.length - at);
        this.#lacking -= count;
        if (at === 0) {
          parts.push(`${this.#lacking > 0 ? "more" : "rest"} of ${this.#name}`);
        }
        at += count;
        continue;
      }
      this.#head[this.#headBytes++] = bytes[at++] as number;
      if (this.#headBytes <= TYPE_AT) continue;
      this.#headBytes = 0;
      this.#begin();
      if (!this.#foreign) {
        counts.set(this.#name, (counts.get(this.#name) ?? 0) + 1);
      }
    }
    for (const [name, count] of counts) {
      parts.push(count === 1 ? name : `${count} ${name}`);
    }
    parts.push(bytes.length === 1 ? "1 byte" : `${bytes.length} bytes`);
    return parts.join(", ");
  }

  #begin(): void {
    const whole = announcedFrameBytes(this.#head, 0, this.#head.length) ?? 0;
    const type = this.#head[TYPE_AT] as number;
    this.#name = NAMES.get(type) ?? `frame of type ${type}`;
    this.#lacking = whole - this.#head.length;
    this.#foreign = whole < FRAME_HEADER_BYTES ||
      whole - TYPE_AT > FRAME_BYTES_MAX;
  }
}
