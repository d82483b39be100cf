/**
 * The objects of `kv` seen from outside: the dots they hold, and what each
 * replica of a key has on its disk.
 *
 * @module
 */
import { equalBytes } from "../base/byte_order.ts";
import { shortAscii } from "../base/byte_text.ts";
import { parseStorageKey } from "../kv/key_limits.ts";
import { mergeObjects } from "../kv/kv_object.ts";
import {
  ACTOR_BYTES,
  ENTRY_BYTES,
  OBJECT_HEADER_BYTES,
  readSiblings,
  readU16,
  readU48,
  SiblingFlag,
  siblingsStart,
} from "../kv/kv_object_codec.ts";
import { partitionOf } from "../ring/chash.ts";
import type { DotSighting } from "./checkers/dots.ts";
import type { StoredValue } from "./finished_run.ts";

const decoder = new TextDecoder();

/** The name of a key of `kv` in histories: bucket and key. */
export function historyKey(bucket: string, key: string): string {
  return `${bucket}/${key}`;
}

/** The dots of the values in an object, each with its sibling. */
export function dotsOf(
  storageKey: Uint8Array,
  object: Uint8Array,
  place: string,
): DotSighting[] {
  const { bucket, key } = parseStorageKey(storageKey);
  const dots: DotSighting[] = [];
  const siblings = readSiblings(object);
  const end = siblingsStart(object);
  let next = 0;
  for (let at = OBJECT_HEADER_BYTES; at < end; at += ENTRY_BYTES) {
    const actor = object.subarray(at, at + ACTOR_BYTES).toHex();
    const counter = readU48(object, at + ACTOR_BYTES);
    // The siblings of an actor have its newest dots, newest first.
    for (let i = 0; i < readU16(object, at + ACTOR_BYTES + 6); i++) {
      const sibling = siblings[next++];
      if (sibling === undefined) return dots;
      dots.push({
        key: historyKey(bucket, key),
        actor,
        counter: counter - i,
        value: `${sibling.flags} ${sibling.lastModified} ${
          textOf(sibling.value)
        }`,
        place,
      });
    }
  }
  return dots;
}

/** The values of an object as in histories: JSON text, no tombstones. */
export function valuesOf(object: Uint8Array): string[] {
  return readSiblings(object)
    .filter(({ flags }) => !(flags & SiblingFlag.tombstone))
    .map(({ value }) => textOf(value));
}

function textOf(value: Uint8Array): string {
  return shortAscii(value) ?? decoder.decode(value);
}

/** What is stored of one key, across the cluster. */
export interface KeyReplicas {
  readonly bucket: string;
  readonly key: string;
  /** What each of its primaries stores; undefined if nothing. */
  readonly primaries: ReadonlyMap<string, Uint8Array | undefined>;
  /** Primaries that hold a damaged value. */
  readonly damaged: readonly string[];
  /**
   * Where it is stored in a partition that is not one of its own, whoever owns
   * that.
   */
  readonly misplaced: readonly string[];
  /**
   * Everything stored of it anywhere, including copies on fallbacks, merged.
   */
  readonly merged: Uint8Array | undefined;
}

/**
 * Groups what is stored by key.
 *
 * @param owners Host of the owner of each partition.
 */
export function replicasByKey(
  stored: readonly StoredValue[],
  owners: readonly string[],
  n: number,
): ReadonlyMap<string, KeyReplicas> {
  const found = new Map<string, {
    bucket: string;
    key: string;
    primaries: Map<string, Uint8Array | undefined>;
    damaged: string[];
    misplaced: string[];
    merged: Uint8Array | undefined;
    /** The first partition of its preference list. */
    first: number;
  }>();
  for (const { host, partition, key: storageKey, value } of stored) {
    const { bucket, key } = parseStorageKey(storageKey);
    const name = historyKey(bucket, key);
    let replicas = found.get(name);
    if (replicas === undefined) {
      const primaries = new Map<string, Uint8Array | undefined>();
      const first = partitionOf(bucket, key, owners.length);
      for (let i = 0; i < n; i++) {
        const place = (first + i) % owners.length;
        primaries.set(`${owners[place]}/${place}`, undefined);
      }
      replicas = {
        bucket,
        key,
        primaries,
        damaged: [],
        misplaced: [],
        merged: undefined,
        first,
      };
      found.set(name, replicas);
    }
    const place = `${host}/${partition}`;
    const steps = (partition - replicas.first + owners.length) % owners.length;
    if (steps >= n) {
      replicas.misplaced.push(place);
    }
    if (replicas.primaries.has(place)) {
      if (value === undefined) replicas.damaged.push(place);
      else replicas.primaries.set(place, value);
    }
    if (value === undefined) continue;
    const { merged } = replicas;
    if (merged === undefined) replicas.merged = value;
    else if (!equalBytes(merged, value)) {
      replicas.merged = mergeObjects(merged, value);
    }
  }
  return found;
}
