/**
 * Reads the write-ahead log of a node, oldest batch first, and finds out
 * whether anything acknowledged is missing.
 *
 * A batch is written when the one before it is durable, so everything before a
 * valid batch was acknowledged. The very last batch may not have become
 * durable, unless the watermark says so. Broken or missing records that were
 * acknowledged are damage; a broken batch at the end that was not is a torn
 * tail, which is ignored.
 *
 * A valid last batch beyond the watermark may be in the page cache only. It
 * must be written again: see {@linkcode WalContent.unsure}.
 *
 * @module
 */
import { crc32 } from "node:zlib";
import { WhorlError } from "../../base/errors.ts";
import type { StorageEnvironment } from "../../environment/environment.ts";
import { StartTurns } from "./start_turns.ts";
import {
  type FoundWatermark,
  readWatermark,
} from "../../storage/commit_watermark.ts";
import {
  BATCH_HEADER_BYTES,
  decodeFileHeader,
  FILE_HEADER_BYTES,
  findBatch,
  type FoundBatch,
  type FoundLine,
  LINE_BYTES,
  readBatch,
  readLine,
  WAL_FORMAT,
  type WalFileHeader,
} from "./wal_codec.ts";
import { walFileName } from "./wal_files.ts";

/** Receives what is found. Batches come in order. */
export interface WalReplay {
  /** A batch that counts; its lines follow. */
  batch(file: number, batch: number): void;
  /** A valid record, whose body is `bytes[offset, offset + line.length)`. */
  record(
    line: FoundLine,
    bytes: Uint8Array<ArrayBuffer>,
    offset: number,
  ): void;
  /** An acknowledged record of that group is broken. */
  broken(uid: number): void;
  /** Whole acknowledged batches are broken or missing; their groups are unknown. */
  lost(): void;
}

/** What was found besides the records. */
export interface WalContent {
  readonly storeId: string;
  readonly mark: FoundWatermark | undefined;
  /** Files to remove once a watermark that allows it is durable. */
  readonly obsolete: readonly string[];
  /** Number of the oldest existing file, or of the first one to create. */
  readonly oldestFile: number;
  /** Existing files, with the numbers of the batches that count in them; `firstBatch` is 0 if none do. */
  readonly files: readonly {
    readonly number: number;
    readonly path: string;
    readonly firstBatch: number;
    readonly lastBatch: number;
  }[];
  readonly nextFile: number;
  readonly nextBatch: number;
  /** The last batch, if it is not known to be durable: the next file must begin with it. */
  readonly unsure:
    | {
      /** A copy of the whole batch. */
      readonly bytes: Uint8Array<ArrayBuffer>;
      readonly count: number;
      readonly bodyBytes: number;
    }
    | undefined;
}

const FILE_NAME = /^wal-(\d{1,15})\.log$/;
/** Bytes of a file searched without a pause. */
const SEARCHED_BYTES = 512 * 1024;
/** The number of entries that takes as long. */
const SEARCHED_ENTRIES = 512;
/** File name of the watermark. */
export const MARK_NAME = "wal.mark";

interface ReadFile {
  readonly number: number;
  readonly path: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly header: WalFileHeader | undefined;
  /** Number of its first valid batch. */
  readonly firstBatch: number;
}

/** Reads the log in `folder`, which must exist, and removes files that hold nothing. */
export async function readWal(
  environment: StorageEnvironment,
  folder: string,
  replay: WalReplay,
): Promise<WalContent> {
  const { disk, secretBytes } = environment;
  const turns = new StartTurns(environment);
  turns.begin();
  const mark = await readWatermark(disk, `${folder}/${MARK_NAME}`);
  const names = await disk.names(folder);
  const numbers = names.map((name) => Number(FILE_NAME.exec(name)?.[1] ?? NaN))
    .filter((number) => !Number.isNaN(number)).sort((a, b) => a - b);
  const storeId = mark?.storeId ?? secretBytes(8).toHex();
  let wasLost = mark === undefined && numbers.length > 0;
  let oldestFile = mark?.epoch ?? 1;
  const durable = mark?.commit ?? 0;
  const files: ReadFile[] = [];
  const obsolete: string[] = [];
  for (const number of numbers) {
    const path = `${folder}/${walFileName(number)}`;
    if (mark !== undefined && number < oldestFile) {
      obsolete.push(path);
      continue;
    }
    const bytes = await disk.readFile(path) ?? new Uint8Array(0);
    const header = decodeFileHeader(bytes);
    if (header !== undefined && header.format > WAL_FORMAT) {
      throw new WhorlError(
        "store_format",
        `Cannot read Raft log ${path} as its format must be ${WAL_FORMAT} or older: current value is ${header.format}`,
        { details: { path, format: header.format } },
      );
    }
    const isOurs = header !== undefined && header.number === number &&
      (mark === undefined || header.storeId === storeId);
    // Without its header no content can be trusted, but it shows that there was
    // some.
    const salt = isOurs ? header.salt : undefined;
    const first = await search(bytes, FILE_HEADER_BYTES, salt, turns);
    const isNone = first === undefined ||
      await isTorn(bytes, first, salt, durable, turns);
    files.push({
      number,
      path,
      bytes,
      header: isOurs ? header : undefined,
      firstBatch: isNone ? 0 : first.number,
    });
  }
  // Files at the end in which nothing became durable do not count.
  while (files.length > 0 && (files.at(-1) as ReadFile).firstBatch === 0) {
    await disk.remove((files.pop() as ReadFile).path);
  }
  if (mark === undefined && files.length > 0) {
    oldestFile = (files[0] as ReadFile).number;
  }
  // The very first file begins with batch 1; a later file became the oldest
  // only when its first batch was durable.
  let next = oldestFile === 1 ? 1 : 0;
  let nextFile = oldestFile;
  let unsure: WalContent["unsure"];
  const found: WalContent["files"][number][] = [];
  for (let i = 0; i < files.length; i++) {
    const file = files[i] as ReadFile;
    if (file.number !== nextFile) wasLost = true;
    nextFile = file.number + 1;
    const follower = files.slice(i + 1).find((later) => later.firstBatch > 0);
    const end = await scanFile(
      file,
      next,
      follower?.firstBatch,
      durable,
      replay,
      turns,
      () => wasLost = true,
    );
    next = end.next;
    unsure = end.unsure;
    const { number, path } = file;
    // A batch that will be written again no longer counts here.
    const lastBatch = unsure === undefined ? next - 1 : next - 2;
    const firstBatch = file.firstBatch > lastBatch ? 0 : file.firstBatch;
    found.push({ number, path, firstBatch, lastBatch });
  }
  next = Math.max(1, next);
  if (durable >= next) {
    wasLost = wasLost || durable > 0;
    next = durable + 1;
    unsure = undefined;
  }
  if (wasLost) replay.lost();
  return {
    storeId,
    mark,
    obsolete,
    oldestFile,
    files: found,
    nextFile,
    nextBatch: unsure === undefined ? next : next - 1,
    unsure,
  };
}

