/**
 * The key filter of a store that was closed cleanly, so that the next opening
 * need not read all keys to know which are absent. It is valid for exactly one
 * commit number: each opening makes a commit, so the filter of an earlier
 * closing never counts as a newer one. It only saves time: a missing, outdated
 * or damaged file is ignored.
 *
 * @module
 */
import { crc32 } from "node:zlib";
import type { Disk } from "../environment/disk.ts";
import { replaceFile } from "./atomic_file.ts";

const magic = new TextEncoder().encode("WHORLKF1");
/** Magic, checksum of the rest, identity of the store, commit. */
const headerBytes = 8 + 4 + 8 + 8;

/** Which store, as of which commit. */
export interface FilterMoment {
  /** 16 lowercase hex digits. */
  readonly storeId: string;
  /** The last commit before the store was closed. */
  readonly commit: number;
}

/** The path of the saved filter of the store in `path`. */
export function keyFilterPath(path: string): string {
  return `${path}.keys`;
}

function headerOf({ storeId, commit }: FilterMoment): Uint8Array<ArrayBuffer> {
  const header = new Uint8Array(headerBytes);
  const view = new DataView(header.buffer);
  header.set(magic);
  header.set(Uint8Array.fromHex(storeId), 12);
  view.setBigUint64(20, BigInt(commit));
  return header;
}

/** Writes a filter, replacing an existing one. */
export async function writeKeyFilter(
  disk: Disk,
  path: string,
  moment: FilterMoment,
  saved: Uint8Array,
): Promise<void> {
  const bytes = new Uint8Array(headerBytes + saved.length);
  bytes.set(headerOf(moment));
  bytes.set(saved, headerBytes);
  new DataView(bytes.buffer).setUint32(8, crc32(bytes.subarray(12)));
  await replaceFile(disk, path, bytes);
}

/**
 * The filter of that store as of that commit, or `undefined` if it is missing
 * or damaged.
 */
export async function readKeyFilter(
  disk: Disk,
  path: string,
  moment: FilterMoment,
): Promise<Uint8Array | undefined> {
  const bytes = await disk.readFile(path);
  if (bytes === undefined || bytes.length < headerBytes + 4) return undefined;
  const expected = headerOf(moment);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  new DataView(expected.buffer).setUint32(8, view.getUint32(8));
  const fits = expected.every((byte, i) => byte === bytes[i]) &&
    view.getUint32(8) === crc32(bytes.subarray(12));
  return fits ? bytes.subarray(headerBytes) : undefined;
}
