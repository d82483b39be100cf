/**
 * Serves operations of `kv` on consistent buckets: each becomes an operation of
 * the group of the key's partition, which `ra_kv_router.ts` passes to its
 * leader, and the answer is converted back to an object of `kv`.
 *
 *     kv get                       get, which a majority confirms
 *     kv put, without context      put                    riak_ensemble's kover
 *     kv put, with a context       put if the index is    kupdate, kput_once
 *     kv delete, without context   delete                 kdelete
 *     kv delete, with a context    delete if it is        ksafe_delete
 *     kv keys                      `consistent_keys.ts`
 *
 * @module
 */
import { NO_BYTES } from "../base/byte_slab.ts";
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import { kvGetCodec, kvPutCodec } from "../kv/kv_command_codec.ts";
import { SiblingFlag } from "../kv/kv_object_codec.ts";
import {
  beginOperation,
  RaKvOperation,
  readGetAnswer,
  readWriteAnswer,
} from "../ra_kv/ra_kv_codec.ts";
import { ChangeFlag } from "../ra_kv/ra_kv_command_codec.ts";
import { writeValueField } from "../ra_kv/ra_kv_value.ts";
import type { OperationCarrier } from "../request/operation_carrier.ts";
import {
  emptyOperationHeader,
  isCoverageKind,
  OperationKind,
  type OperationResult,
  readOperationHeader,
} from "../request/operation_codec.ts";
import type { OperationTarget } from "../request/operation_target.ts";
import { moduleIdOf } from "../vnode/vnode_wire.ts";
import type { ConsistentKeys, KeyRing } from "./consistent_keys.ts";
import {
  absentObject,
  indexInContext,
  objectOf,
  storedValue,
  writtenObject,
} from "./consistent_object.ts";
import { partitionGroup, vnodeOfGroup } from "./ensemble_names.ts";
import { partitionOfKey } from "./group_sources.ts";
import type { MarkedBuckets } from "./marked_buckets.ts";

const KV_MODULE_ID = moduleIdOf("kv");
/** Most memory the scratch buffer keeps. */
const SCRATCH_BYTES_KEPT = 1024 * 1024;

/**
 * The group that has `key` after the keys of its group have moved, from the
 * failure's `details`.
 */
export function successorOf(
  group: string,
  key: Uint8Array,
  { generation, size }: Readonly<Record<string, unknown>>,
): string | undefined {
  return vnodeOfGroup(group) === undefined ||
      typeof generation !== "number" || typeof size !== "number"
    ? undefined
    : partitionGroup(generation, partitionOfKey(key, size));
}

/** Dependencies of consistent buckets. */
export interface ConsistentKvOptions {
  /** The consistent buckets. */
  readonly buckets: MarkedBuckets;
  /**
   * Carries out operations of groups.
   *
   * @throws {WhorlError} `closed` while it is not running.
   */
  readonly groups: () => OperationCarrier;
  /** The ring used to find keys. */
  readonly ring: () => KeyRing;
  /** In milliseconds since 1970. */
  readonly wallClock: () => number;
  /** Lists keys. */
  readonly keys: ConsistentKeys;
}

/** Serves consistent buckets; see the module comment. */
export class ConsistentKv implements OperationCarrier {
  readonly #options: ConsistentKvOptions;
  readonly #header = emptyOperationHeader();
  readonly #reader = new ByteReader(NO_BYTES);
  #scratch = new ByteWriter(1024);

  constructor(options: ConsistentKvOptions) {
    this.#options = options;
  }

  /**
   * Whether the operation in `bytes[start, end)` is on a consistent bucket, or
   * continues a listing of one.
   */
  serves(bytes: Uint8Array, start: number, end: number): boolean {
    return this.#options.buckets.isFor(bytes, start, end) ||
      this.#goesOn(bytes, start, end);
  }

  /** False for unreadable bytes, which others refuse. */
  #goesOn(bytes: Uint8Array, start: number, end: number): boolean {
    const kind = bytes[start];
    if (!isCoverageKind(kind) || kind === OperationKind.coverage) return false;
    const header = this.#header;
    this.#reader.reset(bytes, start, end);
    try {
      readOperationHeader(this.#reader, header);
      return header.moduleId === KV_MODULE_ID &&
        this.#options.keys.has(this.#reader.u53());
    } catch (error) {
      if (isWhorlError(error)) return false;
      throw error;
    }
  }

