/**
 * A cache of open segment files and their indexes: the most recently used of a
 * node.
 *
 * @module
 */
import { crc32 } from "node:zlib";
import { WhorlError } from "../../base/errors.ts";
import type { Disk, DiskReader } from "../../environment/disk.ts";
import type { RaftEntry } from "../raft_entry.ts";
import type { SegmentInfo } from "./group_manifest_codec.ts";
import {
  decodeSegmentHeader,
  INDEX_LINE_BYTES,
  SEGMENT_FORMAT,
  SEGMENT_HEADER_BYTES,
  SegmentIndex,
} from "./segment_codec.ts";
import { TermRuns } from "./term_runs.ts";

/**
 * Most segments open at a time, unless more are being read; each takes up to 80
 * KiB for its index. Reading one that is not open costs ten times as much.
 */
const OPEN_MAX = 256;
/** Two bodies with a smaller gap between them are read together. */
const GAP_BYTES_MAX = 16 * 1024;
/** Most bytes in one such read. */
const READ_BYTES_MAX = 1024 * 1024;

/** A segment of a group. */
export class Segment {
  readonly path: string;
  readonly info: SegmentInfo;
  readonly #runs: TermRuns;

  constructor(path: string, info: SegmentInfo) {
    this.path = path;
    this.info = info;
    this.#runs = new TermRuns(info.runs);
  }

  /** Term of its entry at `index`. */
  termAt(index: number): number {
    return this.#runs.at(index) as number;
  }

  /** The same file, but only the entries below `index` count. */
  cutFrom(index: number): Segment {
    const { info } = this;
    const runs = new TermRuns(info.runs);
    runs.cutFrom(index);
    return new Segment(this.path, {
      ...info,
      last: index - 1,
      runs: runs.runs,
      memberships: info.memberships.filter((place) => place < index),
    });
  }
}

/** An open segment. */
class OpenSegment {
  readonly reader: DiskReader;
  readonly index: SegmentIndex;
  #users = 0;
  #isForgotten = false;

  constructor(reader: DiskReader, index: SegmentIndex) {
    this.reader = reader;
    this.index = index;
  }

  get isIdle(): boolean {
    return this.#users === 0;
  }

  async use<T>(read: (open: OpenSegment) => Promise<T>): Promise<T> {
    this.#users++;
    try {
      return await read(this);
    } finally {
      if (--this.#users === 0 && this.#isForgotten) this.reader.close();
    }
  }

  /** Closes it once it is not in use. */
  forget(): void {
    this.#isForgotten = true;
    if (this.isIdle) this.reader.close();
  }
}

/** The file of a segment does not exist: the segment was replaced, or is lost. */
export class SegmentGoneError extends Error {
  override name = "SegmentGoneError";
}

/** Reads segments. */
export class SegmentFiles {
  readonly #disk: Disk;
  /** By path, least recently used first. */
  readonly #open = new Map<string, Promise<OpenSegment>>();
  readonly #ready = new Map<string, OpenSegment>();

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  /** The index of a segment. */
  indexOf(segment: Segment): Promise<SegmentIndex> {
    return this.#use(segment, (open) => Promise.resolve(open.index));
  }

