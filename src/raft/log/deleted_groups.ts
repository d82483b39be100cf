/**
 * The ids of deleted groups, for members that were away at the time and ask
 * when they return. The file is replaced as a whole; docs/raft_log_format.md
 * describes it.
 *
 * @module
 */
import { crc32 } from "node:zlib";
import { ByteReader, u32At } from "../../base/byte_reader.ts";
import { bytesToText } from "../../base/byte_text.ts";
import { ByteWriter } from "../../base/byte_writer.ts";
import { WhorlError } from "../../base/errors.ts";
import type { Disk } from "../../environment/disk.ts";
import { replaceFile } from "../../storage/atomic_file.ts";

/** Most groups that a node remembers; beyond that, it forgets those deleted first. */
export const DELETED_GROUPS_MAX = 16_384;
/** Name of the file. */
export const DELETED_GROUPS_NAME = "groups.deleted";

const MAGIC = "WHORLDEL";
const FORMAT = 1;
const HEADER_BYTES = MAGIC.length + 6;

/** The deleted groups that a node remembers. */
export class DeletedGroups {
  readonly #disk: Disk;
  readonly #path: string;
  /** Oldest first. */
  #groups: ReadonlySet<number>;
  #writing: Promise<void> = Promise.resolve();

  private constructor(
    disk: Disk,
    path: string,
    groups: ReadonlySet<number>,
  ) {
    this.#disk = disk;
    this.#path = path;
    this.#groups = groups;
  }

  /** Reads the file in `folder`. A damaged one is put aside: other nodes have the same information. */
  static async open(disk: Disk, folder: string): Promise<DeletedGroups> {
    const path = `${folder}/${DELETED_GROUPS_NAME}`;
    const bytes = await disk.readFile(path);
    let groups = bytes && decodeDeletedGroups(bytes, path);
    if (bytes !== undefined && groups === undefined) {
      await disk.rename(path, `${path}.aside`);
      await disk.syncFolder(folder);
    }
    groups ??= new Set();
    return new DeletedGroups(disk, path, groups);
  }

  /** Whether the group was deleted. */
  has(groupId: number): boolean {
    return this.#groups.has(groupId);
  }

  /** Durably adds a group. */
  async add(groupId: number): Promise<void> {
    // One at a time: each replaces the file.
    const adding = this.#writing.then(async () => {
      if (this.#groups.has(groupId)) return;
      const groups = new Set(this.#groups).add(groupId);
      for (const oldest of groups) {
        if (groups.size <= DELETED_GROUPS_MAX) break;
        groups.delete(oldest);
      }
      await replaceFile(this.#disk, this.#path, encodeDeletedGroups(groups));
      this.#groups = groups;
    });
    this.#writing = adding.catch(() => {
      // Reported to the caller; the next one tries again.
    });
    await adding;
  }
}

/** Encodes the file. */
export function encodeDeletedGroups(
  groups: ReadonlySet<number>,
): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter(HEADER_BYTES + 6 * groups.size + 4);
  into.rawText(MAGIC);
  into.u16(FORMAT);
  into.u32(groups.size);
  for (const groupId of groups) into.u48(groupId);
  into.u32(crc32(into.view()));
  return into.copy();
}

/**
 * Decodes the file; `undefined` if it is damaged.
 *
 * @param path For the error's message.
 * @throws {WhorlError} `store_format` if it has a newer format.
 */
export function decodeDeletedGroups(
  bytes: Uint8Array<ArrayBuffer>,
  path: string,
): ReadonlySet<number> | undefined {
  const end = bytes.length - 4;
  if (
    end < HEADER_BYTES || bytesToText(bytes, 0, MAGIC.length) !== MAGIC ||
    u32At(bytes, end) !== crc32(bytes.subarray(0, end))
  ) return undefined;
  const from = new ByteReader(bytes, MAGIC.length, end);
  const format = from.u16();
  if (format > FORMAT) {
    throw new WhorlError(
      "store_format",
      `Cannot read ${path} as its format must be ${FORMAT} or older: current value is ${format}`,
      { details: { path, format } },
    );
  }
  const count = from.u32();
  if (from.remaining !== 6 * count) return undefined;
  const groups = new Set<number>();
  for (let i = 0; i < count; i++) groups.add(from.u48());
  return groups;
}
