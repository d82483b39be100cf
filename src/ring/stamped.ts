/**
 * Values with last write wins, the same one everywhere: each has a hybrid
 * timestamp made from the wall clock and the value it replaces, so a write
 * always beats what its writer saw, however far its clock is behind. riak_core
 * compares whole seconds and keeps whichever ring came first on a tie
 * (riak_core#855).
 *
 * @module
 */
import { compareTexts } from "../base/text_order.ts";
import {
  compareHybridStamps,
  type HybridStamp,
  hybridStart,
  tickHybrid,
} from "../causality/hybrid_logical_clock.ts";

/** A value of ring or member metadata; `null` marks a removed value. */
export type RingMetaValue = string | number | boolean | null;

/** A value with its stamp. */
export interface StampedMeta {
  /** What was written. */
  readonly value: RingMetaValue;
  /** When it was written, and by whom. */
  readonly stamp: HybridStamp;
}

/** Metadata by name. Immutable. */
export type RingMeta = ReadonlyMap<string, StampedMeta>;

/**
 * `meta` with `name` set to `value` by `node` at `wallMs`; `null` removes it.
 */
export function setMeta(
  meta: RingMeta,
  name: string,
  value: RingMetaValue,
  node: string,
  wallMs: number,
): RingMeta {
  const last = meta.get(name)?.stamp ?? hybridStart;
  return new Map(meta).set(name, {
    value,
    stamp: { ...tickHybrid(last, wallMs), node },
  });
}

/** The newest value of each name in either. */
export function mergeMeta(a: RingMeta, b: RingMeta): RingMeta {
  if (a === b) return a;
  let merged: Map<string, StampedMeta> | undefined;
  for (const [name, theirs] of b) {
    const ours = a.get(name);
    if (ours === undefined || compareStamped(theirs, ours) > 0) {
      merged ??= new Map(a);
      merged.set(name, theirs);
    }
  }
  return merged ?? a;
}

function compareStamped(a: StampedMeta, b: StampedMeta): number {
  return compareHybridStamps(a.stamp, b.stamp) ||
    // A writer never gives two values one stamp; a broken one must not split
    // the cluster.
    (a.value === b.value
      ? 0
      : compareTexts(JSON.stringify(a.value), JSON.stringify(b.value)));
}
