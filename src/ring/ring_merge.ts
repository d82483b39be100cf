/**
 * Merges two rings of one cluster: commutative, associative and idempotent, so
 * that members that learn of the same changes have the same ring, in whatever
 * order and however often they learn of them.
 *
 * riak_core compares the clocks of whole rings and, when they diverge, picks
 * parts (`riak_core_ring:reconcile/2`). Here each part is a join of its own, so
 * "the newer ring wins" needs no special case: it follows from joining parts
 * one of which contains the other, and diverged rings lose nothing.
 *
 * @module
 */
import { invariant } from "../base/invariant.ts";
import { compareTexts } from "../base/text_order.ts";
import {
  mergeVersions,
  type VersionVector,
} from "../causality/version_vector.ts";
import {
  type MemberStatusDot,
  type Ring,
  type RingMember,
  type RingOwnership,
  sameCluster,
  type TransferProgress,
} from "./ring.ts";
import { mergeMeta } from "./stamped.ts";

/**
 * The ring that contains everything in both. Callers check `sameCluster` first.
 */
export function mergeRings(a: Ring, b: Ring): Ring {
  if (a === b) return a;
  invariant(sameCluster(a, b), "only rings of one cluster are merged");
  const ownership = compareOwnership(a.ownership, b.ownership) >= 0
    ? a.ownership
    : b.ownership;
  const merged: Ring = {
    clusterName: a.clusterName,
    clusterId: a.clusterId,
    size: ownership.owners.length,
    clock: mergeVersions(a.clock, b.clock),
    members: mergeMaps(a.members, b.members, mergeMembers),
    ownership,
    progress: mergeMaps(a.progress, b.progress, mergeProgress),
    seen: mergeMaps<string, VersionVector>(a.seen, b.seen, mergeVersions),
    meta: mergeMeta(a.meta, b.meta),
  };
  return sameParts(merged, a) ? a : sameParts(merged, b) ? b : merged;
}

function sameParts(a: Ring, b: Ring): boolean {
  return a.clusterName === b.clusterName && a.clusterId === b.clusterId &&
    a.size === b.size && a.clock === b.clock && a.members === b.members &&
    a.ownership === b.ownership && a.progress === b.progress &&
    a.seen === b.seen && a.meta === b.meta;
}

/**
 * The join of each value. If one side adds nothing, the other is returned as
 * the same object, here as in all joins below: most rings that arrive bring
 * nothing new, and cached encodings are found by identity.
 */
function mergeMaps<K, V>(
  a: ReadonlyMap<K, V>,
  b: ReadonlyMap<K, V>,
  merge: (a: V, b: V) => V,
): ReadonlyMap<K, V> {
  if (a === b) return a;
  let merged: Map<K, V> | undefined;
  let isTheirs = true;
  for (const [key, theirs] of b) {
    const ours = a.get(key);
    const joined = ours === undefined ? theirs : merge(ours, theirs);
    if (joined !== ours) (merged ??= new Map(a)).set(key, joined);
    if (joined !== theirs) isTheirs = false;
  }
  if (merged === undefined) return a;
  return isTheirs && merged.size === b.size ? b : merged;
}

/**
 * A dot survives if both know it, or if the other has never heard of it: a dot
 * that the other has heard of and no longer has was superseded there.
 */
function mergeMembers(a: RingMember, b: RingMember): RingMember {
  if (a === b) return a;
  const clock = mergeVersions(a.clock, b.clock);
  const meta = mergeMeta(a.meta, b.meta);
  const dots = [
    ...a.dots.filter((dot) => hasDot(b, dot) || !contains(b.clock, dot)),
    ...b.dots.filter((dot) => !hasDot(a, dot) && !contains(a.clock, dot)),
  ].sort((x, y) => compareTexts(x.actor, y.actor) || x.counter - y.counter);
  return clock === a.clock && meta === a.meta && sameItems(dots, a.dots)
    ? a
    : { clock, dots, meta };
}

function hasDot(member: RingMember, dot: MemberStatusDot): boolean {
  return member.dots.some((other) =>
    other.actor === dot.actor && other.counter === dot.counter
  );
}

function contains(clock: VersionVector, dot: MemberStatusDot): boolean {
  return (clock.get(dot.actor) ?? 0) >= dot.counter;
}

/**
 * The later claimant wins, then the later version. Two nodes that took over
 * from the same claimant in different parts of a split cluster have the same
 * term; the version and then the name decide, and the loser's ring becomes the
 * winner's.
 */
export function compareOwnership(a: RingOwnership, b: RingOwnership): number {
  if (a === b) return 0;
  return a.term - b.term || a.version - b.version ||
    compareTexts(a.claimant, b.claimant) ||
    // A claimant stores before it publishes, so it never gives one version two
    // contents; a broken one must not split the cluster.
    compareTexts(JSON.stringify(a), JSON.stringify(b));
}

/**
 * Progress of the later transfer; of the same term and version, everything that
 * either knows, also about different decisions.
 */
function mergeProgress(
  a: TransferProgress,
  b: TransferProgress,
): TransferProgress {
  const order = a.term - b.term || a.version - b.version;
  if (order !== 0) return order > 0 ? a : b;
  const decisions = joinTexts(a.decisions, b.decisions);
  const completedModules = joinTexts(a.completedModules, b.completedModules);
  const complete = a.complete || b.complete;
  return complete === a.complete && decisions === a.decisions &&
      completedModules === a.completedModules
    ? a
    : {
      term: a.term,
      version: a.version,
      decisions,
      completedModules,
      complete,
    };
}

/** The texts in either, sorted; `a` itself if it has all of them. */
function joinTexts(
  a: readonly string[],
  b: readonly string[],
): readonly string[] {
  return b.every((text) => a.includes(text))
    ? a
    : [...new Set([...a, ...b])].sort();
}

function sameItems<Item>(a: readonly Item[], b: readonly Item[]): boolean {
  return a.length === b.length && a.every((item, i) => item === b[i]);
}
