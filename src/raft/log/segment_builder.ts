/**
 * Writes entries of a group into new segments, as many as their limits require.
 * They do not count before the manifest names them.
 *
 * @module
 */
import { crc32 } from "node:zlib";
import type { Disk, DiskFile } from "../../environment/disk.ts";
import { isMembership } from "../entry_body.ts";
import type { SegmentInfo } from "./group_manifest_codec.ts";
import {
  encodeSegmentHeader,
  SEGMENT_HEADER_BYTES,
  SegmentIndexWriter,
} from "./segment_codec.ts";
import { TermRuns } from "./term_runs.ts";
import { SLICE_BYTES, SYNC_BYTES, type WorkPace } from "./work_pace.ts";

/** How large a segment may be. */
export interface SegmentLimits {
  readonly entriesMax: number;
  /** Most bytes of bodies; a larger body gets a segment of its own. */
  readonly bytesMax: number;
}

/** Where the segments of a group go. */
export interface SegmentTarget {
  readonly disk: Disk;
  readonly pace: WorkPace;
  readonly uid: number;
  readonly limits: SegmentLimits;
  /** A number that no segment of the group has used. */
  takeNumber(): number;
  pathOf(number: number): string;
}

/** A segment that is being written. */
interface OpenSegment {
  readonly number: number;
  readonly file: DiskFile;
  readonly index: SegmentIndexWriter;
  readonly runs: TermRuns;
  readonly memberships: number[];
  first: number;
  last: number;
  count: number;
  bodyBytes: number;
  unsynced: number;
}

/** Writes one series of segments. */
export class SegmentBuilder {
  readonly #target: SegmentTarget;
  readonly #slice = new Uint8Array(SLICE_BYTES);
  #used = 0;
  #open: OpenSegment | undefined;
  readonly #done: SegmentInfo[] = [];

  constructor(target: SegmentTarget) {
    this.#target = target;
  }

  /** Adds the entry at `index`, which ascends; its body is `slab[offset, offset + length)`. */
  async add(
    index: number,
    term: number,
    slab: Uint8Array<ArrayBuffer>,
    offset: number,
    length: number,
    crc: number,
  ): Promise<void> {
    if (!this.hasRoomFor(length)) await this.#makeRoomFor(length);
    if (length <= this.#slice.length) {
      this.addNow(index, term, slab, offset, length, crc);
      return;
    }
    const open = this.#open as OpenSegment;
    this.#note(open, index, term, slab, offset, length, crc);
    await this.#write(open, slab.subarray(offset, offset + length));
  }

  /** Whether {@linkcode addNow} may be called for this many bytes. */
  hasRoomFor(length: number): boolean {
    const open = this.#open;
    const { entriesMax, bytesMax } = this.#target.limits;
    return open !== undefined && open.count < entriesMax &&
      open.bodyBytes + length <= bytesMax &&
      this.#used + length <= this.#slice.length;
  }

  /** Like {@linkcode add}, synchronously, if there is room: hundreds of thousands of awaits would cost more than the work. */
  addNow(
    index: number,
    term: number,
    slab: Uint8Array<ArrayBuffer>,
    offset: number,
    length: number,
    crc: number,
  ): void {
    const open = this.#open as OpenSegment;
    this.#note(open, index, term, slab, offset, length, crc);
    this.#slice.set(slab.subarray(offset, offset + length), this.#used);
    this.#used += length;
  }

  #note(
    open: OpenSegment,
    index: number,
    term: number,
    slab: Uint8Array<ArrayBuffer>,
    offset: number,
    length: number,
    crc: number,
  ): void {
    if (open.count === 0) open.first = index;
    open.last = index;
    open.count++;
    open.index.add(
      index,
      SEGMENT_HEADER_BYTES + open.bodyBytes,
      length,
      crc,
    );
    open.bodyBytes += length;
    open.runs.push(index, term);
    if (isMembership(slab, offset)) open.memberships.push(index);
  }

  async #makeRoomFor(length: number): Promise<void> {
    const { entriesMax, bytesMax } = this.#target.limits;
    const open = this.#open;
    if (
      open !== undefined &&
      (open.count >= entriesMax || open.bodyBytes + length > bytesMax)
    ) await this.#close(open);
    this.#open ??= await this.#begin();
    await this.#writeSlice(this.#open);
  }

  async #begin(): Promise<OpenSegment> {
    const { disk, uid } = this.#target;
    const number = this.#target.takeNumber();
    const file = await disk.open(this.#target.pathOf(number), {
      mode: "create_new",
    });
    this.#slice.set(encodeSegmentHeader(uid, number));
    this.#used = SEGMENT_HEADER_BYTES;
    return {
      number,
      file,
      index: new SegmentIndexWriter(),
      runs: new TermRuns(),
      memberships: [],
      first: 0,
      last: 0,
      count: 0,
      bodyBytes: 0,
      unsynced: 0,
    };
  }

  async #writeSlice(open: OpenSegment): Promise<void> {
    if (this.#used === 0) return;
    await this.#write(open, this.#slice.subarray(0, this.#used));
    this.#used = 0;
  }

  /**
   * Not by `writeAt`: when the system is short of memory for dirty pages, it
   * blocks the writer, and that must not be this thread.
   */
  async #write(
    open: OpenSegment,
    bytes: Uint8Array<ArrayBuffer>,
  ): Promise<void> {
    await open.file.write(bytes);
    open.unsynced += bytes.length;
    if (open.unsynced >= SYNC_BYTES) {
      open.unsynced = 0;
      await open.file.syncData();
    }
    await this.#target.pace.pause(bytes.length);
  }

  async #close(open: OpenSegment): Promise<void> {
    await this.#writeSlice(open);
    const index = open.index.view();
    await open.file.write(index);
    await open.file.sync();
    this.#open = undefined;
    open.file.close();
    this.#done.push({
      number: open.number,
      first: open.first,
      last: open.last,
      count: open.count,
      bodyBytes: open.bodyBytes,
      indexCrc: crc32(index),
      runs: open.runs.runs,
      memberships: open.memberships,
    });
  }

  /** Makes the segments durable and returns them; the caller must sync the folder. */
  async finish(): Promise<readonly SegmentInfo[]> {
    if (this.#open !== undefined) await this.#close(this.#open);
    return this.#done;
  }

  /** Removes what was written. */
  async abandon(): Promise<void> {
    const { disk } = this.#target;
    const numbers = this.#done.map(({ number }) => number);
    if (this.#open !== undefined) {
      numbers.push(this.#open.number);
      this.#open.file.close();
      this.#open = undefined;
    }
    for (const number of numbers) {
      await disk.remove(this.#target.pathOf(number));
    }
  }
}
