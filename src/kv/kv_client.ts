/**
 * `kv` as an application uses it: put, get and delete of JSON or bytes, and the
 * keys of a bucket, the same inside a node and over a client connection. It
 * encodes an operation, passes it to an `OperationCarrier`, and decodes the
 * answer.
 *
 * @module
 */
import { shortAscii, utf8Of } from "../base/byte_text.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError, reasonOf, WhorlError } from "../base/errors.ts";
import { RING_SIZE_MIN } from "../ring/chash.ts";
import {
  type CoverageOptions,
  type CoverageQuery,
  coverageQuery,
  type CoverageRequest,
} from "../request/coverage_client.ts";
import {
  type OperationCarrier,
  submitOperation,
} from "../request/operation_carrier.ts";
import {
  OperationFlag,
  OperationKind,
  type OperationResult,
  type ReplicaReport,
  writeOperationHeader,
} from "../request/operation_codec.ts";
import {
  type QuorumRule,
  type QuorumSize,
  readQuorum,
  writeQuorum,
} from "../request/quorum_options.ts";
import { moduleIdOf } from "../vnode/vnode_wire.ts";
import { contextFromText, contextOf, contextToText } from "./causal_context.ts";
import { writeBucket } from "./key_limits.ts";
import { writeGetBody, writePutBody } from "./kv_command_codec.ts";
import { KeyList, KvQuery } from "./kv_keys.ts";
import { checkObject, readSiblings, SiblingFlag } from "./kv_object_codec.ts";
import { KvCommand } from "./kv_vnode.ts";

/** A value that JSON can represent. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue };

/** What `kv` stores: JSON, or bytes as they are. */
export type KvValue = JsonValue | Uint8Array;

/** Options of every operation. In a consistent bucket only `timeoutMs` and `signal` apply. */
export interface KvOptions {
  /** Replicas of the key, from 1 to 8; must be the same for all who use the bucket. @default {3} */
  readonly n?: number | undefined;
  /** Distinct nodes that must have answered. @default {as many as there are, up to R or W} */
  readonly nodeConfirms?: QuorumSize | undefined;
  /** "strict" asks primaries only, "sloppy" takes fallbacks for those that are down. @default {"sloppy"} */
  readonly quorum?: "sloppy" | "strict" | undefined;
  /** Time the operation may take, in milliseconds. @default {5000} */
  readonly timeoutMs?: number | undefined;
  /** Stops waiting: the operation fails with `cancelled`, but a write may still happen. */
  readonly signal?: AbortSignal | undefined;
  /** Whether the result says what each replica answered. @default {true} */
  readonly replicas?: boolean | undefined;
}

/** Options of a read. */
export interface KvGetOptions extends KvOptions {
  /** Replicas that must have answered. @default {"quorum"} */
  readonly r?: QuorumSize | undefined;
  /** Primaries among them. @default {0} */
  readonly pr?: QuorumSize | undefined;
}

/** Options of a write or a delete. */
export interface KvPutOptions extends KvOptions {
  /**
   * The context of the read that this write is based on: the write replaces
   * exactly what was read. Without it, the write becomes a sibling of whatever
   * is there.
   */
  readonly context?: string | undefined;
  /** Replicas that must have taken the write. @default {"quorum"} */
  readonly w?: QuorumSize | undefined;
  /** Primaries among them. @default {0} */
  readonly pw?: QuorumSize | undefined;
  /** Replicas on which it must be durable. @default {the same as w} */
  readonly dw?: QuorumSize | undefined;
}

/** What a read found. */
export interface KvGetResult {
  /** Empty if the key has no value, usually one, several if writes were concurrent. */
  readonly values: readonly KvValue[];
  /** The value if there is exactly one. */
  readonly value: KvValue | undefined;
  /**
   * Opaque; pass it to the write that replaces these values. `null` if the key
   * was never written; a deleted key has no values but still has a context.
   */
  readonly context: string | null;
  /** What each replica answered. */
  readonly replicas: readonly ReplicaReport[];
}

/** The result of a write or a delete. */
export interface KvPutResult {
  /** Covers this write, what it replaced, and the siblings it stands beside. */
  readonly context: string;
  /** Values the key has now: more than one if writes were concurrent. */
  readonly siblings: number;
  /** What each replica answered. */
  readonly replicas: readonly ReplicaReport[];
}

/** Options of a listing. */
export type KvKeysOptions = Omit<CoverageOptions, "primaryVnodeCoverage">;

