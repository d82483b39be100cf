/**
 * Splits bytes into lines, whichever way the chunks fall. A line ends with LF
 * or CRLF, neither of which belongs to it; a byte order mark before the first
 * line is dropped. A line over the limit is not kept, only its number is.
 *
 * @module
 */
const LF = 10;
const CR = 13;
const BOM = [0xef, 0xbb, 0xbf];

/**
 * Takes a line: its bytes, valid during the call, or `undefined` if it was over
 * the limit; and its number, counted from 1.
 */
export type LineHandler = (
  line: Uint8Array | undefined,
  number: number,
) => void;

/** Splits pushed bytes into lines. */
export class LineSplitter {
  #handle: LineHandler;
  #bytesMax: number;
  /** The beginning of a line whose end has not come. */
  #held: Uint8Array = new Uint8Array(0);
  #heldLength = 0;
  #oversized = false;
  #number = 1;

  /** @param bytesMax Longest line that is kept, in bytes. */
  constructor(bytesMax: number, handle: LineHandler) {
    this.#bytesMax = bytesMax;
    this.#handle = handle;
  }

  /** Takes the next bytes and hands over the lines they complete. */
  push(bytes: Uint8Array): void {
    let start = 0;
    for (
      let end = bytes.indexOf(LF);
      end !== -1;
      end = bytes.indexOf(LF, start)
    ) {
      if (this.#heldLength === 0 && !this.#oversized) {
        this.#emit(bytes, start, end);
      } else {
        this.#hold(bytes, start, end);
        this.#emitHeld();
      }
      start = end + 1;
    }
    this.#hold(bytes, start, bytes.length);
  }

  /** Hands over a last line without a line end, if there is one. */
  end(): void {
    if (this.#heldLength > 0 || this.#oversized) this.#emitHeld();
  }

  #emit(bytes: Uint8Array, start: number, end: number): void {
    const number = this.#number++;
    if (number === 1 && BOM.every((byte, at) => bytes[start + at] === byte)) {
      start += BOM.length;
    }
    if (end > start && bytes[end - 1] === CR) end--;
    const fits = end - start <= this.#bytesMax;
    this.#handle(fits ? bytes.subarray(start, end) : undefined, number);
  }

  #emitHeld(): void {
    if (this.#oversized) this.#handle(undefined, this.#number++);
    else this.#emit(this.#held, 0, this.#heldLength);
    this.#heldLength = 0;
    this.#oversized = false;
  }

  #hold(bytes: Uint8Array, start: number, end: number): void {
    if (start === end || this.#oversized) return;
    const length = this.#heldLength + end - start;
    // One byte of slack for the CR of a line that just fits, three for a BOM.
    if (length > this.#bytesMax + 1 + BOM.length) {
      this.#oversized = true;
      this.#held = new Uint8Array(0);
      this.#heldLength = 0;
      return;
    }
    if (length > this.#held.length) {
      const larger = new Uint8Array(Math.max(length, this.#held.length * 2));
      larger.set(this.#held.subarray(0, this.#heldLength));
      this.#held = larger;
    }
    this.#held.set(bytes.subarray(start, end), this.#heldLength);
    this.#heldLength = length;
  }
}
