/**
 * The bodies of vnode requests that are part of a coverage query
 * (`RequestFlag.coverage`), and of their answers:
 *
 *     open    u8 1 · u53 stream · u32 ms left of the query
 *             · u16 key spaces, or 0xffff for all · u16 each · body of the query
 *     more    u8 2 · u53 stream
 *     cancel  u8 3 · u53 stream
 *
 *     answer to open and more    u8 1 if that was all · a blob for each chunk
 *
 * The header's command is the number of the query among those of the module.
 * The requester chooses the number of the stream. It pulls chunks, and each
 * pull acknowledges the chunks before: a vnode never has more than one window
 * in flight. A vnode drops a stream when it is told to, and when the query's
 * time is over.
 *
 * @module
 */
import type { ByteReader } from "../base/byte_reader.ts";
import type { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import type { KeySpaces } from "./vnode.ts";

/** The actions on a stream. */
export const CoverageAction = { open: 1, more: 2, cancel: 3 } as const;

/** Longest time a coverage query may take, in milliseconds: what it occupies is released by then. */
export const COVERAGE_TIMEOUT_MS_MAX = 3_600_000;
/** Largest chunk of an answer, in bytes. */
export const COVERAGE_CHUNK_BYTES_MAX = 8 * 1024 * 1024;

const ALL_KEY_SPACES = 0xffff;
/** More than any ring has. */
const KEY_SPACES_MAX = 4096;

/** Begins a stream; the body of the query follows. */
export function writeCoverageOpen(
  into: ByteWriter,
  stream: number,
  timeLeftMs: number,
  keySpaces: readonly number[] | null,
): void {
  into.u8(CoverageAction.open);
  into.u53(stream);
  into.u32(Math.max(0, Math.min(0xffff_ffff, Math.ceil(timeLeftMs))));
  into.u16(keySpaces?.length ?? ALL_KEY_SPACES);
  for (const keySpace of keySpaces ?? []) into.u16(keySpace);
}

/** Asks for more of a stream, or for no more. */
export function writeCoverageAction(
  into: ByteWriter,
  action: typeof CoverageAction.more | typeof CoverageAction.cancel,
  stream: number,
): void {
  into.u8(action);
  into.u53(stream);
}

/** What a vnode is asked to do with a stream. */
export type CoverageRequest =
  | {
    readonly action: typeof CoverageAction.open;
    readonly stream: number;
    readonly timeLeftMs: number;
    readonly keySpaces: KeySpaces;
  }
  | {
    readonly action:
      | typeof CoverageAction.more
      | typeof CoverageAction.cancel;
    readonly stream: number;
  };

/**
 * Reads the action and the stream, and no further.
 *
 * @throws {WhorlError} `protocol_error` if the message is cut short.
 */
export function readCoverageAction(
  from: ByteReader,
): { readonly action: number; readonly stream: number } {
  return { action: from.u8(), stream: from.u53() };
}

/**
 * Reads an action on a stream; after an `open`, `from` is at the body of the
 * query.
 *
 * @throws {WhorlError} `protocol_error`
 */
export function readCoverageRequest(from: ByteReader): CoverageRequest {
  const { action, stream } = readCoverageAction(from);
  switch (action) {
    case CoverageAction.open: {
      const timeLeftMs = from.u32();
      if (timeLeftMs > COVERAGE_TIMEOUT_MS_MAX) break;
      const count = from.u16();
      if (count === ALL_KEY_SPACES) {
        return { action, stream, timeLeftMs, keySpaces: null };
      }
      if (count > KEY_SPACES_MAX) break;
      const keySpaces = new Set<number>();
      for (let left = count; left > 0; left--) keySpaces.add(from.u16());
      return { action, stream, timeLeftMs, keySpaces };
    }
    case CoverageAction.more:
    case CoverageAction.cancel:
      if (from.remaining === 0) return { action, stream };
  }
  throw new WhorlError(
    "protocol_error",
    "Cannot read what to do with a coverage query",
  );
}

/** What a vnode answered. */
export interface CoverageBatch {
  /** Whether nothing follows. */
  readonly ended: boolean;
  /** Views into the message. */
  readonly chunks: readonly Uint8Array[];
}

/** Begins an answer in the empty `into`. */
export function beginCoverageBatch(into: ByteWriter): void {
  into.clear();
  into.u8(0);
}

/** Appends a chunk to an answer that has begun; if `write` throws, nothing has been appended. */
export function appendChunk(
  into: ByteWriter,
  write: (into: ByteWriter) => void,
): void {
  const start = into.length;
  into.u32(0);
  try {
    write(into);
  } catch (error) {
    into.length = start;
    throw error;
  }
  into.setU32(start, into.length - start - 4);
}

/** Ends an answer. */
export function endCoverageBatch(into: ByteWriter, ended: boolean): void {
  into.setU8(0, ended ? 1 : 0);
}

/** Reads an answer. @throws {WhorlError} `protocol_error` */
export function readCoverageBatch(from: ByteReader): CoverageBatch {
  const ended = from.u8() === 1;
  const chunks: Uint8Array[] = [];
  while (from.remaining > 0) chunks.push(from.blob());
  return { ended, chunks };
}
