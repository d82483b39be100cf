/**
 * The files of a group's snapshots: a folder for each, with the state of the
 * machine and the live indexes. A snapshot that the manifest does not name does
 * not count, and is removed.
 *
 * @module
 */
import { crc32 } from "node:zlib";
import { u32At } from "../../base/byte_reader.ts";
import { WhorlError } from "../../base/errors.ts";
import type { Disk, DiskFile, DiskReader } from "../../environment/disk.ts";
import type { SnapshotMeta } from "../raft_entry.ts";
import type { StoredSnapshot } from "./group_manifest_codec.ts";
import type { IndexRanges } from "./index_ranges.ts";
import {
  decodeLive,
  decodeStateHeader,
  encodeLive,
  encodePieceHeader,
  encodeStateEnd,
  encodeStateHeader,
  isStateEnd,
  PIECE_HEADER_BYTES,
  SNAPSHOT_FORMAT,
  STATE_END_BYTES,
  STATE_HEADER_BYTES,
} from "./snapshot_codec.ts";
import { removeFolder } from "./removed_folder.ts";
import { SYNC_BYTES, type WorkPace } from "./work_pace.ts";

/** Pieces are written in parts of at most this many bytes, each with a checksum. */
const PIECE_BYTES_MAX = 256 * 1024;

/** Name of the folder of a snapshot. */
export function snapshotName(
  { meta: { index, term }, number }: StoredSnapshot,
): string {
  return `${index}_${term}-${number}`;
}

/** Writes one snapshot. */
export class SnapshotWriter {
  readonly #disk: Disk;
  readonly #pace: WorkPace;
  readonly #folder: string;
  readonly #file: DiskFile;
  #isOpen = true;
  #pieces = 0;
  #bytes = 0;
  #unsynced = 0;

  private constructor(
    disk: Disk,
    pace: WorkPace,
    folder: string,
    file: DiskFile,
  ) {
    this.#disk = disk;
    this.#pace = pace;
    this.#folder = folder;
    this.#file = file;
  }

  /** Begins a snapshot in `folder`, and removes what is left there. */
  static async begin(
    disk: Disk,
    pace: WorkPace,
    folder: string,
  ): Promise<SnapshotWriter> {
    await removeFolder(disk, folder);
    await disk.makeFolder(folder);
    const file = await disk.open(`${folder}/state`, { mode: "create_new" });
    const writer = new SnapshotWriter(disk, pace, folder, file);
    await file.write(encodeStateHeader());
    return writer;
  }

  /** Adds a part of the state. */
  async write(piece: Uint8Array<ArrayBuffer>): Promise<void> {
    for (let from = 0; from < piece.length; from += PIECE_BYTES_MAX) {
      const part = piece.subarray(from, from + PIECE_BYTES_MAX);
      await this.#file.write(encodePieceHeader(part));
      await this.#file.write(part);
      this.#pieces++;
      this.#bytes += part.length;
      this.#unsynced += part.length;
      if (this.#unsynced >= SYNC_BYTES) {
        this.#unsynced = 0;
        await this.#file.syncData();
      }
      await this.#pace.pause(part.length);
    }
  }

  #close(): void {
    if (this.#isOpen) this.#file.close();
    this.#isOpen = false;
  }

  /** Makes the snapshot and its folder durable. */
  async finish(meta: SnapshotMeta, live: IndexRanges): Promise<void> {
    await this.#file.write(encodeStateEnd(this.#pieces, this.#bytes));
    await this.#file.sync();
    this.#close();
    const file = await this.#disk.open(`${this.#folder}/live`, {
      mode: "create_new",
    });
    try {
      for (const piece of encodeLive(meta, live)) {
        await file.write(piece);
        await this.#pace.pause(piece.length);
      }
      await file.sync();
    } finally {
      file.close();
    }
    await this.#disk.syncFolder(this.#folder);
    await this.#disk.syncFolder(
      this.#folder.slice(0, this.#folder.lastIndexOf("/")),
    );
  }

  /** Removes what was written. */
  async abandon(): Promise<void> {
    this.#close();
    await removeFolder(this.#disk, this.#folder);
  }
}

