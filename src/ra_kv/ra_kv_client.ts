/**
 * The client of `ra_kv`, a key-value store whose members agree by majority. It
 * is the same inside a node and over a client connection; `ra_kv_api.ts`
 * describes its calls.
 *
 * @module
 */
import type { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import type { OperationCarrier } from "../request/operation_carrier.ts";
import { entryOf, foundOf, writtenOf } from "./ra_kv_answers.ts";
import type {
  RaKvChange,
  RaKvClient,
  RaKvFound,
  RaKvGetOptions,
  RaKvOptions,
  RaKvWritten,
} from "./ra_kv_api.ts";
import { GetFlag, RaKvOperation } from "./ra_kv_codec.ts";
import {
  BATCH_BYTES_MAX,
  BATCH_CHANGES_MAX,
  RaKvOp,
  writeDeleteChange,
  writeKey,
  writePutChange,
} from "./ra_kv_command_codec.ts";
import type { RaKvMethodTypes } from "./ra_kv_protocol.ts";
import { submit, TIMEOUT_MS } from "./ra_kv_submission.ts";
import { watch } from "./ra_kv_watching.ts";

export type {
  RaKvChange,
  RaKvClient,
  RaKvDeleteClusterOptions,
  RaKvDeleteOptions,
  RaKvEntry,
  RaKvEvent,
  RaKvFound,
  RaKvGetOptions,
  RaKvOptions,
  RaKvPutOptions,
  RaKvWatchOptions,
  RaKvWritten,
} from "./ra_kv_api.ts";
export { raKvOutcomeUnknown } from "./unknown_outcome.ts";

/** Calls a method of a node. */
export type RaKvCall = (
  method: string,
  args: unknown,
  options: RaKvOptions,
) => Promise<unknown>;

/** Timeout of calls that wait for members or disks, in milliseconds. */
const LONG_TIMEOUT_MS = 75_000;

/**
 * `ra_kv` over `carrier` and `call`. The carrier is looked up for each
 * operation, because a node may have restarted it.
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
      write(carrier, cluster, RaKvOperation.put, options, (into) => {
        writePutChange(into, key, value, options);
      }),
    get: (cluster, key, options) => get(carrier, cluster, key, options),
    delete: (cluster, key, options) =>
      write(carrier, cluster, RaKvOperation.delete, options, (into) => {
        writeDeleteChange(into, key, options?.ifIndex);
      }),
    compareAndSet: (cluster, key, index, value, options) =>
      client.put(cluster, key, value, { ...options, ifIndex: index }),
    batch: (cluster, changes, options) =>
      write(
        carrier,
        cluster,
        RaKvOperation.batch,
        options,
        (into) => writeBatch(into, changes),
      ),
    readEntry: (cluster, index, options) =>
      submit(
        carrier,
        cluster,
        RaKvOperation.readEntry,
        options,
        (into) => into.u48(index),
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
      ask(
        "ra_kv_delete_cluster",
        { cluster, force: options?.force, node: options?.node },
        options,
      ),
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
        // All pages come from one member, even if the leader changes.
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

function write(
  carrier: () => OperationCarrier,
  cluster: string,
  operation: number,
  options: RaKvOptions | undefined,
  writeChange: (into: ByteWriter) => void,
): Promise<RaKvWritten> {
  return submit(carrier, cluster, operation, options, (into) => {
    into.u8(operation);
    writeChange(into);
  }, writtenOf);
}

function get(
  carrier: () => OperationCarrier,
  cluster: string,
  key: string,
  options: RaKvGetOptions | undefined,
): Promise<RaKvFound> {
  return submit(carrier, cluster, RaKvOperation.get, options, (into) => {
    into.u8(
      (options?.consistency === "stale" ? GetFlag.stale : 0) |
        (options?.from === "local" ? GetFlag.local : 0),
    );
    writeKey(into, key);
  }, foundOf);
}

function writeBatch(into: ByteWriter, changes: readonly RaKvChange[]): void {
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
      "Cannot make a batch as each of its changes must be of a different key",
    );
  }
  const start = into.length;
  into.u16(changes.length);
  for (const change of changes) {
    if (change.type === "put") {
      into.u8(RaKvOp.put);
      writePutChange(into, change.key, change.value, change);
    } else {
      into.u8(RaKvOp.delete);
      writeDeleteChange(into, change.key, change.ifIndex);
    }
    const bytes = into.length - start;
    if (bytes > BATCH_BYTES_MAX) {
      throw new WhorlError(
        "value_too_large",
        `Cannot make a batch as it may have at most ${BATCH_BYTES_MAX} bytes`,
        { details: { limit: BATCH_BYTES_MAX } },
      );
    }
  }
}
