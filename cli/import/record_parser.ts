/**
 * What reads records out of a file's bytes. A parser is pushed bytes as they
 * come and emits what it finds: records, and what it had to reject, each with
 * the line it began on. It holds one unfinished record at most, and that is
 * bounded, so memory does not grow with the file.
 *
 * @module
 */
import type { JsonValue } from "../../src/kv/kv_client.ts";

/** The formats that can be read. */
export const FORMATS = ["ndjson", "json", "csv", "tsv"] as const;
/** One of the formats. */
export type Format = (typeof FORMATS)[number];

/**
 * Largest record in bytes: 8 MiB, what a node stores at most. A longer one is
 * rejected and skipped without being held.
 */
export const RECORD_BYTES_MAX = 8 * 1024 * 1024;

/** Something found in a file. */
export type Found =
  | {
    readonly type: "record";
    /** Where it begins, counted from 1. */
    readonly line: number;
    readonly value: JsonValue;
  }
  | {
    readonly type: "reject";
    readonly line: number;
    /** Why, without a period. */
    readonly reason: string;
  };

/** Reads one format. */
export interface RecordParser {
  /**
   * Takes the next bytes and appends what they complete to `found`. The bytes
   * may be used again afterwards.
   *
   * @throws {WhorlError} `invalid_argument` if the file as a whole makes no
   * sense, so that going on could only do harm.
   */
  push(bytes: Uint8Array, found: Found[]): void;
  /** Says that the file ends here. @throws {WhorlError} as `push`. */
  end(found: Found[]): void;
}