/**
 * Replays `file` up to the batch `stop`, with which the next file begins.
 *
 * @param expected Number of its first batch; 0 if it is the oldest file.
 */
async function scanFile(
  { number, bytes, header, firstBatch }: ReadFile,
  expected: number,
  stop: number | undefined,
  durable: number,
  replay: WalReplay,
  turns: StartTurns,
  lost: () => void,
): Promise<{ readonly next: number; readonly unsure: WalContent["unsure"] }> {
  let next = expected === 0 ? firstBatch : expected;
  if (header === undefined || firstBatch === 0) {
    // Nothing is missing if the next file continues where the previous one
    // ended: what was in this one never became durable, and was written again.
    if (expected === 0 || stop !== next) lost();
    return { next: stop ?? next, unsure: undefined };
  }
  let unsure: WalContent["unsure"];
  let at = FILE_HEADER_BYTES;
  while (stop === undefined || next < stop) {
    let batch = readBatch(bytes, at, header.salt);
    if (batch?.number !== next) {
      batch = await search(bytes, at, header.salt, turns);
      // The batch that the next file begins with counts there.
      if (
        batch !== undefined &&
        (batch.number < next || stop !== undefined && batch.number >= stop)
      ) batch = undefined;
      if (stop !== undefined || durable >= next || batch !== undefined) lost();
    }
    if (batch === undefined) return { next: stop ?? next, unsure };
    next = batch.number;
    const wasAcknowledged = durable >= next || stop !== undefined ||
      await search(bytes, batch.end, header.salt, turns) !== undefined;
    if (!wasAcknowledged && !isSound(bytes, batch)) return { next, unsure };
    replayBatch(number, bytes, batch, replay);
    unsure = wasAcknowledged ? undefined : {
      bytes: bytes.slice(batch.table - BATCH_HEADER_BYTES, batch.end),
      count: batch.count,
      bodyBytes: batch.end - batch.bodies,
    };
    await turns.done(batch.count);
    at = batch.end;
    next++;
  }
  return { next, unsure };
}

const line: FoundLine = {
  kind: 0,
  uid: 0,
  index: 0,
  term: 0,
  length: 0,
  crc: 0,
};

/** The first valid batch that begins at or behind `from`. There may be much preallocated space behind the last one. */
async function search(
  bytes: Uint8Array<ArrayBuffer>,
  from: number,
  salt: number | undefined,
  turns: StartTurns,
): Promise<FoundBatch | undefined> {
  for (let at = from; at < bytes.length; at += SEARCHED_BYTES) {
    const until = Math.min(bytes.length, at + SEARCHED_BYTES);
    const found = findBatch(bytes, at, until, salt);
    if (found !== undefined) return found;
    await turns.done(SEARCHED_ENTRIES);
  }
  return undefined;
}

/** Calls `visit` for each line of `batch`, with the offset of its body and whether that is valid. */
function visitRecords(
  bytes: Uint8Array<ArrayBuffer>,
  { count, table, bodies, end }: FoundBatch,
  visit: (offset: number, isSound: boolean) => void,
): void {
  let offset = bodies;
  for (let i = 0; i < count; i++) {
    readLine(bytes, table + i * LINE_BYTES, line);
    const { length, crc } = line;
    const isSound = offset + length <= end &&
      (length === 0 ||
        crc32(bytes.subarray(offset, offset + length)) === crc);
    visit(offset, isSound);
    offset += length;
  }
}

/**
 * Whether the first batch of a file is torn, so that, if it repeats the last
 * batch of the previous file, that one still counts.
 */
async function isTorn(
  bytes: Uint8Array<ArrayBuffer>,
  first: FoundBatch,
  salt: number | undefined,
  durable: number,
  turns: StartTurns,
): Promise<boolean> {
  return first.number > durable && !isSound(bytes, first) &&
    await search(bytes, first.end, salt, turns) === undefined;
}

function isSound(bytes: Uint8Array<ArrayBuffer>, batch: FoundBatch): boolean {
  let sound = true;
  visitRecords(bytes, batch, (_, isSound) => sound &&= isSound);
  return sound;
}

function replayBatch(
  file: number,
  bytes: Uint8Array<ArrayBuffer>,
  batch: FoundBatch,
  replay: WalReplay,
): void {
  replay.batch(file, batch.number);
  visitRecords(bytes, batch, (offset, isSound) => {
    if (isSound) replay.record(line, bytes, offset);
    else replay.broken(line.uid);
  });
}
