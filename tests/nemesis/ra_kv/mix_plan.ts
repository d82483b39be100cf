/**
 * What is done in a mix, drawn from a seed: the operations of ra's `ra_kv_harness`
 * and how often each of them comes. Which nodes there are to choose from is known
 * only when an operation is done, so that it says at which place it chooses.
 *
 * @module
 */
import type { Chance } from "../../../src/base/chance.ts";

/** Of a hundred operations. */
export const MIX_PERCENT = {
  put: 68,
  get: 20,
  snapshot: 4,
  compaction: 2,
  mass_update: 1,
  add_member: 1,
  remove_member: 1,
  kill_wal: 1,
  kill_member: 1,
  partition: 1,
} as const;

/** A kind of operation. */
export type MixKind = keyof typeof MIX_PERCENT;

/** All kinds. */
export const MIX_KINDS = Object.keys(MIX_PERCENT) as MixKind[];

/** Keys that a mix has. */
export const MIX_KEYS: readonly string[] = Array.from(
  { length: 100 },
  (_, i) => `k${i}`,
);

/** An operation. */
export interface MixOperation {
  readonly kind: MixKind;
  /** What is written or read. */
  readonly key: string;
  /** Who reads. */
  readonly from: "leader" | "local";
  /** At which place of those that can be chosen its node stands, from 0 to below 1. */
  readonly place: number;
  /** The same for the node that is asked. */
  readonly askedPlace: number;
  /** How long it lasts, of the time such a thing may last, from 0 to below 1. */
  readonly length: number;
}

/** Draws one; each takes as much of the chance as any other. */
export function drawMixOperation(chance: Chance): MixOperation {
  return {
    kind: kindAt(chance.below(100)),
    key: chance.pick(MIX_KEYS),
    from: chance.chance(0.5) ? "local" : "leader",
    place: chance.next(),
    askedPlace: chance.next(),
    length: chance.next(),
  };
}

function kindAt(percent: number): MixKind {
  let sum = 0;
  for (const kind of MIX_KINDS) {
    sum += MIX_PERCENT[kind];
    if (percent < sum) return kind;
  }
  throw new RangeError(`There are ${sum} of a hundred, and none at ${percent}`);
}

/** The item at `place`; `undefined` if there is none. */
export function itemAt<T>(items: readonly T[], place: number): T | undefined {
  return items[Math.floor(place * items.length)];
}
