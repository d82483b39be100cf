/**
 * Memory in which journal records are built. What a caller writes is copied
 * once, to the place from which it is written to the journal, read until it is
 * folded, and written to its row. Memory is never reused, so a view that was
 * handed out keeps its bytes.
 *
 * @module
 */
import { journalHeaderBytes } from "./journal_codec.ts";
import { journalSlabBytes } from "./deno_kv_limits.ts";

/** A journal record under construction. */
export interface JournalPart {
  readonly slab: Uint8Array<ArrayBuffer>;
  readonly start: number;
  end: number;
  entries: number;
}

/** Size of the first piece of memory; each has twice as much as the one before, up to what a record may have. */
const firstSlabBytes = 8 * 1024;

/** Hands out space for entries, in order. */
export class JournalBuffer {
  #slab = new Uint8Array(firstSlabBytes);
  #filled = 0;

  /**
   * Makes room for an entry of `bytes` in the last of `parts`, or in a new one
   * that is added; the entry ends where the part ends. Only the newest list of
   * parts may grow.
   */
  reserve(parts: JournalPart[], bytes: number): JournalPart {
    let part = parts[parts.length - 1];
    if (part === undefined || this.#filled + bytes > this.#slab.length) {
      const needed = journalHeaderBytes + bytes;
      if (this.#filled + needed > this.#slab.length) {
        const larger = Math.min(2 * this.#slab.length, journalSlabBytes);
        this.#slab = new Uint8Array(Math.max(needed, larger));
        this.#filled = 0;
      }
      part = {
        slab: this.#slab,
        start: this.#filled,
        end: this.#filled + journalHeaderBytes,
        entries: 0,
      };
      this.#filled = part.end;
      parts.push(part);
    }
    this.#filled += bytes;
    part.end = this.#filled;
    part.entries++;
    return part;
  }
}
