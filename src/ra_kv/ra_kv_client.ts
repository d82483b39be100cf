/**
 * `ra_kv` as an application uses it: a key-value store on which a majority of
 * its members agrees, the same inside a node and over a client connection.
 *
 * @module
 */
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { keyText } from "../kv/key_limits.ts";
import { equalBytes } from "../base/byte_order.ts";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import { ENTRY_HEADER_BYTES, EntryKind } from "../raft/raft_entry.ts";
import {
  type OperationCarrier,
  submitOperation,
} from "../request/operation_carrier.ts";
import { ChangeKind } from "./change_log.ts";
import { NotFoundError } from "./not_found_error.ts";
import {
  beginOperation,
  GetFlag,
  type GroupNames,
  RaKvOperation,
  readGetAnswer,
  readGroupNames,
  readWatchAnswer,
  readWriteAnswer,
  WATCH_WAIT_MS_MAX,
  type WatchAnswer,
  WatchFlag,
  type WriteAnswer,
  writeWatchBody,
} from "./ra_kv_codec.ts";
import {
  BATCH_BYTES_MAX,
  BATCH_CHANGES_MAX,
  emptyChange,
  RA_KV_KEY_BYTES_MAX,
  RaKvOp,
  visitChanges,
  writeDeleteChange,
  writeKey,
  writePutChange,
} from "./ra_kv_command_codec.ts";
import type {
  AddedKind,
  ClusterMembers,
  ClusterOverview,
  ClusterPlace,
  DeletedCluster,
  MemberOverview,
  MemberSnapshots,
  NodeFailure,
  RaKvMethodTypes,
  RemovedMember,
  StartedCluster,
} from "./ra_kv_protocol.ts";
import { mayHoldBytes, type RaKvValue, readValue } from "./ra_kv_value.ts";

