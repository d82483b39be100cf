/**
 * Listing the keys of a bucket: what is asked of a vnode, what it answers, and
 * how one list is made of the answers of all.
 *
 *     keys   bucket in UTF-8             chunk: per key (u16 bytes · key in UTF-8)
 *
 * A vnode answers with the keys of its partition in the order of their bytes.
 *
 * @module
 */
import type { ByteReader } from "../base/byte_reader.ts";
import { compareBytes } from "../base/byte_order.ts";
import { WhorlError } from "../base/errors.ts";
import type { PartitionStore } from "../environment/storage.ts";
import { partitionOf } from "../ring/chash.ts";
import type { Codec, CommandDeclaration, KeySpaces } from "../vnode/vnode.ts";
import { command } from "../vnode/define_vnode.ts";
import { BUCKET_BYTES_MAX, bucketPrefix } from "./key_limits.ts";
import { hasLiveValue } from "./kv_object.ts";
import { OBJECT_FORMAT } from "./kv_object_codec.ts";

/** A bucket, as bytes. */
const bucketCodec: Codec<Uint8Array> = {
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

/** Some keys of a bucket, as bytes; decoded, they are views. */
const keyListCodec: Codec<readonly Uint8Array[]> = {
  encode(keys, into) {
    for (const key of keys) {
      into.u16(key.length);
      into.raw(key);
    }
  },
  decode(from: ByteReader) {
    const keys: Uint8Array[] = [];
    while (from.remaining > 0) keys.push(from.raw(from.u16()));
    return keys;
  },
};

/** The coverage queries of `kv`, by name. */
export type KvCoverage = {
  readonly keys: CommandDeclaration<Uint8Array, readonly Uint8Array[]>;
};

/** The coverage queries of `kv`. Their order is their number on the wire. */
export const kvCoverage: KvCoverage = {
  keys: command({ request: bucketCodec, reply: keyListCodec }),
};

/** The number of each coverage query on the wire. */
export const KvQuery = { keys: 0 } as const;

/**
 * The keys of `bucket` in a partition that have a value. One whose object cannot
 * be read is among them: whether it has one, another replica may know.
 */
export async function* keysIn(
  storage: PartitionStore,
  bucket: Uint8Array,
  keySpaces: KeySpaces,
  ringSize: number,
  signal: AbortSignal,
): AsyncGenerator<readonly Uint8Array[]> {
  const prefix = bucketPrefix(bucket);
  // No UTF-8 has such a byte, so all keys of the bucket come before it.
  const end = new Uint8Array([...prefix, 0xff]);
  let keys: Uint8Array[] = [];
  const take = (storageKey: Uint8Array): void => {
    const key = storageKey.subarray(prefix.length);
    const wanted = keySpaces === null ||
      keySpaces.has(partitionOf(bucket, key, ringSize));
    if (wanted) keys.push(key);
  };
  let damaged = false;
  const onCorrupt = (storageKey: Uint8Array): void => {
    damaged = true;
    take(storageKey.slice());
  };
  for await (const page of storage.pages({ start: prefix, end, onCorrupt })) {
    for (const { key, value } of page) {
      if (value[0] !== OBJECT_FORMAT || hasLiveValue(value)) take(key);
    }
    // They come ahead of the page they stand in.
    if (damaged) keys.sort(compareBytes);
    damaged = false;
    // Also if it is empty: a vnode among many deleted keys is not silent.
    yield keys;
    if (signal.aborted) return;
    keys = [];
  }
  if (damaged) yield keys.sort(compareBytes);
}

/**
 * Takes the answers of vnodes for one list. Where a vnode stands in for one that
 * failed in the middle, what that one has said is left out: as both say their
 * keys in order, it is all up to the last one it said.
 */
export class KeyList {
  /** The last key of each share. */
  readonly #last = new Map<number, Uint8Array>();

  /** The keys of one answer that have not been said. */
  *take(
    part: number,
    repeats: number | undefined,
    chunks: Iterable<readonly Uint8Array[]>,
  ): Generator<Uint8Array> {
    let said = this.#last.get(part);
    if (said === undefined && repeats !== undefined) {
      said = this.#last.get(repeats);
    }
    for (const keys of chunks) {
      let at = 0;
      if (said !== undefined) {
        const last = said;
        while (at < keys.length && compareBytes(keys[at]!, last) <= 0) at++;
      }
      // Each has its keys in order, so no later one was said.
      for (let i = at; i < keys.length; i++) yield keys[i]!;
      if (at < keys.length) said = keys.at(-1);
    }
    // Also if all of it had been said: whoever stands in for this one must know.
    if (said !== undefined) this.#last.set(part, said.slice());
  }
}
