/**
 * Values of which the last write wins, the same one everywhere: each carries a
 * hybrid timestamp (Kulkarni et al., "Logical Physical Clocks", 2014), made from
 * the wall clock and from the value it replaces, so a write always beats what
 * its writer saw, however far its clock is behind. riak_core compares whole
 * seconds and keeps whichever ring came first on a tie (riak_core#855).
 *
 * @module
 */

/** What can be kept as ring or member metadata; `null` marks a removed value. */
export type MetaValue = string | number | boolean | null;

/** When, and by whom, a value was written. Totally ordered. */
export interface Stamp {
  /** Wall clock in milliseconds, never behind the value that was replaced. */
  readonly wallMs: number;
  /** Orders writes within one millisecond. */
  readonly count: number;
  /** The node that wrote; settles what is left. */
  readonly node: string;
}

/** A value with its stamp. */
export interface Stamped {
  readonly value: MetaValue;
  readonly stamp: Stamp;
}

/** Metadata by name. Never changed once made. */
export type Meta = ReadonlyMap<string, Stamped>;

/** `meta` with `name` set to `value` by `node` at `wallMs`; `null` removes it for good. */
export function setMeta(
  meta: Meta,
  name: string,
  value: MetaValue,
  node: string,
  wallMs: number,
): Meta {
  const before = meta.get(name)?.stamp;
  const stamp = before === undefined || wallMs > before.wallMs
    ? { wallMs, count: 0, node }
    : { wallMs: before.wallMs, count: before.count + 1, node };
  return new Map(meta).set(name, { value, stamp });
}

/** The newest value of each name in either. */
export function mergeMeta(a: Meta, b: Meta): Meta {
  if (a === b) return a;
  const merged = new Map(a);
  for (const [name, theirs] of b) {
    const ours = merged.get(name);
    if (ours === undefined || compareStamped(theirs, ours) > 0) {
      merged.set(name, theirs);
    }
  }
  return merged;
}

function compareStamped(a: Stamped, b: Stamped): number {
  return a.stamp.wallMs - b.stamp.wallMs || a.stamp.count - b.stamp.count ||
    compareTexts(a.stamp.node, b.stamp.node) ||
    // One writer never gives two values one stamp; a broken one must not split the cluster.
    compareTexts(JSON.stringify(a.value), JSON.stringify(b.value));
}

/** Orders by UTF-16 units, the same on every machine. */
export function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
