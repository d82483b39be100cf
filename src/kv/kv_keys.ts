/**
 * Listing the keys of a bucket: the coverage query, its answers, and how they
 * are combined into one list.
 *
 *     keys   bucket in UTF-8             chunk: packed keys
 *
 * A vnode answers with the keys of its partition in the order of their bytes.
 *
 * @module
 */
import { ByteWriter } from "../base/byte_writer.ts";
import { WhorlError } from "../base/errors.ts";
import type {
  Awaitable,
  PartitionStore,
  RowView,
} from "../environment/storage.ts";
import { partitionOf } from "../ring/chash.ts";
import type {
  CommandCodec,
  CommandDeclaration,
  KeySpaces,
} from "../vnode/vnode.ts";
import { bytesCodec, command } from "../vnode/define_vnode.ts";
import { BUCKET_BYTES_MAX, bucketPrefix } from "./key_limits.ts";
import { hasLiveValue } from "./kv_object.ts";
import { OBJECT_FORMAT } from "./kv_object_codec.ts";
import { packKey, placeAfter, unpackKeys } from "./packed_keys.ts";

/** A bucket, as bytes. */
const bucketCodec: CommandCodec<Uint8Array> = {
  encode: (bucket, into) => into.raw(bucket),
  decode(from) {
    const bucket = from.rest();
    if (bucket.length >= 1 && bucket.length <= BUCKET_BYTES_MAX) return bucket;
    throw new WhorlError(
      "invalid_key",
      `Cannot list a bucket as it must have 1 to ${BUCKET_BYTES_MAX} bytes: current value is ${bucket.length}`,
    );
  },
};

/** The coverage queries of `kv`, by name. */
export type KvCoverage = {
  readonly keys: CommandDeclaration<Uint8Array, Uint8Array>;
};

/** The coverage queries of `kv`. Their order is their number on the wire. */
export const kvCoverage: KvCoverage = {
  keys: command({ request: bucketCodec, reply: bytesCodec }),
};

/** The number of each coverage query on the wire. */
export const KvQuery = { keys: 0 } as const;

/**
 * The keys of `bucket` in a partition that have a value, packed; each chunk is
 * valid until the next is asked for. A key whose object is damaged is included:
 * another replica may know whether it has a value.
 */
export function* keysIn(
  storage: PartitionStore,
  bucket: Uint8Array,
  keySpaces: KeySpaces,
  ringSize: number,
  signal: AbortSignal,
): Generator<Awaitable<Uint8Array>> {
  const prefix = bucketPrefix(bucket);
  // UTF-8 never contains this byte, so all keys of the bucket sort before it.
  const end = new Uint8Array([...prefix, 0xff]);
  const packed = new ByteWriter(1024);
  const take = (bytes: Uint8Array, from: number, to: number): void => {
    const start = from + prefix.length;
    const wanted = keySpaces === null || keySpaces.has(
      partitionOf(bucket, bytes.subarray(start, to), ringSize),
    );
    if (wanted) packKey(packed, bytes, start, to);
  };
  const visit = (row: RowView): void => {
    const { valueBytes, valueStart } = row;
    if (
      valueBytes[valueStart] !== OBJECT_FORMAT ||
      hasLiveValue(valueBytes, valueStart)
    ) take(row.keyBytes, row.keyStart, row.keyEnd);
  };
  const rows = storage.rows({
    start: prefix,
    end,
    onCorrupt: (key) => take(key, 0, key.length),
  }, visit);
  let more = true;
  while (more && !signal.aborted) {
    packed.clear();
    const step = rows.next();
    // Even if it is empty, so that a vnode with many deleted keys is not taken
    // to be silent.
    if (step instanceof Promise) {
      yield step.then((answer) => {
        more = answer;
        return packed.view();
      });
    } else {
      more = step;
      if (more || packed.length > 0) yield packed.view();
    }
  }
}

/**
 * Combines the answers of vnodes into one list. If a vnode replaces one that
 * failed half-way, the keys that were listed already are skipped: both list
 * their keys in order, so these are all keys up to the last one of the failed
 * vnode.
 */
export class KeyList {
  /** The last key listed of each share. */
  readonly #last = new Map<number, Uint8Array>();

  /** The keys of one answer that have not been listed yet. @throws {WhorlError} `protocol_error`, or `invalid_key`. */
  take(
    part: number,
    repeats: number | undefined,
    chunks: Iterable<Uint8Array>,
  ): string[] {
    let said = this.#last.get(part);
    if (said === undefined && repeats !== undefined) {
      said = this.#last.get(repeats);
    }
    const texts: string[] = [];
    for (const chunk of chunks) {
      // Keys are in order, so none after the last one has been listed.
      const at = said === undefined ? 0 : placeAfter(chunk, said);
      said = unpackKeys(chunk, at, texts) ?? said;
    }
    // Even if all of it had been listed: a vnode that replaces this one must
    // know.
    if (said !== undefined) this.#last.set(part, said.slice());
    return texts;
  }
}
