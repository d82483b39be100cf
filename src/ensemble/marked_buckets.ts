/**
 * The buckets that this node knows to be consistent, and which operations
 * concern them. They are known from the ring long before the part of the node
 * runs that serves them: until then nobody serves them, least of all as vnodes
 * serve other buckets.
 *
 * @module
 */
import { equalBytes } from "../base/byte_order.ts";
import { ByteReader } from "../base/byte_reader.ts";
import { NO_BYTES } from "../base/byte_slab.ts";
import { isWhorlError } from "../base/errors.ts";
import { KvQuery } from "../kv/kv_keys.ts";
import {
  emptyOperationHeader,
  isCoverageKind,
  OperationKind,
  readOperationHeader,
} from "../request/operation_codec.ts";
import {
  CoverageAction,
  readCoverageRequest,
} from "../vnode/coverage_codec.ts";
import {
  moduleIdOf,
  readVnodeRequestHeader,
  RequestFlag,
  type VnodeRequestHeader,
} from "../vnode/vnode_wire.ts";

const KV_MODULE_ID = moduleIdOf("kv");

/** See the module comment. */
export class MarkedBuckets {
  #buckets: readonly Uint8Array[] = [];
  readonly #header = emptyOperationHeader();
  readonly #request: VnodeRequestHeader = {
    moduleId: 0,
    vnode: 0,
    command: 0,
    flags: 0,
    timeLeftMs: 0,
  };
  readonly #reader = new ByteReader(NO_BYTES);

  /** Sets the consistent buckets. */
  set(buckets: readonly string[]): void {
    const encoder = new TextEncoder();
    this.#buckets = buckets.map((bucket) => encoder.encode(bucket));
  }

  /**
   * Whether the operation in `bytes[start, end)` starts something on a
   * consistent bucket. False for unreadable bytes, which others refuse.
   */
  isFor(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.#buckets.length === 0) return false;
    const header = this.#header;
    const reader = this.#reader;
    reader.reset(bytes, start, end);
    try {
      readOperationHeader(reader, header);
      if (header.moduleId !== KV_MODULE_ID) return false;
      if (!isCoverageKind(header.kind)) {
        return this.#isIn(bytes, header.keyStart, header.keyEnd);
      }
      if (
        header.kind !== OperationKind.coverage ||
        header.command !== KvQuery.keys
      ) return false;
      reader.u32();
      return this.#hasBucket(reader.rest());
    } catch (error) {
      if (isWhorlError(error)) return false;
      throw error;
    }
  }

  /**
   * Whether the request to a vnode in `bytes[start, end)` is on a consistent
   * bucket: its sender takes that for one that vnodes serve. False for
   * unreadable bytes.
   */
  isMistaken(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.#buckets.length === 0) return false;
    const request = this.#request;
    const reader = this.#reader;
    reader.reset(bytes, start, end);
    try {
      readVnodeRequestHeader(reader, request);
      if (request.moduleId !== KV_MODULE_ID) return false;
      if (!(request.flags & RequestFlag.coverage)) {
        const keyBytes = reader.u16();
        return this.#isIn(bytes, reader.offset, reader.offset + keyBytes);
      }
      if (request.command !== KvQuery.keys) return false;
      const { action } = readCoverageRequest(reader);
      return action === CoverageAction.open &&
        this.#hasBucket(reader.rest());
    } catch (error) {
      if (isWhorlError(error)) return false;
      throw error;
    }
  }

  /**
   * Whether the storage key in `bytes[keyStart, keyEnd)` is of a consistent
   * bucket.
   */
  #isIn(bytes: Uint8Array, keyStart: number, keyEnd: number): boolean {
    if (keyEnd - keyStart < 2) return false;
    const bucketStart = keyStart + 2;
    const bucketEnd = bucketStart + ((bytes[keyStart] as number) << 8) +
      (bytes[keyStart + 1] as number);
    return bucketEnd <= keyEnd &&
      this.#hasBucket(bytes.subarray(bucketStart, bucketEnd));
  }

  #hasBucket(bucket: Uint8Array): boolean {
    return this.#buckets.some((known) => equalBytes(known, bucket));
  }
}
