/**
 * The frames between requesters of vnodes and the masters that run them, the
 * same between nodes and within one:
 *
 *     vnodeRequest   u32 module · u16 vnode · u8 command · u8 flags · u32 ms left · body
 *     vnodeAccepted  body
 *     vnodeReply     body
 *     vnodeError     MessagePack [code, message, details]
 *
 * A vnode is identified by its number (`ring_generations.ts`), which in a ring
 * that was never resized is its partition.
 *
 * Bodies use the codecs that the module declares. A body is encoded once, where
 * the request originates, and passed on as bytes.
 *
 * @module
 */
import type { ByteWriter } from "../base/byte_writer.ts";
import { fnv1a32 } from "../base/chance.ts";
import type { ByteReader } from "../base/byte_reader.ts";

/** Bytes before the body of a request. */
export const VNODE_REQUEST_HEADER_BYTES = 12;
/** Offset of the flags in a request. */
export const VNODE_REQUEST_FLAGS_OFFSET = 7;
/**
 * Offset of `u32 ms left` in a request, for a link that has delayed the
 * request.
 */
export const VNODE_REQUEST_TIME_LEFT_OFFSET = 8;

/** Flags of a request. */
export const RequestFlag = {
  /** The handler may answer early, before the result is durable. */
  wantsAccepted: 1,
  /**
   * Addressed to a fallback, which does not refuse it because the partition has
   * moved.
   */
  asFallback: 2,
  /** Part of a coverage query: the command numbers a query of the module, the body is as in `coverage_codec.ts`. */
  coverage: 4,
  /** Part of a handoff: the body is as in `handoff_codec.ts`. */
  handoff: 8,
  /**
   * Another replica can run it as well: a busy vnode answers `overload` with
   * `declined` in the details. A hint; versions that do not know the flag run
   * the command.
   */
  mayDecline: 16,
  /**
   * Continues work begun at another replica: a vnode that is behind refuses
   * commands that begin something before these. Also a hint.
   */
  continues: 32,
} as const;

/** The flags of requests that continue an operation, a query or a transfer. */
const CONTINUING_FLAGS = RequestFlag.continues | RequestFlag.coverage |
  RequestFlag.handoff;

/** Whether a request continues what was begun before. */
export function isContinuing(flags: number): boolean {
  return (flags & CONTINUING_FLAGS) !== 0;
}

/** The number of a module on the wire; it must differ between the modules of a node. */
export function moduleIdOf(name: string): number {
  return fnv1a32(name);
}

/** The part of a request before its body. */
export interface VnodeRequestHeader {
  moduleId: number;
  vnode: number;
  command: number;
  flags: number;
  timeLeftMs: number;
}

/** Appends a header. */
export function writeVnodeRequestHeader(
  into: ByteWriter,
  moduleId: number,
  vnode: number,
  command: number,
  flags: number,
  timeLeftMs: number,
): void {
  const at = into.length;
  into.reserve(VNODE_REQUEST_HEADER_BYTES);
  into.setU32(at, moduleId);
  into.setU16(at + 4, vnode);
  into.bytes[at + 6] = command;
  into.bytes[at + VNODE_REQUEST_FLAGS_OFFSET] = flags;
  into.setU32(
    at + VNODE_REQUEST_TIME_LEFT_OFFSET,
    Math.max(0, Math.min(0xffff_ffff, Math.ceil(timeLeftMs))),
  );
  into.length = at + VNODE_REQUEST_HEADER_BYTES;
}

/** Reads a header into `header`, which is reused for every request. */
export function readVnodeRequestHeader(
  from: ByteReader,
  header: VnodeRequestHeader,
): void {
  header.moduleId = from.u32();
  header.vnode = from.u16();
  header.command = from.u8();
  header.flags = from.u8();
  header.timeLeftMs = from.u32();
}
