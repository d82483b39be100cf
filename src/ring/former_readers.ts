/**
 * Which nodes may still ask vnodes of a ring that is read no more, or about to be
 * (`ring_resize.ts`): one that has not heard of that would miss what others write
 * to the resized ring alone.
 *
 * Members learn of the phase `reading` one after the other, and the claimant gives
 * the ring its new size when all have. It waits for those that it knows. A node may
 * have been let in by a claimant of before, though, of which nobody has heard, or
 * have been declared down and be back. So each owner goes by its own word: in the
 * ring that it says to know, it knows who is waited for. It answers those that it
 * knew when it went by that phase, and others once it knows them to know of it. As
 * every quorum of the former ring has such an owner, it reads nothing old.
 *
 * A node knows of a phase if it has said to have seen all changes up to there.
 * That news changes no ring, but stands in the next one.
 *
 * @module
 */
import {
  noVersion,
  versionDescends,
  type VersionVector,
} from "../causality/version_vector.ts";
import { activeMembers, type Ring } from "./ring.ts";
import { ageOfVnode } from "./ring_generations.ts";

/** What one node knows of those who ask it; it has one owner and changes in place. */
export interface FormerReaders {
  /** The ring it goes by; `null` before the first. */
  ring: Ring | null;
  /** The clock of the first ring it went by that is read as this one. */
  since: VersionVector;
  /** Those it knew when it went by the present phase, and has known ever since. */
  waitedFor: ReadonlySet<string>;
  /** Those that are known to go by that, too. */
  readonly aware: Set<string>;
}

/** Nothing is known yet. */
export function createFormerReaders(): FormerReaders {
  return {
    ring: null,
    since: noVersion,
    waitedFor: new Set(),
    aware: new Set(),
  };
}

/** This node goes by `ring`, and has said so to nobody. */
export function followRing(readers: FormerReaders, ring: Ring): void {
  const { ring: before, aware } = readers;
  // Who has come to know of the ring before says the one that follows it.
  if (before !== null) hear(readers, ring);
  readers.waitedFor = waitedForIn(readers, before, ring);
  readers.ring = ring;
  if (
    before?.clusterId.seed === ring.clusterId.seed &&
    generationRead(before) === generationRead(ring)
  ) return;
  readers.since = ring.clock;
  aware.clear();
  hear(readers, ring);
}

function waitedForIn(
  { waitedFor, aware }: FormerReaders,
  before: Ring | null,
  ring: Ring,
): ReadonlySet<string> {
  const active = activeMembers(ring);
  if (before === null || before.clusterId.seed !== ring.clusterId.seed) {
    // Who had heard of what when this node was here last is not known.
    return new Set(generationRead(ring) === 0 ? active : []);
  }
  if (hasMissed(before, ring)) return new Set();
  // While there is one ring only, nobody can be behind.
  if (generationRead(before) === 0) return new Set(active);
  const isNext = generationRead(before) !== generationRead(ring);
  return new Set(
    active.filter((node) => waitedFor.has(node) || isNext && aware.has(node)),
  );
}

/** Whether this node has not been there when members came to read as in `ring`. */
function hasMissed(before: Ring, ring: Ring): boolean {
  return generationRead(ring) > generationRead(before) &&
    ring.ownership.generations.resize?.phase !== "reading";
}

/**
 * Whether `node` may ask the vnode with this number of this node.
 *
 * @param current The ring as it is known by now, maybe not stored.
 */
export function mayAsk(
  readers: FormerReaders,
  node: string,
  vnode: number,
  current: Ring,
): boolean {
  const { ring, waitedFor, aware } = readers;
  if (ring === null || !isReadNoMore(ring, vnode)) return true;
  if (waitedFor.has(node) || aware.has(node)) return true;
  const knows = generationRead(current) === generationRead(ring) &&
    knowsOf(readers, node, current) && activeMembers(current).includes(node);
  if (knows) aware.add(node);
  return knows;
}

function hear(readers: FormerReaders, ring: Ring): void {
  for (const node of activeMembers(ring)) {
    if (knowsOf(readers, node, ring)) readers.aware.add(node);
  }
}

/** Whether `node` knows how this node reads, by what it has said to whoever made `ring`. */
function knowsOf({ since }: FormerReaders, node: string, ring: Ring): boolean {
  return versionDescends(ring.seen.get(node) ?? noVersion, since);
}

/** The generation by which members read that know of `ring`. */
function generationRead({ ownership: { generations } }: Ring): number {
  const { current, resize } = generations;
  return resize?.phase === "reading" ? resize.generation : current;
}

function isReadNoMore(ring: Ring, vnode: number): boolean {
  const age = ageOfVnode(ring, vnode);
  const { resize } = ring.ownership.generations;
  return age === "former" || age === "present" && resize?.phase === "reading";
}
