/**
 * A state of `ra_kv` as it was at one moment, encoded and with its live
 * entries, produced piece by piece while commands change the state:
 *
 *     u8 format 1 · u48 index of the latest command · u53 time · u32 keys
 *     per key: u8 flags (1 batch, 2 expires, 4 version) · u48 index · u32 hash
 *            · if it expires: u48 when · if it has a version: u48 · u16 bytes · key
 *
 * A group whose keys came from other groups, or have moved to others, uses
 * format 2: after the number of keys come u16 bytes · its succession
 * (`succession_codec.ts`). All members switch to it at the same entry.
 *
 * The keys are in no particular order: one that is about to change is written
 * first.
 *
 * @module
 */
import { ByteWriter } from "../base/byte_writer.ts";
import type { MachineView } from "../raft/machine.ts";
import { type KeyTable, RecordFlag } from "./key_table.ts";
import type { KeyTableView } from "./key_table_view.ts";

/** Most bytes in one piece of a snapshot: writing or reading it takes a millisecond or two. */
export const SNAPSHOT_PIECE_BYTES = 64 * 1024;
/** Format of a group without a succession. */
export const SNAPSHOT_FORMAT = 1;
/** Format of a group with a succession. */
export const SUCCESSION_FORMAT = 2;
/** Bytes before the first key; format 2 has its succession in between. */
export const SNAPSHOT_HEADER_BYTES = 19;
/** Flags of a key in a snapshot. */
export const SnapshotFlag = { batch: 1, expires: 2, version: 4 } as const;

/** No record is larger than this. */
const KEY_ROOM_BYTES = 2_048;

/** Encodes a state; see the module comment. */
export class RaKvStateView implements MachineView {
  readonly pieces: Iterable<Uint8Array<ArrayBuffer>> = this.#pieces();
  /**
   * Indexes of the entries that hold the values; that of a batch is repeated
   * for each of its keys. Complete once all pieces have been taken.
   */
  readonly live: Iterable<number> = {
    [Symbol.iterator]: () => this.#live.subarray(0, this.#visited).values(),
  };
  readonly #keys: KeyTable;
  readonly #view: KeyTableView;
  readonly #full: Uint8Array<ArrayBuffer>[] = [];
  #into: ByteWriter;
  readonly #live: Float64Array;
  #visited = 0;

  /** @param history The encoded succession, if there is one. */
  constructor(
    keys: KeyTable,
    timeMs: number,
    lastIndex: number,
    history?: Uint8Array,
  ) {
    this.#keys = keys;
    this.#view = keys.view((record) => this.#write(record));
    this.#live = new Float64Array(keys.size);
    this.#into = new ByteWriter(
      Math.min(SNAPSHOT_PIECE_BYTES, 64 + keys.keyBytes + keys.size * 19),
    );
    const into = this.#into;
    into.u8(history === undefined ? SNAPSHOT_FORMAT : SUCCESSION_FORMAT);
    into.u48(lastIndex);
    into.u53(timeMs);
    into.u32(keys.size);
    if (history !== undefined) {
      into.u16(history.length);
      into.raw(history);
    }
  }

  *#pieces(): Generator<Uint8Array<ArrayBuffer>> {
    while (this.#view.advance()) {
      for (
        let piece = this.#full.shift();
        piece !== undefined;
        piece = this.#full.shift()
      ) yield piece;
    }
    this.release();
    if (this.#into.length > 0) yield this.#into.view();
  }

  #write(record: number): void {
    const keys = this.#keys;
    const into = this.#into;
    const index = keys.indexOf(record);
    this.#live[this.#visited++] = index;
    const expiresAtMs = keys.expiryOf(record);
    const version = keys.versionOf(record);
    into.u8(
      (keys.flagsOf(record) & RecordFlag.batch ? SnapshotFlag.batch : 0) |
        (expiresAtMs === 0 ? 0 : SnapshotFlag.expires) |
        (version === 0 ? 0 : SnapshotFlag.version),
    );
    into.u48(index);
    into.u32(keys.valueHashOf(record));
    if (expiresAtMs !== 0) into.u48(expiresAtMs);
    if (version !== 0) into.u48(version);
    const key = keys.keyOf(record);
    into.u16(key.length);
    into.raw(key);
    if (into.length <= SNAPSHOT_PIECE_BYTES - KEY_ROOM_BYTES) return;
    this.#full.push(into.view());
    this.#into = new ByteWriter(SNAPSHOT_PIECE_BYTES);
  }

  release(): void {
    this.#keys.release(this.#view);
  }
}
