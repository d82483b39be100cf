/**
 * The decisions about a store's journal: where the next records go, when a
 * generation is full and is folded, how much of it each commit folds in
 * passing, and when writers must wait for the fold. It only decides and counts;
 * `DenoKvStore` acts.
 *
 *     generation g is written ── full, idle, closing ──► g is folded, g + 1 is written
 *     g is folded ── last part durable ────────────────► g is dropped
 *
 * @module
 */
import { invariant } from "../base/invariant.ts";
import type { JournalExtent } from "./deno_kv_codec.ts";
import type { JournalLimits } from "./deno_kv_limits.ts";
import type { JournalPart } from "./journal_buffer.ts";
import type { JournalPlace } from "./journal_codec.ts";

/** The journal of one store, as of the commit in preparation. */
export class Journal {
  readonly #limits: JournalLimits;
  #generation: number;
  #folding: number;
  #records: number;
  #bytes = 0;
  #entries = 0;
  #bytesFolding = 0;

  /** @param extent What is in the file. */
  constructor(extent: JournalExtent, limits: JournalLimits) {
    this.#limits = limits;
    this.#generation = extent.generation;
    this.#folding = extent.folding;
    this.#records = extent.records;
  }

  /** The extent that the head must record. */
  get extent(): JournalExtent {
    return {
      generation: this.#generation,
      folding: this.#folding,
      records: this.#records,
    };
  }

  /** Whether a generation is being folded. */
  get isFolding(): boolean {
    return this.#folding > 0;
  }

  /** Whether everything is in its row. */
  get isEmpty(): boolean {
    return this.#folding === 0 && this.#records === 0;
  }

  /** Memory that the records take, in bytes. */
  get bytes(): number {
    return this.#bytes + this.#bytesFolding;
  }

  /** Whether the current generation has room for these records. */
  hasRoomFor(parts: readonly JournalPart[]): boolean {
    const { generationBytesMax, generationEntriesMax, generationRecordsMax } =
      this.#limits;
    // An empty generation accepts any size, so that no batch waits forever.
    return this.#records === 0 ||
      this.#bytes + bytesOf(parts) <= generationBytesMax &&
        this.#entries < generationEntriesMax &&
        this.#records + parts.length <= generationRecordsMax;
  }

  /** Places for `count` records, from the first that is returned on. */
  get nextPlace(): JournalPlace {
    return {
      generation: this.#generation + (this.#folding > 0 ? 1 : 0),
      index: this.#records,
    };
  }

  /** Notes that the next commit writes these records, from `nextPlace` on. */
  append(parts: readonly JournalPart[]): void {
    let entries = 0;
    for (const part of parts) entries += part.entries;
    this.note(parts.length, bytesOf(parts), entries);
  }

  /** Notes records, `bytes` and `entries` in all. */
  note(records: number, bytes: number, entries: number): void {
    this.#records += records;
    this.#bytes += bytes;
    this.#entries += entries;
  }

  /** Begins the next generation; the one before is folded from now on. */
  beginFold(): void {
    invariant(
      this.#folding === 0 && this.#records > 0,
      "one generation is folded at a time, and holds something",
    );
    this.#folding = this.#records;
    this.#bytesFolding = this.#bytes;
    this.#records = 0;
    this.#bytes = 0;
    this.#entries = 0;
  }

  /** Drops the generation that was folded, with the next commit. */
  endFold(): void {
    this.#generation++;
    this.#folding = 0;
    this.#bytesFolding = 0;
  }

  /**
   * How many rows a commit with `parts` folds in passing, with `left` to go:
   * enough for the fold to end when the current generation is half full.
   */
  rowsInPassing(parts: readonly JournalPart[], left: number): number {
    const limits = this.#limits;
    let entries = 0;
    for (const part of parts) entries += part.entries;
    const share = Math.max(
      shareOf(bytesOf(parts), this.#bytes, limits.generationBytesMax),
      shareOf(entries, this.#entries, limits.generationEntriesMax),
      shareOf(parts.length, this.#records, limits.generationRecordsMax),
    );
    return Math.min(
      limits.foldRowsMax,
      Math.max(limits.foldRowsMin, Math.ceil(left * share)),
    );
  }
}

/** The share of the unused part of half a generation that `more` uses. */
function shareOf(more: number, used: number, max: number): number {
  return Math.min(1, more / Math.max(1, max / 2 - used));
}

function bytesOf(parts: readonly JournalPart[]): number {
  let bytes = 0;
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i] as JournalPart;
    bytes += part.end - part.start;
  }
  return bytes;
}
