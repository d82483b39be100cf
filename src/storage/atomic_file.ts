/**
 * Small files that are replaced as a whole: after a crash a file has either its
 * old content or its new one, and damage is detected. Such a file is one line
 * with a format number and a CRC-32, followed by readable JSON.
 *
 * @module
 */
import { crc32 } from "node:zlib";
import { reasonOf, WhorlError } from "../base/errors.ts";
import type { Disk, DiskEntry } from "../environment/disk.ts";

const recordFormat = 1;
const firstLine = /^whorl-record (\d{1,9}) ([0-9a-f]{8})\n/;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/**
 * Replaces the content of `path`, durably: a new file is written and synced beside
 * it, takes its name, and the folder is synced.
 */
export async function replaceFile(
  disk: Disk,
  path: string,
  content: Uint8Array<ArrayBuffer>,
): Promise<void> {
  const beside = `${path}.tmp`;
  // A file there is left over from a crash; a symbolic link there must not be
  // followed.
  await disk.remove(beside);
  const file = await disk.open(beside, { mode: "create_new" });
  try {
    await file.write(content);
    await file.sync();
  } finally {
    file.close();
  }
  await disk.rename(beside, path);
  await syncFolderOf(disk, path);
}

/** Makes the names in the folder of `path` durable. */
export function syncFolderOf(disk: Disk, path: string): Promise<void> {
  const slash = path.lastIndexOf("/");
  return disk.syncFolder(
    slash < 0 ? "." : slash === 0 ? "/" : path.slice(0, slash),
  );
}

/** Replaces the record in `path` by `content`, which JSON can express. */
export function writeRecordFile(
  disk: Disk,
  path: string,
  content: unknown,
): Promise<void> {
  const json = JSON.stringify(content, null, 2) + "\n";
  const checksum = crc32(json).toString(16).padStart(8, "0");
  return replaceFile(
    disk,
    path,
    encoder.encode(`whorl-record ${recordFormat} ${checksum}\n${json}`),
  );
}

/**
 * The record in `path`, or `undefined` if there is no such file.
 *
 * @throws {WhorlError} `store_corrupt` if it is damaged, `store_format` if it is
 * newer, `store_foreign` if it is a link, `store_unavailable` if it cannot be read.
 */
export async function readRecordFile(
  disk: Disk,
  path: string,
): Promise<unknown> {
  const details = { path };
  let bytes: Uint8Array | undefined;
  try {
    if (await refuseLink(disk, path) === undefined) return undefined;
    bytes = await disk.readFile(path);
  } catch (cause) {
    if (cause instanceof WhorlError) throw cause;
    throw new WhorlError(
      "store_unavailable",
      `Cannot read ${path}: ${reasonOf(cause)}`,
      { details, cause },
    );
  }
  if (bytes === undefined) return undefined;
  const corrupt = (cause: unknown) =>
    new WhorlError(
      "store_corrupt",
      `Cannot read ${path} as its content does not match its checksum`,
      { details, cause },
    );
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch (cause) {
    throw corrupt(cause);
  }
  const found = firstLine.exec(text);
  if (found === null) throw corrupt(undefined);
  if (Number(found[1]) > recordFormat) {
    throw new WhorlError(
      "store_format",
      `Cannot read ${path} as its format must be ${recordFormat} or older: current value is ${
        found[1]
      }`,
      { details },
    );
  }
  const json = text.slice(found[0].length);
  if (crc32(json) !== parseInt(found[2] as string, 16)) {
    throw corrupt(undefined);
  }
  return JSON.parse(json);
}

/**
 * What exists at `path`, if anything does.
 *
 * @throws {WhorlError} `store_foreign` if it is a symbolic link.
 */
export async function refuseLink(
  disk: Disk,
  path: string,
): Promise<DiskEntry | undefined> {
  const entry = await disk.entry(path);
  if (entry?.type === "link") {
    throw new WhorlError(
      "store_foreign",
      `Cannot use ${path} as it must not be a symbolic link`,
      { details: { path } },
    );
  }
  return entry;
}