/**
 * The keys of a bucket, each once, in no particular order. Nothing is requested
 * before iteration begins, and each iteration lists the bucket again.
 */
export type KvKeys = CoverageQuery<string>;

/** The operations of `kv`. */
export interface KvClient {
  /**
   * Reads a key.
   *
   * @throws {WhorlError} `timeout`, `quorum_unavailable`, `insufficient_vnodes`,
   * `overload`, `invalid_key`, `invalid_quorum`, `cancelled`.
   */
  get(
    bucket: string,
    key: string,
    options?: KvGetOptions,
  ): Promise<KvGetResult>;
  /**
   * Writes a key.
   *
   * @throws {WhorlError} As `get`, and `value_too_large`, `invalid_argument`
   * for a value that JSON cannot represent, `invalid_context`; in a consistent
   * bucket `index_mismatch` if the key was changed since its context was read.
   * After `timeout`, `quorum_unavailable`, `coordinator_lost`,
   * `node_suspected`, `connection_closed` or `cancelled` the write may still
   * have happened.
   */
  put(
    bucket: string,
    key: string,
    value: KvValue,
    options?: KvPutOptions,
  ): Promise<KvPutResult>;
  /** Deletes a key, which leaves a tombstone. @throws {WhorlError} As `put`. */
  delete(
    bucket: string,
    key: string,
    options?: KvPutOptions,
  ): Promise<KvPutResult>;
  /**
   * Lists the keys of a bucket that have a value, as they arrive:
   *
   * ```ts ignore
   * for await (const key of node.kv.keys("users")) console.log(key);
   * ```
   *
   * Each key is reported by one replica, or by another one if that fails. Keys
   * that are written during the listing may or may not be included, and a key
   * is missing if its replica has missed the write. A listing reads every
   * object of the bucket.
   *
   * Iterating throws `insufficient_vnodes` if nobody can answer for some keys,
   * unless `mode` is "allup" (then `report.complete` is false), `timeout`,
   * `overload`, `invalid_key`, `invalid_argument` for options that are invalid,
   * `coordinator_lost`, `connection_closed` or `cancelled`. What was yielded
   * before is then incomplete.
   */
  keys(bucket: string, options?: KvKeysOptions): KvKeys;
}

const KV_MODULE_ID = moduleIdOf("kv");
const EMPTY = new Uint8Array(0);
const decoder = new TextDecoder();
/** Shared by all clients of a thread: it is written and handed on in one go. */
let scratch = new ByteWriter(1024);
/** Memory the scratch may keep. */
const SCRATCH_BYTES_KEPT = 1024 * 1024;

/** `kv` over `carrier`, which is asked for at each operation because a node may have restarted it. */
export function kvClient(carrier: () => OperationCarrier): KvClient {
  return {
    get: (bucket, key, options) => get(carrier, bucket, key, options),
    put: (bucket, key, value, options) =>
      put(carrier, bucket, key, value, options),
    delete: (bucket, key, options) =>
      write(
        carrier,
        bucket,
        key,
        SiblingFlag.tombstone,
        EMPTY,
        options,
      ),
    keys: (bucket, options) => keys(carrier, bucket, options),
  };
}

function keys(
  carrier: () => OperationCarrier,
  bucket: string,
  options: KvKeysOptions | undefined,
): KvKeys {
  const request = (): CoverageRequest => ({
    moduleId: KV_MODULE_ID,
    query: KvQuery.keys,
    writeBody: (into) => writeBucket(bucket, into),
    options,
  });
  return coverageQuery(carrier, request, () => {
    const list = new KeyList();
    return ({ part, repeats, chunks }) => list.take(part, repeats, chunks);
  });
}

function get(
  carrier: () => OperationCarrier,
  bucket: string,
  key: string,
  options: KvGetOptions | undefined,
): Promise<KvGetResult> {
  try {
    // The node checks again against its own ring.
    const rule = readQuorum(options, RING_SIZE_MIN);
    begin(OperationKind.get, KvCommand.get, rule, options);
    writeGetBody(bucket, key, scratch);
    return submit(carrier(), options?.signal, getResultOf);
  } catch (error) {
    return Promise.reject(error);
  }
}

function put(
  carrier: () => OperationCarrier,
  bucket: string,
  key: string,
  value: KvValue,
  options: KvPutOptions | undefined,
): Promise<KvPutResult> {
  try {
    if (value instanceof Uint8Array) {
      return write(carrier, bucket, key, 0, value, options);
    }
    return write(
      carrier,
      bucket,
      key,
      SiblingFlag.json,
      utf8Of(jsonOf(value)),
      options,
    );
  } catch (error) {
    return Promise.reject(error);
  }
}

