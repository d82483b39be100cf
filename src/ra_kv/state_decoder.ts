/**
 * Decodes a state of `ra_kv` from the bytes made by `state_view.ts`, piece by
 * piece as they arrive: decoding a million keys at once would block everything
 * else on the node.
 *
 * @module
 */
import { ByteReader } from "../base/byte_reader.ts";
import { WhorlError } from "../base/errors.ts";
import type { StateDecoder } from "../raft/machine.ts";
import { RecordFlag } from "./key_table.ts";
import { RA_KV_KEY_BYTES_MAX } from "./ra_kv_command_codec.ts";
import { emptyState, type RaKvState } from "./ra_kv_state.ts";
import {
  SNAPSHOT_FORMAT,
  SNAPSHOT_HEADER_BYTES,
  SnapshotFlag,
  SUCCESSION_FORMAT,
} from "./state_view.ts";
import { FIRST_SUCCESSION } from "./succession.ts";
import { readSuccession } from "./succession_codec.ts";

/** Least size of a key's record, in bytes. */
const RECORD_BYTES_MIN = 13;
/** Decodes a state; see the module comment. */
export class RaKvStateDecoder implements StateDecoder<RaKvState> {
  readonly #seed: number;
  #state: RaKvState | undefined;
  #left = 0;
  /** The bytes so far of an incomplete record. */
  #rest: Uint8Array<ArrayBuffer> = new Uint8Array(0);

  /** @param seed Goes into the hashes of keys. */
  constructor(seed: number) {
    this.#seed = seed;
  }

  add(piece: Uint8Array<ArrayBuffer>): void {
    const rest = this.#rest;
    const bytes = rest.length === 0 ? piece : joined(rest, piece);
    const from = new ByteReader(bytes);
    if (this.#state === undefined && !isHeaderWhole(from)) {
      this.#rest = bytes;
      return;
    }
    const state = this.#state ??= this.#begin(from);
    while (this.#left > 0 && isWhole(from)) {
      readRecord(from, state);
      this.#left--;
    }
    this.#rest = bytes.subarray(from.offset);
    if (this.#left === 0 && this.#rest.length > 0) {
      throw refusal("bytes follow its keys");
    }
  }

  #begin(from: ByteReader): RaKvState {
    const format = from.u8();
    const hasHistory = format === SUCCESSION_FORMAT;
    if (format !== SNAPSHOT_FORMAT && !hasHistory) {
      throw refusal(`its format is ${format}`);
    }
    const state = emptyState(this.#seed, from.u48());
    state.timeMs = from.u53();
    this.#left = from.u32();
    if (hasHistory) {
      const history = from.raw(from.u16());
      state.succession = readSuccession(new ByteReader(history));
    }
    return state;
  }

  end(): RaKvState {
    const state = this.#state;
    if (state === undefined || this.#left > 0) throw refusal("it is cut short");
    return state;
  }
}

/** Whether everything before the first key has arrived. */
function isHeaderWhole({ bytes, offset, remaining }: ByteReader): boolean {
  if (remaining < SNAPSHOT_HEADER_BYTES) return false;
  if (bytes[offset] !== SUCCESSION_FORMAT) return true;
  const at = offset + SNAPSHOT_HEADER_BYTES;
  const keysAt = SNAPSHOT_HEADER_BYTES + 2 +
    ((bytes[at] ?? 0) << 8 | (bytes[at + 1] ?? 0));
  return remaining >= keysAt;
}

/** Whether the whole next record has arrived. */
function isWhole(from: ByteReader): boolean {
  const { bytes, offset, remaining } = from;
  if (remaining < RECORD_BYTES_MIN) return false;
  const flags = bytes[offset] as number;
  const lengthAt = 11 + (flags & SnapshotFlag.expires ? 6 : 0) +
    (flags & SnapshotFlag.version ? 6 : 0);
  if (remaining < lengthAt + 2) return false;
  const length = (bytes[offset + lengthAt] as number) << 8 |
    (bytes[offset + lengthAt + 1] as number);
  return remaining >= lengthAt + 2 + length;
}

function readRecord(from: ByteReader, state: RaKvState): void {
  const { keys, batches, expiries } = state;
  const flags = from.u8();
  const known = state.succession === FIRST_SUCCESSION ? 3 : 7;
  if ((flags & ~known) !== 0) throw refusal(`flags of a key are ${flags}`);
  const index = from.u48();
  const hash = from.u32();
  const expiresAtMs = flags & SnapshotFlag.expires ? from.u48() : 0;
  const version = flags & SnapshotFlag.version ? from.u48() : 0;
  const length = from.u16();
  if (length < 1 || length > RA_KV_KEY_BYTES_MAX) {
    throw refusal(`a key has ${length} bytes`);
  }
  const start = from.skip(length);
  const size = keys.size;
  const record = keys.findOrAdd(from.bytes, start, from.offset);
  if (keys.size === size) throw refusal("it has the same key twice");
  const inBatch = (flags & SnapshotFlag.batch) !== 0;
  const recordFlags = inBatch ? RecordFlag.batch : 0;
  keys.set(record, index, hash, recordFlags, expiresAtMs, version);
  if (inBatch) batches.set(index, (batches.get(index) ?? 0) + 1);
  if (expiresAtMs !== 0) expiries.add(record);
}

function joined(
  a: Uint8Array,
  b: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

function refusal(reason: string): WhorlError {
  return new WhorlError(
    "protocol_error",
    `Cannot read the state of ra_kv: ${reason}`,
  );
}
