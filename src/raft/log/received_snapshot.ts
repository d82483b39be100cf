/**
 * A snapshot being received from a leader: its state goes into a folder of its
 * own, its live entries into segments that no manifest names yet.
 *
 * @module
 */
import { crc32 } from "node:zlib";
import { WhorlError } from "../../base/errors.ts";
import type { RaftEntry, SnapshotMeta } from "../raft_entry.ts";
import { asStoreErrors } from "./log_failure.ts";
import { IndexRanges } from "./index_ranges.ts";
import type { SnapshotReceiver } from "./raft_log.ts";
import type { SegmentBuilder } from "./segment_builder.ts";
import type { SnapshotWriter } from "./snapshot_files.ts";
import type { WorkPace } from "./work_pace.ts";

/** Removes what `writer` wrote, if possible. */
export async function abandon(
  writer: SnapshotWriter | SegmentBuilder,
): Promise<void> {
  try {
    await writer.abandon();
  } catch {
    // It does not count, and is removed when the logs are opened next.
  }
}

/** The log that receives it. */
export interface SnapshotTaker {
  /** The pace of background work. */
  readonly pace: WorkPace;
  /** Installs it; returns whether that was done. */
  install(
    live: IndexRanges,
    first: number,
    received: SegmentBuilder,
  ): Promise<boolean>;
  /** Whether the disk may have a manifest that the log does not know of. */
  readonly isUnsure: boolean;
}

/** A snapshot being received. */
export class ReceivedSnapshot implements SnapshotReceiver {
  readonly #meta: SnapshotMeta;
  readonly #folder: string;
  readonly #state: SnapshotWriter;
  readonly #entries: SegmentBuilder;
  readonly #taker: SnapshotTaker;
  #first = Infinity;
  #last = 0;
  #count = 0;
  #hasEnded = false;

  /** @param folder The group's folder. */
  constructor(
    meta: SnapshotMeta,
    folder: string,
    state: SnapshotWriter,
    entries: SegmentBuilder,
    taker: SnapshotTaker,
  ) {
    this.#meta = meta;
    this.#folder = folder;
    this.#state = state;
    this.#entries = entries;
    this.#taker = taker;
  }

  async writeLive(entries: readonly RaftEntry[]): Promise<void> {
    this.#demandOpen();
    for (const { index, term, body } of entries) {
      if (index <= this.#last || index > this.#meta.index) {
        throw new RangeError(
          `Cannot take the live entry at ${index} as they must ascend up to the snapshot's index ${this.#meta.index}: the one before is at ${this.#last}`,
        );
      }
      this.#first = Math.min(this.#first, index);
      this.#last = index;
      this.#count++;
      await asStoreErrors(
        this.#folder,
        () => this.#entries.add(index, term, body, 0, body.length, crc32(body)),
      );
    }
  }

  async writeState(piece: Uint8Array<ArrayBuffer>): Promise<void> {
    this.#demandOpen();
    await asStoreErrors(this.#folder, () => this.#state.write(piece));
  }

  async finish(
    live: Iterable<number>,
    appliedIndex = this.#first - 1,
  ): Promise<void> {
    this.#demandOpen();
    this.#hasEnded = true;
    let isInstalled = false;
    try {
      const ranges = await this.#taker.pace.run(IndexRanges.inSlices(live));
      const wanted = ranges.countBetween(appliedIndex + 1, this.#meta.index);
      if (wanted !== this.#count) {
        throw new WhorlError(
          "invalid_argument",
          `Cannot take the snapshot at ${this.#meta.index} as all live entries behind ${appliedIndex} must be sent: there are ${wanted}, and ${this.#count} were`,
          { details: { index: this.#meta.index } },
        );
      }
      await asStoreErrors(
        this.#folder,
        () => this.#state.finish(this.#meta, ranges),
      );
      isInstalled = await this.#taker.install(
        ranges,
        this.#first,
        this.#entries,
      );
    } finally {
      if (!isInstalled && !this.#taker.isUnsure) await this.#abandon();
    }
  }

  async abort(): Promise<void> {
    if (!this.#hasEnded) await this.#abandon();
  }

  async #abandon(): Promise<void> {
    this.#hasEnded = true;
    await abandon(this.#entries);
    await abandon(this.#state);
  }

  #demandOpen(): void {
    if (!this.#hasEnded) return;
    throw new WhorlError(
      "closed",
      `Cannot continue the snapshot at ${this.#meta.index} as it has ended`,
      { details: { index: this.#meta.index } },
    );
  }
}