function write(
  carrier: () => OperationCarrier,
  bucket: string,
  key: string,
  flags: number,
  bytes: Uint8Array,
  options: KvPutOptions | undefined,
): Promise<KvPutResult> {
  try {
    // The node checks again against its own ring.
    const rule = writeQuorum(options, RING_SIZE_MIN);
    const context = options?.context === undefined
      ? undefined
      : contextFromText(options.context);
    begin(OperationKind.put, KvCommand.put, rule, options);
    writePutBody(bucket, key, flags, context, bytes, scratch);
    return submit(carrier(), options?.signal, putResultOf);
  } catch (error) {
    return Promise.reject(error);
  }
}

function begin(
  kind: number,
  command: number,
  rule: QuorumRule,
  options: KvOptions | undefined,
): void {
  scratch.clear();
  writeOperationHeader(scratch, {
    kind,
    flags: (rule.strict ? OperationFlag.strict : 0) |
      (options?.replicas === false ? OperationFlag.withoutReplicas : 0),
    moduleId: KV_MODULE_ID,
    command,
    n: rule.n,
    quorum: rule.need,
    primaries: rule.primaries,
    durable: rule.durable,
    nodeConfirms: rule.nodeConfirms,
    timeLeftMs: rule.timeoutMs,
  });
}

/** Sends what is in the scratch. */
function submit<Result>(
  carrier: OperationCarrier,
  signal: AbortSignal | undefined,
  resultOf: (result: OperationResult) => Result,
): Promise<Result> {
  const promise = submitOperation(carrier, scratch, signal, resultOf, named);
  if (scratch.bytes.length > SCRATCH_BYTES_KEPT) {
    scratch = new ByteWriter(1024);
  }
  return promise;
}

/** A vnode's declared failure under the code the caller knows it by. */
function named(error: WhorlError): WhorlError {
  const { failure } = error.details;
  if (error.code !== "vnode_error" || typeof failure !== "string") return error;
  return new WhorlError(failure as WhorlError["code"], error.message, {
    details: { ...error.details },
    cause: error,
  });
}

function getResultOf({ object, replicas }: OperationResult): KvGetResult {
  if (object === undefined) {
    return { values: [], value: undefined, context: null, replicas };
  }
  // What another process sent is read no further unless it is an object.
  checkObject(object);
  const values: KvValue[] = [];
  for (const { flags, value } of readSiblings(object)) {
    if (flags & SiblingFlag.tombstone) continue;
    values.push(valueOf(flags, value));
  }
  return {
    values,
    value: values.length === 1 ? values[0] as KvValue : undefined,
    context: contextToText(contextOf(object)),
    replicas,
  };
}

function putResultOf({ object, replicas }: OperationResult): KvPutResult {
  if (object === undefined) {
    throw new WhorlError(
      "protocol_error",
      "Cannot tell what a write came to: the answer has no object",
    );
  }
  checkObject(object);
  let siblings = 0;
  for (const { flags } of readSiblings(object)) {
    if (!(flags & SiblingFlag.tombstone)) siblings++;
  }
  return { context: contextToText(contextOf(object)), siblings, replicas };
}

function valueOf(flags: number, bytes: Uint8Array): KvValue {
  if (!(flags & SiblingFlag.json)) return bytes.slice();
  try {
    const text = shortAscii(bytes) ?? decoder.decode(bytes);
    return JSON.parse(text) as JsonValue;
  } catch (cause) {
    throw new WhorlError(
      "value_corrupt",
      "Cannot read a value as its JSON is damaged",
      { cause },
    );
  }
}

/** JSON text of `value`. @throws {WhorlError} `invalid_argument` if JSON cannot say it. */
function jsonOf(value: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    throw new WhorlError(
      "invalid_argument",
      `Cannot store a value that JSON cannot say: ${reasonOf(cause)}`,
      { cause },
    );
  }
  if (text === undefined) {
    throw new WhorlError(
      "invalid_argument",
      `Cannot store a value that JSON cannot say: it is of type ${typeof value}`,
    );
  }
  return text;
}

/** Whether a write that failed with `error` may still have happened, so that only a read can tell. */
export function kvOutcomeUnknown(error: unknown): boolean {
  return isWhorlError(error) &&
    [
      "timeout",
      "quorum_unavailable",
      "coordinator_lost",
      "node_suspected",
      "connection_closed",
      "cancelled",
      "closed",
      "vnode_crashed",
    ].includes(error.code);
}