/** Options every call takes. */
export interface RaKvOptions {
  /** Time it may take, in milliseconds. @default {5000, and more for what changes members or disks} */
  readonly timeoutMs?: number | undefined;
  /** Stops waiting: the call fails with `cancelled`; what it was to change may yet change. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of a put. */
export interface RaKvPutOptions extends RaKvOptions {
  /** Index that the key must have now, as a read gave it; 0 if it must not be there. @default {any} */
  readonly ifIndex?: number | undefined;
  /** Milliseconds after which the key is gone, some 50 more at most. @default {it stays} */
  readonly ttlMs?: number | undefined;
}

/** Options of a delete. */
export interface RaKvDeleteOptions extends RaKvOptions {
  /** Index that the key must have now. @default {any} */
  readonly ifIndex?: number | undefined;
}

/** Options of a get. */
export interface RaKvGetOptions extends RaKvOptions {
  /**
   * `"linearizable"` sees every write that was acknowledged before the read
   * began. `"stale"` asks nobody: it sees what the member has, which may be old,
   * and needs no majority. @default {"linearizable"}
   */
  readonly consistency?: "linearizable" | "stale" | undefined;
  /**
   * Who reads the value: the leader, or the member on the node that is asked, as
   * soon as it has caught up with what the leader confirms. @default {"leader"}
   */
  readonly from?: "leader" | "local" | undefined;
}

/** What a write came to. */
export interface RaKvWritten {
  /** Index of the key from now on, for `ifIndex`. */
  readonly index: number;
  /** Of the leader that took it. */
  readonly term: number;
  /** The leader's wall clock when it took the write, in milliseconds since 1970. */
  readonly timeMs: number;
  /** Version of the machine that applied it. */
  readonly machineVersion: number;
  /** Name of the leader's node. */
  readonly leader: string;
}

/** What a read found. */
export interface RaKvFound {
  /** Undefined if the key is not there. */
  readonly value: RaKvValue | undefined;
  /** Index of the entry that holds the value; 0 if the key is not there. */
  readonly index: number;
  /** Term of that entry. */
  readonly term: number;
  /** When it expires, in milliseconds since 1970 by the leader's clock; undefined if it stays. */
  readonly expiresAtMs: number | undefined;
  /** Names of the members' nodes. */
  readonly members: readonly string[];
  /** Name of the leader's node, if whoever answered knows one. */
  readonly leader: string | undefined;
}

/** A change in a batch. */
export type RaKvChange =
  | {
    readonly type: "put";
    readonly key: string;
    readonly value: RaKvValue;
    /** As {@linkcode RaKvPutOptions.ifIndex}. */
    readonly ifIndex?: number | undefined;
    /** As {@linkcode RaKvPutOptions.ttlMs}. */
    readonly ttlMs?: number | undefined;
  }
  | {
    readonly type: "delete";
    readonly key: string;
    /** As {@linkcode RaKvDeleteOptions.ifIndex}. */
    readonly ifIndex?: number | undefined;
  };

/** An entry of the log. */
export interface RaKvEntry {
  /** Of the entry in the log. */
  readonly index: number;
  /** Of the leader that took it. */
  readonly term: number;
  /** The leader's wall clock when it took it, in milliseconds since 1970. */
  readonly timeMs: number;
  /** `"sweep"` takes expired keys out; `"noop"` and `"membership"` are Raft's own. */
  readonly kind: "change" | "sweep" | "noop" | "membership";
  /** What was to be changed, whether the conditions held or not. */
  readonly changes: readonly RaKvChange[];
}

/** Something that happened to a key that is watched. */
export type RaKvEvent =
  | {
    readonly type: "put";
    readonly key: string;
    readonly index: number;
    /** Undefined if values are not wanted. */
    readonly value: RaKvValue | undefined;
  }
  | {
    readonly type: "delete" | "expire";
    readonly key: string;
    readonly index: number;
  }
  /** What happened up to `index` is not all known any longer: read what you need, it is as of `index` at least. */
  | { readonly type: "missed"; readonly index: number }
  /** The watch stands: everything after `index` will be told. Comes first, unless `after` was given. */
  | { readonly type: "watching"; readonly index: number };

/** What to watch. */
export type RaKvWatchOptions =
  & (
    | { readonly key: string; readonly prefix?: undefined }
    /** All keys that begin with it; all there are for `""`. */
    | { readonly prefix: string; readonly key?: undefined }
  )
  & {
    /** Index up to which everything is known: of an event seen, or of a read. @default {now} */
    readonly after?: number | undefined;
    /** Whether events of puts bring values. @default {true} */
    readonly values?: boolean | undefined;
    /** Ends the watch, with `cancelled`. */
    readonly signal?: AbortSignal | undefined;
  };

/** The operations of `ra_kv`. All fail with `timeout`, `cancelled`, `connection_closed`, `unknown_cluster`, `invalid_argument` or `overload` besides what is said with them. */
export interface RaKvClient {
  /**
   * Writes a key.
   *
   * @throws {WhorlError} `index_mismatch` if `ifIndex` does not hold, with the
   * present `index` in its details; `invalid_key`; `value_too_large`. After
   * `timeout`, `leader_lost`, `connection_closed`, `node_suspected` or
   * `cancelled` the write may yet happen, or have happened:
   * {@linkcode raKvOutcomeUnknown} tells.
   */
  put(
    cluster: string,
    key: string,
    value: RaKvValue,
    options?: RaKvPutOptions,
  ): Promise<RaKvWritten>;
  /**
   * Reads a key.
   *
   * @throws {WhorlError} `value_corrupt` if the value is not what was written,
   * `compacted` if it was replaced again and again while it was read.
   */
  get(
    cluster: string,
    key: string,
    options?: RaKvGetOptions,
  ): Promise<RaKvFound>;
  /**
   * Deletes a key.
   *
   * @throws {NotFoundError} If it is not there, which a majority has agreed to.
   * @throws {WhorlError} As `put`.
   */
  delete(
    cluster: string,
    key: string,
    options?: RaKvDeleteOptions,
  ): Promise<RaKvWritten>;
  /** Writes a key if it has `index`; 0 if it is not there. @throws {WhorlError} As `put`. */
  compareAndSet(
    cluster: string,
    key: string,
    index: number,
    value: RaKvValue,
    options?: Omit<RaKvPutOptions, "ifIndex">,
  ): Promise<RaKvWritten>;
  /**
   * Makes up to 1,000 changes at once, each to another key, or none of them.
   * Deleting what is not there is no failure here.
   *
   * @throws {WhorlError} As `put`; `place` in the details of `index_mismatch`
   * says which change it was.
   */
  batch(
    cluster: string,
    changes: readonly RaKvChange[],
    options?: RaKvOptions,
  ): Promise<RaKvWritten>;
  /** The entry at `index` in the log of the node's member, or of any; undefined if it is not agreed upon, or is gone. */
  readEntry(
    cluster: string,
    index: number,
    options?: RaKvOptions,
  ): Promise<RaKvEntry | undefined>;
  /**
   * What happens to a key, or to all keys with a prefix, in the order of the log:
   *
   * ```ts ignore
   * for await (const event of node.raKv.watch("orders", { prefix: "paid/" })) {
   *   if (event.type === "put") console.log(event.key, event.value);
   * }
   * ```
   *
   * It goes on at another member when one is lost. A watch that ended goes on
   * with `after` of the last event, or is told that it missed something. A value
   * that was replaced before it could be read is left out: what replaced it
   * follows. Iterating throws what a get does, and `cancelled`.
   */
  watch(
    cluster: string,
    options: RaKvWatchOptions,
  ): AsyncIterableIterator<RaKvEvent>;

