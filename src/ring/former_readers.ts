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
 * @module
 */
import { activeMembers, requestersBehind, type Ring } from "./ring.ts";
import { ageOfVnode } from "./ring_generations.ts";

/** What one node knows of those who ask it; it has one owner and changes in place. */
export interface FormerReaders {
  /** The ring it goes by; `null` before the first. */
  ring: Ring | null;
  /** Those it knew when it went by the present phase, and has known ever since. */
  waitedFor: ReadonlySet<string>;
  /** Those that are known to go by that, too. */
  readonly aware: Set<string>;
}

/** Nothing is known yet. */
export function createFormerReaders(): FormerReaders {
  return { ring: null, waitedFor: new Set(), aware: new Set() };
}

/** This node goes by `ring`, and has said so to nobody. */
export function followRing(readers: FormerReaders, ring: Ring): void {
  const { ring: before, aware } = readers;
  readers.ring = ring;
  const isSame = before !== null &&
    generationRead(before) === generationRead(ring);
  readers.waitedFor = waitedForIn(readers, before, ring);
  if (!isSame) aware.clear();
  heard(readers, ring);
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
  if (generationRead(current) === generationRead(ring)) heard(readers, current);
  return aware.has(node);
}

function heard({ aware }: FormerReaders, ring: Ring): void {
  if (generationRead(ring) === 0) return;
  const behind = requestersBehind(ring);
  for (const node of activeMembers(ring)) {
    if (!behind.includes(node)) aware.add(node);
  }
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