  /** Handles an operation for which {@linkcode serves} is true. */
  submit(
    bytes: Uint8Array,
    start: number,
    end: number,
    target: OperationTarget,
  ): void {
    this.#reader.reset(bytes, start, end);
    try {
      readOperationHeader(this.#reader, this.#header);
      const { kind, keyFieldStart } = this.#header;
      if (isCoverageKind(kind)) {
        return this.#options.keys.submit(bytes, start, end, target);
      }
      this.#reader.reset(bytes, keyFieldStart, end);
      if (kind === OperationKind.get) this.#get(target);
      else if (kind === OperationKind.put) this.#put(target);
      else {
        throw new WhorlError(
          "unknown_command",
          "Cannot carry out this operation on a consistent bucket",
        );
      }
    } catch (error) {
      if (!isWhorlError(error)) throw error;
      target.operationFailed(error);
    }
  }

  #get(target: OperationTarget): void {
    const { key } = kvGetCodec.decode(this.#reader);
    const into = this.#begin(RaKvOperation.get, key);
    into.u8(0);
    into.u16(key.length);
    into.raw(key);
    this.#hand(into, new GetTarget(target));
  }

  #put(target: OperationTarget): void {
    const { key, flags, context, value } = kvPutCodec.decode(this.#reader);
    const ifIndex = context === undefined ? undefined : indexInContext(context);
    const isDelete = (flags & SiblingFlag.tombstone) !== 0;
    const operation = isDelete ? RaKvOperation.delete : RaKvOperation.put;
    const into = this.#begin(operation, key);
    into.u8(operation);
    into.u8(ifIndex === undefined ? 0 : ChangeFlag.ifIndex);
    into.u16(key.length);
    into.raw(key);
    if (ifIndex !== undefined) into.u48(ifIndex);
    if (!isDelete) {
      const modifiedMs = Math.max(0, Math.floor(this.#options.wallClock()));
      writeValueField(into, storedValue(flags, modifiedMs, value));
    }
    this.#hand(into, new WriteTarget(target, isDelete, ifIndex ?? 0));
  }

  /** Starts an operation for the group of `key`. */
  #begin(operation: number, key: Uint8Array): ByteWriter {
    const { generation, size } = this.#options.ring();
    const group = partitionGroup(generation, partitionOfKey(key, size));
    const into = this.#scratch;
    into.clear();
    beginOperation(
      into,
      operation,
      group,
      this.#header.timeLeftMs,
    );
    return into;
  }

  #hand(operation: ByteWriter, target: OperationTarget): void {
    // The group copies it.
    const groups = this.#options.groups();
    if (operation.bytes.length > SCRATCH_BYTES_KEPT) {
      this.#scratch = new ByteWriter(1024);
    }
    groups.submit(operation.bytes, 0, operation.length, target);
  }
}

/** Converts the result of a group's get to an object. */
class GetTarget implements OperationTarget {
  constructor(readonly target: OperationTarget) {}

  operationDone({ object }: OperationResult): void {
    let found: Uint8Array;
    try {
      const answer = readGetAnswer(new ByteReader(object ?? NOTHING));
      // The value is preceded by its form, which says that it is bytes.
      found = answer.found
        ? objectOf(answer.index, answer.value.subarray(1))
        : absentObject();
    } catch (error) {
      if (!isWhorlError(error)) throw error;
      return this.target.operationFailed(error);
    }
    this.target.operationDone(resultOf(found));
  }

  operationFailed(error: WhorlError): void {
    this.target.operationFailed(failureOf(error));
  }
}

/** Converts the result of a group's write to an object. */
class WriteTarget implements OperationTarget {
  constructor(
    readonly target: OperationTarget,
    readonly isDelete: boolean,
    /**
     * The index that the writer has seen; 0 for none, or if it does not matter.
     */
    readonly seenIndex: number,
  ) {}

  operationDone({ object }: OperationResult): void {
    let index: number;
    try {
      ({ index } = readWriteAnswer(new ByteReader(object ?? NOTHING)));
    } catch (error) {
      if (!isWhorlError(error)) throw error;
      return this.target.operationFailed(error);
    }
    this.target.operationDone(
      resultOf(this.isDelete ? absentObject() : writtenObject(index)),
    );
  }

  operationFailed(error: WhorlError): void {
    if (this.isDelete && error.code === "not_found") {
      // As with other buckets, deleting a missing key succeeds; but a writer
      // that has seen it present has stale data.
      return this.seenIndex === 0
        ? this.target.operationDone(resultOf(absentObject()))
        : this.target.operationFailed(changedSince(error));
    }
    this.target.operationFailed(failureOf(error));
  }
}

const NOTHING = NO_BYTES;

function resultOf(object: Uint8Array): OperationResult {
  return { object, replies: [], replicas: [] };
}

/** A group's failure as an error of `kv`. */
function failureOf(error: WhorlError): WhorlError {
  const details = { ...error.details };
  switch (error.code) {
    case "index_mismatch":
      return changedSince(error);
    case "leader_lost":
      return new WhorlError(
        "coordinator_lost",
        `Cannot tell whether the write happened: ${error.message}`,
        { details, cause: error },
      );
    case "unknown_cluster":
      return new WhorlError(
        "insufficient_vnodes",
        `Cannot reach an ensemble of a consistent bucket: ${error.message}`,
        { details, cause: error },
      );
    default:
      return error;
  }
}

function changedSince(error: WhorlError): WhorlError {
  return new WhorlError(
    "index_mismatch",
    "Cannot write a key of a consistent bucket as it was changed since its context was read: read it again",
    { details: { ...error.details }, cause: error },
  );
}
