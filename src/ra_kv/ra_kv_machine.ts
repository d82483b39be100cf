/**
 * The machine of `ra_kv` (after `ra_kv.erl` of rabbitmq/ra). Values are stored
 * only in the log: for each key, the state has the index of the entry that
 * holds its value, the value's hash and its expiry. So a command costs a
 * look-up, a snapshot is small, and an entry is kept as long as a key points to
 * it.
 *
 * Time is that of the log: a key expires when an entry is applied that the
 * leader accepted after the key's expiry. All members agree on that, so
 * linearizable reads are linearizable for expiring keys as well. The leader
 * proposes a sweep when the next key is due, so that time advances even if
 * nobody writes, and expired keys are removed.
 *
 * When a ring is resized, the keys of a group may come from other groups, and
 * go to others: see `succession.ts`.
 *
 * @module
 */
import { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { isWhorlError, WhorlError } from "../base/errors.ts";
import type {
  Applied,
  ApplyMeta,
  MachineEffect,
  RaftMachine,
} from "../raft/machine.ts";
import { ChangeKind } from "./change_log.ts";
import { RecordFlag } from "./key_table.ts";
import { emptyState, type RaKvState } from "./ra_kv_state.ts";
import { RaKvStateDecoder } from "./state_decoder.ts";
import { RaKvStateView } from "./state_view.ts";
import {
  FIRST_SUCCESSION,
  imported,
  isOpen,
  sealed,
  shut,
  sourcesLeft,
  type Succession,
} from "./succession.ts";
import { readSources, successionBytes } from "./succession_codec.ts";
import {
  type ChangeView,
  emptyChange,
  expectCommandEnd,
  RA_KV_MACHINE,
  RaKvOp,
  type RaKvReply,
  readBatchCount,
  readChange,
  readImportedChange,
  readImportHeader,
  writeReply,
} from "./ra_kv_command_codec.ts";

/**
 * Most keys removed by one sweep, not counting those of one entry, which go
 * together; the next sweep follows at once.
 */
export const SWEEP_KEYS_MAX = 10_000;
/** Shortest time between two sweeps, in milliseconds, unless the first left some keys. */
export const SWEEP_INTERVAL_MIN_MS = 50;

export type { RaKvState } from "./ra_kv_state.ts";

const SWEEP_TIMER = "sweep";

/** Options of the machine. */
export interface RaKvMachineOptions {
  /** Any number that is private to this process: it goes into the hashes of keys. @default {0} */
  readonly hashSeed?: number;
}

/** The record of the key `bytes[start, end)`, or -1 if it does not exist or has expired. */
export function lookUp(
  state: RaKvState,
  bytes: Uint8Array,
  start: number,
  end: number,
): number {
  const record = state.keys.find(bytes, start, end);
  return record < 0 || hasExpired(state, record) ? -1 : record;
}

/** Whether the key of `record` has expired, although it has not been removed yet. */
export function hasExpired(
  { keys, timeMs }: RaKvState,
  record: number,
): boolean {
  const expiresAtMs = keys.expiryOf(record);
  return expiresAtMs !== 0 && expiresAtMs <= timeMs;
}

/**
 * The version of the value of `record`, which conditions refer to. It stays the
 * same when the value moves to another group.
 */
export function versionOf(
  { keys, succession }: RaKvState,
  record: number,
): number {
  const version = keys.versionOf(record);
  return version === 0 ? succession.base + keys.indexOf(record) : version;
}

/** A number that is equal for states with equal content, whatever the order of their changes. */
export function stateDigest({ keys }: RaKvState): number {
  const bytes = new ByteWriter(256);
  let digest = 0;
  for (let record = 0; record < keys.recordEnd; record++) {
    if (!keys.has(record)) continue;
    bytes.clear();
    bytes.u53(keys.indexOf(record));
    bytes.u53(keys.versionOf(record));
    bytes.u32(keys.valueHashOf(record));
    bytes.u53(keys.expiryOf(record));
    bytes.raw(keys.keyOf(record));
    let hash = 0x811c_9dc5;
    for (const byte of bytes.view()) {
      hash = Math.imul(hash ^ byte, 0x0100_0193);
    }
    digest = (digest + (hash ^ hash >>> 15)) >>> 0;
  }
  return digest;
}

/** Number of entries that hold a value. */
export function liveEntries({ keys, batches }: RaKvState): number {
  let inBatches = 0;
  for (const count of batches.values()) inBatches += count;
  return keys.size - inBatches + batches.size;
}

const DONE: Applied = { reply: replyBytes({ type: "done" }) };
const ENDED: Applied = { reply: DONE.reply, effects: [{ type: "end" }] };
const NOT_FOUND: Applied = { reply: replyBytes({ type: "not_found" }) };
const NOT_OPEN: Applied = { reply: replyBytes({ type: "not_open" }) };
/** The command that the sweep timer proposes. */
const SWEEP = Uint8Array.of(RaKvOp.sweep);

function replyBytes(reply: RaKvReply): Uint8Array<ArrayBuffer> {
  const into = new ByteWriter(32);
  writeReply(into, reply);
  return into.copy();
}

/** Creates the machine of `ra_kv`. */
export function raKvMachine(
  options: RaKvMachineOptions = {},
): RaftMachine<RaKvState> {
  const seed = options.hashSeed ?? 0;
  const from = new ByteReader(new Uint8Array(0));
  const change = emptyChange();
  return {
    name: RA_KV_MACHINE,
    version: 0,
    init: () => emptyState(seed, 0),
    apply(meta, command, state) {
      if (meta.timeMs > state.timeMs) state.timeMs = meta.timeMs;
      state.lastIndex = meta.index;
      from.reset(command, 0, command.length);
      try {
        return applyCommand(meta, from, change, state);
      } catch (error) {
        // Nothing was changed: a command is read completely before it is
        // applied.
        if (!isWhorlError(error)) throw error;
        return {
          reply: replyBytes({ type: "refused", reason: error.message }),
        };
      }
    },
    liveIndexes: everyLiveIndex,
    view: viewOf,
    encode: (state) => [...viewOf(state).pieces],
    decode(pieces) {
      const decoder = new RaKvStateDecoder(seed);
      for (const piece of pieces) decoder.add(piece);
      return decoder.end();
    },
    decoder: () => new RaKvStateDecoder(seed),
    enterRole(leader, { expiries }) {
      // The log's time stood still while there was no leader.
      return leader && expiries.size > 0
        ? [{ type: "timer", name: SWEEP_TIMER, afterMs: 0, command: SWEEP }]
        : [];
    },
    overview: stateOverview,
  };
}

/** Small facts of a state, as documented at `MemberOverview.machine`. */
export function stateOverview(state: RaKvState): Record<string, number> {
  const { succession } = state;
  return {
    open: isOpen(succession) ? 1 : 0,
    sealed: succession.seal === undefined ? 0 : 1,
    sourcesLeft: sourcesLeft(succession).length,
    keys: state.keys.size,
    keyBytes: state.keys.keyBytes,
    liveIndexes: liveEntries(state),
    expiring: state.expiries.size,
    timeMs: state.timeMs,
  };
}

function applyCommand(
  { index, term }: ApplyMeta,
  from: ByteReader,
  change: ChangeView,
  state: RaKvState,
): Applied {
  const op = from.u8();
  if (op <= RaKvOp.batch && !isOpen(state.succession)) return unserved(state);
  switch (op) {
    case RaKvOp.put:
    case RaKvOp.delete: {
      readChange(from, op, change);
      expectCommandEnd(from);
      const { bytes } = from;
      const record = lookUp(state, bytes, change.keyStart, change.keyEnd);
      if (op === RaKvOp.delete && record < 0) return NOT_FOUND;
      const mismatch = mismatchOf(state, record, change, 0);
      if (mismatch !== undefined) return mismatch;
      const next = state.expiries.nextAtMs;
      carryOut(index, 0, bytes, change, state);
      return change.ttlMs === 0 ? DONE : doneWithTimer(state, next);
    }
    case RaKvOp.batch:
      return applyBatch(index, from, change, state);
    case RaKvOp.sweep:
      expectCommandEnd(from);
      return sweep(index, state);
    case RaKvOp.end:
      expectCommandEnd(from);
      return ENDED;
    case RaKvOp.shut: {
      const sources = readSources(from);
      return succeed(state, shut(state.succession, sources, state.keys.size));
    }
    case RaKvOp.import:
      return applyImport(index, term, from, change, state);
    case RaKvOp.seal: {
      const to = { generation: from.u32(), size: from.u16() };
      expectCommandEnd(from);
      return succeed(state, sealed(state.succession, index, to));
    }
    default:
      throw new WhorlError(
        "unknown_command",
        `Cannot carry out a command of kind ${op} as this version does not know it`,
      );
  }
}

/** The reply of a group that does not serve keys now. */
function unserved({ succession: { seal } }: RaKvState): Applied {
  if (seal === undefined) return NOT_OPEN;
  const { generation, size } = seal;
  return { reply: replyBytes({ type: "moved", generation, size }) };
}

function succeed(state: RaKvState, next: Succession | string): Applied {
  if (typeof next === "string") {
    return { reply: replyBytes({ type: "refused", reason: next }) };
  }
  state.succession = next;
  return DONE;
}

function applyImport(
  index: number,
  term: number,
  from: ByteReader,
  change: ChangeView,
  state: RaKvState,
): Applied {
  const header = readImportHeader(from);
  const { bytes, offset } = from;
  for (let left = header.count; left > 0; left--) {
    readImportedChange(from, from.u8(), change);
  }
  expectCommandEnd(from);
  const next = imported(state.succession, header, term);
  if (typeof next === "string") return succeed(state, next);
  from.offset = offset;
  for (let left = header.count; left > 0; left--) {
    readImportedChange(from, from.u8(), change);
    carryOut(index, RecordFlag.batch, bytes, change, state);
  }
  return succeed(state, next);
}

function mismatchOf(
  state: RaKvState,
  record: number,
  { ifIndex }: ChangeView,
  place: number,
): Applied | undefined {
  if (ifIndex < 0) return undefined;
  const index = record < 0 ? 0 : versionOf(state, record);
  if (index === ifIndex) return undefined;
  return { reply: replyBytes({ type: "index_mismatch", place, index }) };
}

function applyBatch(
  index: number,
  from: ByteReader,
  change: ChangeView,
  state: RaKvState,
): Applied {
  const { bytes, offset } = from;
  const count = readBatchCount(from);
  let mismatch: Applied | undefined;
  for (let place = 0; place < count; place++) {
    readChange(from, from.u8(), change);
    const record = lookUp(state, bytes, change.keyStart, change.keyEnd);
    mismatch ??= mismatchOf(state, record, change, place);
  }
  expectCommandEnd(from);
  if (mismatch !== undefined) return mismatch;
  const next = state.expiries.nextAtMs;
  from.offset = offset;
  readBatchCount(from);
  for (let place = 0; place < count; place++) {
    readChange(from, from.u8(), change);
    carryOut(index, RecordFlag.batch, bytes, change, state);
  }
  return doneWithTimer(state, next);
}

/** Applies a put or delete; a key to delete need not exist. */
function carryOut(
  index: number,
  flags: number,
  bytes: Uint8Array,
  change: ChangeView,
  state: RaKvState,
): void {
  const { keys, changes } = state;
  const { keyStart, keyEnd } = change;
  if (change.op === RaKvOp.delete) {
    const record = lookUp(state, bytes, keyStart, keyEnd);
    if (record < 0) return;
    changes.add(index, ChangeKind.delete, bytes, keyStart, keyEnd);
    letGo(state, record);
    keys.remove(record);
    return;
  }
  changes.add(index, ChangeKind.put, bytes, keyStart, keyEnd);
  const record = keys.findOrAdd(bytes, keyStart, keyEnd);
  letGo(state, record);
  const expiresAtMs = change.ttlMs === 0 ? 0 : state.timeMs + change.ttlMs;
  keys.set(record, index, change.hash, flags, expiresAtMs, change.version);
  if (flags & RecordFlag.batch) {
    state.batches.set(index, (state.batches.get(index) ?? 0) + 1);
  }
  if (expiresAtMs !== 0) state.expiries.add(record);
}

/** Releases the value of `record`, if it has one. */
function letGo({ keys, batches, expiries }: RaKvState, record: number): void {
  if (keys.expiryOf(record) !== 0) expiries.forget();
  if ((keys.flagsOf(record) & RecordFlag.batch) === 0) return;
  const index = keys.indexOf(record);
  const count = batches.get(index) as number;
  if (count === 1) batches.delete(index);
  else batches.set(index, count - 1);
}

function sweep(index: number, state: RaKvState): Applied {
  const { keys, expiries, changes, timeMs } = state;
  let taken = 0;
  let last = 0;
  // Keys of one entry that expire together have no order that all members agree
  // on, so they go in one sweep.
  while (taken < SWEEP_KEYS_MAX || expiries.nextIndex === last) {
    last = expiries.nextIndex;
    const record = expiries.takeDue(timeMs);
    if (record < 0) break;
    const key = keys.keyOf(record);
    changes.add(index, ChangeKind.expire, key, 0, key.length);
    letGo(state, record);
    keys.remove(record);
    taken++;
  }
  return { reply: DONE.reply, effects: [sweepTimer(state)] };
}

/** Sets the timer anew if another key is now the first to expire. */
function doneWithTimer(
  state: RaKvState,
  before: number | undefined,
): Applied {
  const next = state.expiries.nextAtMs;
  if (next === undefined || next === before) return DONE;
  return { reply: DONE.reply, effects: [sweepTimer(state)] };
}

function sweepTimer({ expiries, timeMs }: RaKvState): MachineEffect {
  const next = expiries.nextAtMs;
  return {
    type: "timer",
    name: SWEEP_TIMER,
    afterMs: next === undefined
      ? undefined
      : next <= timeMs
      ? 0
      : Math.max(SWEEP_INTERVAL_MIN_MS, next - timeMs),
    command: SWEEP,
  };
}

/** Indexes of the entries that hold values, in no particular order. */
export function liveIndexes(state: RaKvState): Float64Array<ArrayBuffer> {
  const indexes = new Float64Array(liveEntries(state));
  let count = 0;
  for (const index of everyLiveIndex(state)) indexes[count++] = index;
  return indexes;
}

/** The same one by one; the state must not change meanwhile. */
function* everyLiveIndex({ keys, batches }: RaKvState): Generator<number> {
  for (let record = 0; record < keys.recordEnd; record++) {
    if (keys.has(record) && (keys.flagsOf(record) & RecordFlag.batch) === 0) {
      yield keys.indexOf(record);
    }
  }
  yield* batches.keys();
}

function viewOf(
  { keys, timeMs, lastIndex, succession }: RaKvState,
): RaKvStateView {
  const history = succession === FIRST_SUCCESSION
    ? undefined
    : successionBytes(succession);
  return new RaKvStateView(keys, timeMs, lastIndex, history);
}