  /**
   * Consecutive entries of a segment from `first` on, up to a gap, `last` or
   * `bytesMax` bytes; at least one if it exists.
   */
  readRow(
    segment: Segment,
    first: number,
    last: number,
    bytesMax: number,
  ): Promise<RaftEntry[]> {
    return this.#use(segment, async ({ reader, index }) => {
      const start = index.lineFrom(first);
      let end = start;
      let bytes = 0;
      while (
        end < index.count && index.indexAt(end) === first + end - start &&
        first + end - start <= last
      ) {
        bytes += index.lengthAt(end);
        if (bytes > bytesMax && end > start) break;
        end++;
      }
      const entries: RaftEntry[] = [];
      for (let from = start; from < end;) {
        from = await this.#readLines(
          segment,
          reader,
          index,
          from,
          end,
          entries,
        );
      }
      return entries;
    });
  }

  /** The entries at ascending `indexes` that are in a segment. */
  readSome(
    segment: Segment,
    indexes: readonly number[],
  ): Promise<RaftEntry[]> {
    return this.#use(segment, async ({ reader, index }) => {
      const entries: RaftEntry[] = [];
      const lines = indexes.map((place) => index.lineFrom(place)).filter((
        line,
        i,
      ) => line < index.count && index.indexAt(line) === indexes[i]);
      let at = 0;
      while (at < lines.length) {
        const from = lines[at] as number;
        let to = from;
        let next = at + 1;
        for (; next < lines.length; next++) {
          const line = lines[next] as number;
          const end = index.offsetAt(to) + index.lengthAt(to);
          if (
            index.offsetAt(line) - end > GAP_BYTES_MAX ||
            index.offsetAt(line) + index.lengthAt(line) -
                  index.offsetAt(from) > READ_BYTES_MAX
          ) break;
          to = line;
        }
        const start = index.offsetAt(from);
        const bytes = await this.#readBytes(
          segment,
          reader,
          start,
          index.offsetAt(to) + index.lengthAt(to),
        );
        for (; at < next; at++) {
          const line = lines[at] as number;
          entries.push(
            this.#entryAt(segment, index, line, bytes, start),
          );
        }
      }
      return entries;
    });
  }

  /** Reads entries from line `from` on in one read, at most up to `end`; returns the line behind the last. */
  async #readLines(
    segment: Segment,
    reader: DiskReader,
    index: SegmentIndex,
    from: number,
    end: number,
    into: RaftEntry[],
  ): Promise<number> {
    const start = index.offsetAt(from);
    let to = from + 1;
    while (
      to < end &&
      index.offsetAt(to) + index.lengthAt(to) - start <= READ_BYTES_MAX
    ) to++;
    const last = to - 1;
    const bytes = await this.#readBytes(
      segment,
      reader,
      start,
      index.offsetAt(last) + index.lengthAt(last),
    );
    for (let line = from; line < to; line++) {
      into.push(this.#entryAt(segment, index, line, bytes, start));
    }
    return to;
  }

  async #readBytes(
    segment: Segment,
    reader: DiskReader,
    start: number,
    end: number,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(end - start);
    if (await reader.readAt(bytes, start) !== bytes.length) {
      throw brokenError(segment.path, "its end is missing");
    }
    return bytes;
  }

  /** The entry of `line`, from `bytes` that were read at `start`. */
  #entryAt(
    segment: Segment,
    index: SegmentIndex,
    line: number,
    bytes: Uint8Array<ArrayBuffer>,
    start: number,
  ): RaftEntry {
    const from = index.offsetAt(line) - start;
    const body = bytes.subarray(from, from + index.lengthAt(line));
    const place = index.indexAt(line);
    if (crc32(body) !== index.crcAt(line)) {
      throw brokenError(
        segment.path,
        `the entry at ${place} does not match its checksum`,
      );
    }
    return { index: place, term: segment.termAt(place), body };
  }

  async #use<T>(
    segment: Segment,
    read: (open: OpenSegment) => Promise<T>,
  ): Promise<T> {
    const { path } = segment;
    const opening = this.#open.get(path) ?? this.#opening(segment);
    this.#open.delete(path);
    this.#open.set(path, opening);
    const open = await opening;
    try {
      return await open.use(read);
    } finally {
      this.#closeSome();
    }
  }

  #opening(segment: Segment): Promise<OpenSegment> {
    const { path } = segment;
    const opening = this.#read(segment);
    opening.then(
      (open) => void this.#ready.set(path, open),
      () => void this.#open.delete(path),
    );
    return opening;
  }

  async #read({ path, info }: Segment): Promise<OpenSegment> {
    const reader = await this.#disk.openRead(path);
    if (reader === undefined) {
      throw new SegmentGoneError(`There is no segment ${path}`);
    }
    try {
      const header = new Uint8Array(SEGMENT_HEADER_BYTES);
      await reader.readAt(header, 0);
      const told = decodeSegmentHeader(header);
      if (told?.number !== info.number) {
        throw brokenError(path, "its header is not that of this segment");
      }
      if (told.format > SEGMENT_FORMAT) {
        throw new WhorlError(
          "store_format",
          `Cannot read segment ${path} as its format must be ${SEGMENT_FORMAT} or older: current value is ${told.format}`,
          { details: { path, format: told.format } },
        );
      }
      const bytes = new Uint8Array(info.count * INDEX_LINE_BYTES);
      const count = await reader.readAt(
        bytes,
        SEGMENT_HEADER_BYTES + info.bodyBytes,
      );
      if (count !== bytes.length || crc32(bytes) !== info.indexCrc) {
        throw brokenError(path, "its index does not match its checksum");
      }
      return new OpenSegment(reader, new SegmentIndex(bytes));
    } catch (error) {
      reader.close();
      throw error;
    }
  }

  /** Closes the least recently used ones, if there are too many. */
  #closeSome(): void {
    if (this.#open.size <= OPEN_MAX) return;
    for (const path of this.#open.keys()) {
      if (!this.#ready.get(path)?.isIdle) continue;
      this.forget(path);
      if (this.#open.size <= OPEN_MAX) return;
    }
  }

  /** Closes the file at `path`, now or once nothing reads it. */
  forget(path: string): void {
    const open = this.#ready.get(path);
    const opening = this.#open.get(path);
    this.#open.delete(path);
    this.#ready.delete(path);
    if (open !== undefined) open.forget();
    else {
      opening?.then((open) => {
        this.#ready.delete(path);
        open.forget();
      }, () => {});
    }
  }

  /** Closes all. */
  close(): void {
    for (const path of [...this.#open.keys()]) this.forget(path);
  }
}

function brokenError(path: string, reason: string): WhorlError {
  return new WhorlError(
    "store_corrupt",
    `Cannot read segment ${path} as ${reason}`,
    { details: { path } },
  );
}