/** Runs work slice by slice, with other work in between. */
export type SlicedWork = <T>(work: Generator<void, T>) => Promise<T>;

/**
 * Reads the live indexes of the snapshot in `folder`.
 *
 * @throws {WhorlError} `store_corrupt` if it is damaged or of another snapshot,
 * `store_format` if it is newer.
 */
export async function readLive(
  disk: Disk,
  folder: string,
  { index, term }: SnapshotMeta,
  run: SlicedWork,
): Promise<IndexRanges> {
  const found = await readDescription(disk, folder, run);
  if (found.meta.index !== index || found.meta.term !== term) {
    throw brokenError(`${folder}/live`, "it is of another snapshot");
  }
  return found.live;
}

/**
 * Reads the description and the live indexes of the snapshot in `folder`.
 *
 * @throws {WhorlError} As {@linkcode readLive}.
 */
export async function readDescription(
  disk: Disk,
  folder: string,
  run: SlicedWork,
): Promise<{ readonly meta: SnapshotMeta; readonly live: IndexRanges }> {
  const path = `${folder}/live`;
  const bytes = await disk.readFile(path);
  const found = bytes && await run(decodeLive(bytes));
  if (found === undefined) {
    throw brokenError(path, "its content does not match its checksum");
  }
  demandFormat(path, found.format);
  return found;
}

/**
 * Reads the pieces of the state in `folder`, after its `live` file. @throws
 * {WhorlError} `store_corrupt`, while iterating, if it is damaged.
 */
export async function* readState(
  disk: Disk,
  folder: string,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const path = `${folder}/state`;
  const reader = await disk.openRead(path);
  if (reader === undefined) throw brokenError(path, "it is missing");
  try {
    const header = await readExactly(reader, path, 0, STATE_HEADER_BYTES);
    const format = decodeStateHeader(header);
    // A newer format would have been found in the `live` file, which has a
    // checksum.
    if (format === undefined || format > SNAPSHOT_FORMAT) {
      throw brokenError(path, "it is not a snapshot");
    }
    let offset = STATE_HEADER_BYTES;
    let pieces = 0;
    let stateBytes = 0;
    let head = await readExactly(reader, path, offset, PIECE_HEADER_BYTES);
    while (true) {
      const length = u32At(head, 0);
      if (length === 0) break;
      if (length > PIECE_BYTES_MAX) {
        throw brokenError(path, "a length is wrong");
      }
      offset += PIECE_HEADER_BYTES;
      const piece = await readExactly(reader, path, offset, length);
      if (crc32(piece) !== u32At(head, 4)) {
        throw brokenError(path, "a piece does not match its checksum");
      }
      offset += length;
      pieces++;
      stateBytes += length;
      // An end with a wrong bit may look like a piece, but nothing follows it.
      head = await readExactly(reader, path, offset, PIECE_HEADER_BYTES);
      yield piece;
    }
    const end = await readExactly(reader, path, offset, STATE_END_BYTES);
    if (!isStateEnd(end, pieces, stateBytes)) {
      throw brokenError(path, "its end does not match its pieces");
    }
  } finally {
    reader.close();
  }
}

async function readExactly(
  reader: DiskReader,
  path: string,
  offset: number,
  count: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(count);
  if (await reader.readAt(bytes, offset) !== count) {
    throw brokenError(path, "its end is missing");
  }
  return bytes;
}

function demandFormat(path: string, format: number): void {
  if (format <= SNAPSHOT_FORMAT) return;
  throw new WhorlError(
    "store_format",
    `Cannot read ${path} as its format must be ${SNAPSHOT_FORMAT} or older: current value is ${format}`,
    { details: { path, format } },
  );
}

function brokenError(path: string, reason: string): WhorlError {
  return new WhorlError(
    "store_corrupt",
    `Cannot read snapshot ${path} as ${reason}`,
    { details: { path } },
  );
}