  /**
   * Starts a cluster with a member on each of the nodes `members`. Resolves when
   * a leader answers, for which a majority must have started.
   *
   * @throws {WhorlError} `already_exists`, or `cluster_not_formed`: then nothing
   * is left of it on nodes that can be reached.
   */
  startCluster(
    cluster: string,
    members: readonly string[],
    options?: RaKvOptions,
  ): Promise<StartedCluster>;
  /** Removes a cluster and all that it stores, as far as its nodes can be reached. */
  deleteCluster(
    cluster: string,
    options?: RaKvOptions,
  ): Promise<DeletedCluster>;
  /** All clusters that the nodes know, with failures for those that did not answer. */
  clusters(options?: RaKvOptions): Promise<
    {
      readonly clusters: readonly ClusterPlace[];
      readonly failures: readonly NodeFailure[];
    }
  >;
  /**
   * Adds a member on `node`, which gets all the data and then votes, unless it is
   * to be a `"non_voter"`. Resolves when a majority has agreed to it.
   *
   * @throws {WhorlError} `already_member`, `cluster_change_not_permitted`,
   * `not_reachable`, `leader_lost`: the new member is gone again. After `timeout`
   * with `outcomeUnknown` in the details it may yet be added.
   */
  addMember(
    cluster: string,
    node: string,
    options?: RaKvOptions & { readonly kind?: AddedKind | undefined },
  ): Promise<ClusterMembers>;
  /**
   * Removes the member on `node`, and then what it stores.
   *
   * @throws {WhorlError} `not_member`, `only_member`,
   * `cluster_change_not_permitted`, `leader_lost`: it is a member as before. After
   * `timeout` with `outcomeUnknown` in the details it may yet be removed.
   */
  removeMember(
    cluster: string,
    node: string,
    options?: RaKvOptions,
  ): Promise<RemovedMember>;
  /** The members, as a majority confirms to the leader. */
  members(cluster: string, options?: RaKvOptions): Promise<ClusterMembers>;
  /** What the member on `node` says of its log and its state. */
  memberOverview(
    cluster: string,
    node: string,
    options?: RaKvOptions,
  ): Promise<MemberOverview>;
  /** The members, and what each says of itself. */
  overview(cluster: string, options?: RaKvOptions): Promise<ClusterOverview>;
  /** Indexes of the entries that hold values, ascending, at the leader or at the member on `node`. */
  liveIndexes(
    cluster: string,
    options?: RaKvOptions & { readonly node?: string | undefined },
  ): Promise<readonly number[]>;
  /** Has the member on `node`, or each, store its state, so that its log can let go of what is no longer needed. */
  takeSnapshot(
    cluster: string,
    options?: RaKvOptions & { readonly node?: string | undefined },
  ): Promise<MemberSnapshots>;
  /** Has the member on `node`, or each, merge files of its log that are mostly dead. */
  compact(
    cluster: string,
    options?: RaKvOptions & { readonly node?: string | undefined },
  ): Promise<MemberSnapshots>;
  /**
   * Has the member on `to` lead.
   *
   * @throws {WhorlError} `already_leader`, `unknown_member`, `non_voter`,
   * `not_up_to_date`.
   */
  transferLeadership(
    cluster: string,
    to: string,
    options?: RaKvOptions,
  ): Promise<ClusterMembers>;
  /**
   * Makes the member on `node` the only one, when the majority is lost for good.
   * What only the others had is lost, though it was acknowledged; if one of them
   * still lives, there are two clusters then, of one name.
   */
  forceShrink(
    cluster: string,
    node: string,
    options?: RaKvOptions,
  ): Promise<ClusterMembers>;
}

/** Has a node answer a call. */
export type RaKvCall = (
  method: string,
  args: unknown,
  options: RaKvOptions,
) => Promise<unknown>;

const TIMEOUT_MS = 5_000;
/** Time that calls which wait for members or disks have, in milliseconds. */
const LONG_TIMEOUT_MS = 75_000;
/** Time a watch operation waits at a member, in milliseconds. */
const WATCH_WAIT_MS = 20_000;
const encoder = new TextEncoder();
/** Memory the scratch may keep. */
const SCRATCH_BYTES_KEPT = 1024 * 1024;
/** Shared by all clients of a thread: it is written and handed on in one go. */
let scratch = new ByteWriter(1024);

/**
 * `ra_kv` over `carrier` and `call`. Both are asked for at each operation, as a
 * node may have restarted what is behind them.
 */
export function raKvClient(
  carrier: () => OperationCarrier,
  call: RaKvCall,
): RaKvClient {
  const ask = <Method extends keyof RaKvMethodTypes>(
    method: Method,
    args: RaKvMethodTypes[Method]["args"],
    options: RaKvOptions | undefined,
    timeoutMs: number = LONG_TIMEOUT_MS,
  ): Promise<RaKvMethodTypes[Method]["result"]> =>
    call(method, args, {
      timeoutMs: options?.timeoutMs ?? timeoutMs,
      signal: options?.signal,
    }) as Promise<RaKvMethodTypes[Method]["result"]>;
  const client: RaKvClient = {
    put: (cluster, key, value, options) =>
      write(carrier, cluster, RaKvOperation.put, options, () => {
        writePutChange(scratch, key, value, options);
      }),
    get: (cluster, key, options) => get(carrier, cluster, key, options),
    delete: (cluster, key, options) =>
      write(carrier, cluster, RaKvOperation.delete, options, () => {
        writeDeleteChange(scratch, key, options?.ifIndex);
      }),
    compareAndSet: (cluster, key, index, value, options) =>
      client.put(cluster, key, value, { ...options, ifIndex: index }),
    batch: (cluster, changes, options) =>
      write(
        carrier,
        cluster,
        RaKvOperation.batch,
        options,
        () => writeBatch(changes),
      ),
    readEntry: (cluster, index, options) =>
      submit(
        carrier,
        cluster,
        RaKvOperation.readEntry,
        options,
        () => scratch.u48(index),
        entryOf,
      ),
    watch: (cluster, options) => watch(carrier, cluster, options),
    startCluster: (cluster, members, options) =>
      ask(
        "ra_kv_start_cluster",
        { cluster, members, timeoutMs: options?.timeoutMs },
        { ...options, timeoutMs: undefined },
        (options?.timeoutMs ?? TIMEOUT_MS * members.length) + 30_000,
      ),
    deleteCluster: (cluster, options) =>
      ask("ra_kv_delete_cluster", { cluster }, options),
    clusters: (options) => ask("ra_kv_clusters", {}, options),
    addMember: (cluster, node, options) =>
      ask("ra_kv_add_member", { cluster, node, kind: options?.kind }, options),
    removeMember: (cluster, node, options) =>
      ask("ra_kv_remove_member", { cluster, node }, options),
    members: (cluster, options) => ask("ra_kv_members", { cluster }, options),
    memberOverview: (cluster, node, options) =>
      ask("ra_kv_member_overview", { cluster, node }, options),
    overview: (cluster, options) => ask("ra_kv_overview", { cluster }, options),
    liveIndexes: async (cluster, options) => {
      const all: number[] = [];
      let node = options?.node;
      for (;;) {
        const after = all[all.length - 1] ?? 0;
        const page = await ask(
          "ra_kv_live_indexes",
          { cluster, node, after },
          options,
        );
        for (const index of page.indexes) all.push(index);
        if (page.complete) return all;
        // All pages from one member, whoever leads by then.
        node = page.node;
      }
    },
    takeSnapshot: (cluster, options) =>
      ask("ra_kv_take_snapshot", { cluster, node: options?.node }, options),
    compact: (cluster, options) =>
      ask("ra_kv_compact", { cluster, node: options?.node }, options),
    transferLeadership: (cluster, to, options) =>
      ask("ra_kv_transfer_leadership", { cluster, to }, options),
    forceShrink: (cluster, node, options) =>
      ask("ra_kv_force_shrink", { cluster, node }, options),
  };
  return client;
}

/** Whether what failed with `error` may yet happen, or have happened, so that only a read can tell. */
export function raKvOutcomeUnknown(error: unknown): boolean {
  return isWhorlError(error) && error.details["outcomeUnknown"] !== false && [
    "timeout",
    "leader_lost",
    "connection_closed",
    "node_suspected",
    "cancelled",
    "closed",
  ].includes(error.code);
}

function write(
  carrier: () => OperationCarrier,
  cluster: string,
  operation: number,
  options: RaKvOptions | undefined,
  writeChange: () => void,
): Promise<RaKvWritten> {
  return submit(carrier, cluster, operation, options, () => {
    scratch.u8(operation);
    writeChange();
  }, writtenOf);
}

function writtenOf(object: Uint8Array | undefined): WriteAnswer {
  return readWriteAnswer(new ByteReader(present(object)));
}

function get(
  carrier: () => OperationCarrier,
  cluster: string,
  key: string,
  options: RaKvGetOptions | undefined,
): Promise<RaKvFound> {
  return submit(carrier, cluster, RaKvOperation.get, options, () => {
    scratch.u8(
      (options?.consistency === "stale" ? GetFlag.stale : 0) |
        (options?.from === "local" ? GetFlag.local : 0),
    );
    writeKey(scratch, key);
  }, foundOf);
}

function foundOf(object: Uint8Array | undefined): RaKvFound {
  const answer = readGetAnswer(new ByteReader(present(object)));
  const { leader, members } = namesOf(answer.group);
  return {
    value: answer.found ? valueOf(answer.value) : undefined,
    index: answer.index,
    term: answer.term,
    expiresAtMs: answer.expiresAtMs === 0 ? undefined : answer.expiresAtMs,
    members,
    leader,
  };
}

let lastGroup: Uint8Array = new Uint8Array(0);
let lastNames: GroupNames = { leader: undefined, members: [] };

/** Reads of one cluster come with the same names again and again. */
function namesOf(group: Uint8Array): GroupNames {
  if (!equalBytes(group, lastGroup)) {
    lastNames = readGroupNames(new ByteReader(group));
    lastGroup = group.slice();
  }
  return lastNames;
}

/** A value that holds on to no more memory than its own: answers are cut from slabs, and bytes in it are views. */
function valueOf(bytes: Uint8Array): RaKvValue {
  return readValue(mayHoldBytes(bytes) ? bytes.slice() : bytes);
}

function writeBatch(changes: readonly RaKvChange[]): void {
  if (changes.length < 1 || changes.length > BATCH_CHANGES_MAX) {
    throw new WhorlError(
      "invalid_argument",
      `Cannot make a batch as it must have 1 to ${BATCH_CHANGES_MAX} changes: it has ${changes.length}`,
    );
  }
  const keys = new Set(changes.map(({ key }) => key));
  if (keys.size < changes.length) {
    throw new WhorlError(
      "invalid_argument",
      "Cannot make a batch as each of its changes must be to another key",
    );
  }
  const start = scratch.length;
  scratch.u16(changes.length);
  for (const change of changes) {
    if (change.type === "put") {
      scratch.u8(RaKvOp.put);
      writePutChange(scratch, change.key, change.value, change);
    } else {
      scratch.u8(RaKvOp.delete);
      writeDeleteChange(scratch, change.key, change.ifIndex);
    }
    const bytes = scratch.length - start;
    if (bytes > BATCH_BYTES_MAX) {
      throw new WhorlError(
        "value_too_large",
        `Cannot make a batch as it may have ${BATCH_BYTES_MAX} bytes`,
        { details: { limit: BATCH_BYTES_MAX } },
      );
    }
  }
}

function entryOf(object: Uint8Array | undefined): RaKvEntry | undefined {
  if (object === undefined) return undefined;
  const from = new ByteReader(object);
  const index = from.u48();
  const term = from.u48();
  const kind = from.u8();
  const timeMs = from.u48();
  const changes: RaKvChange[] = [];
  const entry = { index, term, timeMs, changes };
  if (kind === EntryKind.noop) return { ...entry, kind: "noop" };
  if (kind === EntryKind.membership) return { ...entry, kind: "membership" };
  if (object[12 + ENTRY_HEADER_BYTES] === RaKvOp.sweep) {
    return { ...entry, kind: "sweep" };
  }
  visitChanges(from, emptyChange(), (change) => {
    const key = keyText(object.subarray(change.keyStart, change.keyEnd));
    const ifIndex = change.ifIndex < 0 ? {} : { ifIndex: change.ifIndex };
    if (change.op === RaKvOp.delete) {
      changes.push({ type: "delete", key, ...ifIndex });
      return;
    }
    changes.push({
      type: "put",
      key,
      value: valueOf(object.subarray(change.valueStart, change.valueEnd)),
      ...ifIndex,
      ...change.ttlMs === 0 ? {} : { ttlMs: change.ttlMs },
    });
  });
  return { ...entry, kind: "change" };
}

async function* watch(
  carrier: () => OperationCarrier,
  cluster: string,
  options: RaKvWatchOptions,
): AsyncIterableIterator<RaKvEvent> {
  const { key, prefix, after, values = true, signal } = options;
  if ((key === undefined) === (prefix === undefined)) {
    throw new WhorlError(
      "invalid_argument",
      "Cannot watch as either 'key' or 'prefix' must be given",
    );
  }
  const watched = watchedBytes(key ?? prefix as string, key === undefined);
  const flags = (key === undefined ? WatchFlag.prefix : 0) |
    (values ? 0 : WatchFlag.keysOnly);
  let seen = after;
  for (;;) {
    let answer: WatchAnswer;
    try {
      answer = await submit(
        carrier,
        cluster,
        RaKvOperation.watch,
        { signal, timeoutMs: WATCH_WAIT_MS + TIMEOUT_MS },
        () =>
          writeWatchBody(scratch, {
            flags: seen === undefined ? flags | WatchFlag.fromNow : flags,
            index: seen ?? 0,
            waitMs: Math.min(WATCH_WAIT_MS, WATCH_WAIT_MS_MAX),
            key: watched,
          }),
        (object) => readWatchAnswer(new ByteReader(present(object))),
      );
    } catch (error) {
      // Nobody could be asked for a while: what happens meanwhile is told later.
      if (isWhorlError(error, "timeout") && seen !== undefined) continue;
      throw error;
    }
    const { next, missed, events } = answer;
    if (seen === undefined) yield { type: "watching", index: next };
    else if (missed) yield { type: "missed", index: next };
    for (const event of events) yield eventOf(event);
    seen = next;
  }
}

function watchedBytes(text: string, isPrefix: boolean): Uint8Array {
  const bytes = encoder.encode(text);
  if (
    !text.isWellFormed() || bytes.length > RA_KV_KEY_BYTES_MAX ||
    bytes.length === 0 && !isPrefix
  ) {
    throw new WhorlError(
      "invalid_key",
      `Cannot watch keys as they must be well-formed text of 1 to ${RA_KV_KEY_BYTES_MAX} bytes`,
    );
  }
  return bytes;
}

function eventOf(
  { kind, index, key, value }: WatchAnswer["events"][number],
): RaKvEvent {
  const text = keyText(key);
  switch (kind) {
    case ChangeKind.put:
      return {
        type: "put",
        key: text,
        index,
        value: value === undefined ? undefined : valueOf(value),
      };
    case ChangeKind.delete:
      return { type: "delete", key: text, index };
    case ChangeKind.expire:
      return { type: "expire", key: text, index };
    default:
      return kind satisfies never;
  }
}

/** Makes an operation, hands it on, and makes a result of its answer. */
function submit<Result>(
  carrier: () => OperationCarrier,
  cluster: string,
  operation: number,
  options: RaKvOptions | undefined,
  writeBody: () => void,
  resultOf: (object: Uint8Array | undefined) => Result,
): Promise<Result> {
  try {
    scratch.clear();
    beginOperation(scratch, operation, cluster, checkedTimeout(options));
    writeBody();
    return submitOperation(
      carrier(),
      scratch,
      options?.signal,
      ({ object }) => resultOf(object),
      named,
    );
  } catch (error) {
    return Promise.reject(error);
  } finally {
    if (scratch.bytes.length > SCRATCH_BYTES_KEPT) {
      scratch = new ByteWriter(1024);
    }
  }
}

function checkedTimeout(options: RaKvOptions | undefined): number {
  const timeoutMs = options?.timeoutMs ?? TIMEOUT_MS;
  if (
    Number.isInteger(timeoutMs) && timeoutMs >= 1 && timeoutMs < 2 ** 31
  ) return timeoutMs;
  throw new WhorlError(
    "invalid_argument",
    `Cannot take 'timeoutMs' as it must be a whole number from 1 to ${
      2 ** 31 - 1
    }: it is ${timeoutMs}`,
  );
}

function named(error: WhorlError): WhorlError {
  return error.code === "not_found" ? new NotFoundError(error) : error;
}

function present(object: Uint8Array | undefined): Uint8Array {
  if (object !== undefined) return object;
  throw new WhorlError(
    "protocol_error",
    "Cannot tell what an operation came to: the answer has no content",
  );
}
