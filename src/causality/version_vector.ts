/**
 * Version vectors: how many changes of each actor a value contains (Parker et
 * al., "Detection of Mutual Inconsistency in Distributed Systems", 1983).
 * Unlike riak's vector clocks they carry no timestamps, which only pruning
 * would need: the ring's never prune.
 *
 * @module
 */

/** Changes seen, by actor; an absent actor counts as 0. Never changed once made. */
export type VersionVector = ReadonlyMap<string, number>;

/** The version of a value nobody has changed yet. */
export const noVersion: VersionVector = new Map();

/** `version` with one more change by `actor`. */
export function incrementVersion(
  version: VersionVector,
  actor: string,
): VersionVector {
  return new Map(version).set(actor, (version.get(actor) ?? 0) + 1);
}

/** The least version that contains both. */
export function mergeVersions(
  a: VersionVector,
  b: VersionVector,
): VersionVector {
  if (versionDescends(a, b)) return a;
  if (versionDescends(b, a)) return b;
  const merged = new Map(a);
  for (const [actor, count] of b) {
    if (count > (merged.get(actor) ?? 0)) merged.set(actor, count);
  }
  return merged;
}

/** Whether `version` contains every change that `earlier` contains; true for equal ones. */
export function versionDescends(
  version: VersionVector,
  earlier: VersionVector,
): boolean {
  for (const [actor, count] of earlier) {
    if ((version.get(actor) ?? 0) < count) return false;
  }
  return true;
}

/** Whether both contain the same changes. */
export function sameVersion(a: VersionVector, b: VersionVector): boolean {
  return a === b || versionDescends(a, b) && versionDescends(b, a);
}
