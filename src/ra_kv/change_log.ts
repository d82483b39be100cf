/**
 * The latest changes of one store, in log order: what watchers are told. Each
 * member keeps them beside its state, not in it: a member that was given a
 * snapshot starts with none, and tells a watcher that wants to continue from an
 * earlier index.
 *
 * @module
 */
import { ByteWriter } from "../base/byte_writer.ts";

/** What happened to a key. Numbers are part of the wire format. */
export const ChangeKind = {
  put: 1,
  delete: 2,
  /** Its time was up. */
  expire: 3,
} as const;

/** One of {@linkcode ChangeKind}. */
export type ChangeKind = typeof ChangeKind[keyof typeof ChangeKind];

/** A change, valid only while it is visited. */
export interface Change {
  /** Index of its entry. */
  index: number;
  kind: ChangeKind;
  /** The key is `bytes[start, end)`, valid during the visit only. */
  bytes: Uint8Array<ArrayBuffer>;
  start: number;
  end: number;
}

/** Most changes that are kept; the oldest are dropped a part at a time. */
export const CHANGES_KEPT_MAX = 8_192;
const PART_CHANGES_MAX = 1_024;
const PART_CHANGES_MIN = 32;
/** Bytes of keys after which a part counts as full. */
const PART_BYTES_MAX = 64 * 1024;

/** Consecutive changes. */
interface Part {
  readonly indexes: Float64Array;
  readonly kinds: Uint8Array;
  /** Where each key ends in `keys`. */
  readonly ends: Uint32Array;
  readonly keys: ByteWriter;
  count: number;
}

/** The latest changes; see the module comment. */
export class ChangeLog {
  readonly #parts: Part[] = [];
  #floor: number;

  /** @param floor Changes up to this index are unknown. */
  constructor(floor: number) {
    this.#floor = floor;
  }

  /** Changes up to this index may be missing; all later ones are here. */
  get floor(): number {
    return this.#floor;
  }

  /** Adds a change of the key `bytes[start, end)`; indexes never decrease. */
  add(
    index: number,
    kind: ChangeKind,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    let part = this.#parts[this.#parts.length - 1];
    if (
      part === undefined || part.count === part.indexes.length ||
      part.keys.length > PART_BYTES_MAX
    ) part = this.#nextPart(part);
    part.keys.rawRange(bytes, start, end);
    part.indexes[part.count] = index;
    part.kinds[part.count] = kind;
    part.ends[part.count++] = part.keys.length;
  }

  /**
   * Shows `visit` the changes after `index`, in order, until it returns false.
   * `index` must not be below the floor.
   */
  visitAfter(index: number, visit: (change: Change) => boolean): void {
    const change: Change = {
      index: 0,
      kind: ChangeKind.put,
      bytes: new Uint8Array(0),
      start: 0,
      end: 0,
    };
    for (const part of this.#parts) {
      const { count, indexes, kinds, ends, keys } = part;
      if ((indexes[count - 1] as number) <= index) continue;
      for (let at = firstAfter(indexes, count, index); at < count; at++) {
        change.index = indexes[at] as number;
        change.kind = kinds[at] as ChangeKind;
        change.bytes = keys.bytes;
        change.start = at === 0 ? 0 : ends[at - 1] as number;
        change.end = ends[at] as number;
        if (!visit(change)) return;
      }
    }
  }

  #nextPart(last: Part | undefined): Part {
    // Most stores change little, so the first part is small.
    const capacity = last === undefined
      ? PART_CHANGES_MIN
      : Math.min(PART_CHANGES_MAX, last.indexes.length * 2);
    const part: Part = {
      indexes: new Float64Array(capacity),
      kinds: new Uint8Array(capacity),
      ends: new Uint32Array(capacity),
      keys: new ByteWriter(capacity * 8),
      count: 0,
    };
    this.#parts.push(part);
    if (this.#parts.length * PART_CHANGES_MAX > CHANGES_KEPT_MAX) {
      const dropped = this.#parts.shift() as Part;
      this.#floor = dropped.indexes[dropped.count - 1] as number;
    }
    return part;
  }
}

/** Position of the first of `count` ascending `indexes` that is above `index`. */
function firstAfter(
  indexes: Float64Array,
  count: number,
  index: number,
): number {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((indexes[middle] as number) <= index) low = middle + 1;
    else high = middle;
  }
  return low;
}
