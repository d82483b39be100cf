/**
 * Which nodes may still ask vnodes of a ring that is no longer read, or about
 * to be (`ring_resize.ts`): a node that has not heard of that would miss what
 * others write to the resized ring alone.
 *
 * Members learn of the phase `reading` one after the other, and the claimant
 * gives the ring its new size when all have. It waits for the members that it
 * knows. But a former claimant may have admitted a node of which nobody has
 * heard, or a node may have been declared down and be back. So each owner
 * relies on its own knowledge: from the ring that it has acknowledged it knows
 * who is waited for. It answers nodes that it knew when it entered that phase,
 * and others once it knows that they know of the phase. Since every quorum of
 * the former ring contains such an owner, no quorum reads old data.
 *
 * A node knows of a phase if it is known to have seen all changes up to it.
 * That does not change the ring at once, but is part of the next one.
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

/**
 * What one node knows of those that ask it; it has one owner and changes in
 * place.
 */
export interface FormerReaders {
  /** The ring it uses; `null` before the first. */
  ring: Ring | null;
  /**
   * The clock of the first ring it used that is read in the same way as this
   * one.
   */
  since: VersionVector;
  /**
   * Nodes it knew when it entered the current phase, and has known ever since.
   */
  waitedFor: ReadonlySet<string>;
  /** Nodes that are known to have entered it too. */
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

/** This node uses `ring`, and has told nobody yet. */
export function followRing(readers: FormerReaders, ring: Ring): void {
  const { ring: before, aware } = readers;
  // The next ring shows which nodes have learned of the previous one.
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
    // What others knew when this node was last running is unknown.
    return new Set(generationRead(ring) === 0 ? active : []);
  }
  if (hasMissed(before, ring)) return new Set();
  // While there is only one ring, nobody can be behind.
  if (generationRead(before) === 0) return new Set(active);
  const isNext = generationRead(before) !== generationRead(ring);
  return new Set(
    active.filter((node) => waitedFor.has(node) || isNext && aware.has(node)),
  );
}

/** Whether this node was away when members began to read as in `ring`. */
function hasMissed(before: Ring, ring: Ring): boolean {
  return generationRead(ring) > generationRead(before) &&
    ring.ownership.generations.resize?.phase !== "reading";
}

/**
 * Whether `node` may ask the vnode with this number on this node.
 *
 * @param current The newest known ring, which may not be stored yet.
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

/** Whether `node` knows how this node reads, according to `ring`. */
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
