/**
 * Which ring a member stood alone in before it joined. What it held then it still
 * has, in vnodes that are numbered by the generation of that ring. The cluster may
 * have had a ring of another size by this number, or none, if either was resized,
 * so the member says which one it means until it joins again.
 *
 * @module
 */
import { currentMembers, MemberMeta, memberMeta, type Ring } from "./ring.ts";
import { RING_SIZE_MAX } from "./chash.ts";
import { hasConsistentBuckets } from "./consistent_buckets.ts";
import {
  firstVnode,
  firstVnodeOf,
  type RingOrigin,
  sizeOfGeneration,
} from "./ring_generations.ts";

/** Where `node` comes from; `null` if it says nothing, as neither that ring nor the cluster's had been resized. */
export function originOf(ring: Ring, node: string): RingOrigin | null {
  const said = memberMeta(ring, node, MemberMeta.origin);
  const match = typeof said === "string" ? /^(\d+)\/(\d+)$/.exec(said) : null;
  if (match === null) return null;
  const [generation, size] = [Number(match[1]), Number(match[2])];
  const isSize = size >= 1 && size <= RING_SIZE_MAX &&
    (size & (size - 1)) === 0;
  return isSize && Number.isSafeInteger(generation)
    ? { generation, size }
    : null;
}

/** As {@linkcode originOf} reads it. */
export function textOfOrigin({ generation, size }: RingOrigin): string {
  return `${generation}/${size}`;
}

/** Where all members come from, as far as they say so. */
export function originsIn(ring: Ring): RingOrigin[] {
  return [...ring.members.keys()].flatMap((node) => originOf(ring, node) ?? []);
}

/**
 * Members whose own vnodes, from before they came, have the numbers of other
 * partitions of this ring, sorted. No resize begins with a number that a known
 * member has used. But a claimant that is gone may have let somebody in of whom
 * its successor heard only after it had begun one.
 */
export function mistakenMembers(ring: Ring): string[] {
  return membersFrom(
    ring,
    (origin) => isOfResize(ring, origin) || isTakenForPresent(ring, origin),
  );
}

/** Whether vnodes of `origin` have the numbers of partitions of `ring` as it is, and are others. */
export function isTakenForPresent(ring: Ring, origin: RingOrigin): boolean {
  return firstVnodeOf(origin.generation) === firstVnode(ring) &&
    origin.size !== ring.size;
}

/** Those of {@linkcode mistakenMembers} whose vnodes have the numbers of the partitions to come: giving up the resize helps. */
export function mistakenInResize(ring: Ring): string[] {
  return membersFrom(ring, (origin) => isOfResize(ring, origin));
}

function membersFrom(
  ring: Ring,
  isMistaken: (origin: RingOrigin) => boolean,
): string[] {
  return currentMembers(ring).filter((node) => {
    const origin = originOf(ring, node);
    return origin !== null && isMistaken(origin);
  });
}

function isOfResize(ring: Ring, { generation }: RingOrigin): boolean {
  const { resize } = ring.ownership.generations;
  return resize !== null &&
    firstVnodeOf(generation) === firstVnodeOf(resize.generation);
}

/**
 * Which generation a node has gone by in `before` that is another one in `after`, the
 * ring of its cluster that it goes by now; `null` if there is none. Claimants of two
 * parts of a split cluster may each have begun a resize, and the ring is that of one
 * of them. What came to vnodes of the other's may have been acknowledged, so it goes
 * where it belongs as what a node comes with does. Where all that is left is copies
 * for a resize that was given up, the vnodes they came from have it. If the ring
 * goes back to an earlier phase of a resize that some have read by, the resize is to
 * be given up and begun anew, unless buckets are consistent: their groups have taken
 * over, and it goes on to its end.
 */
export function lostOrigin(before: Ring, after: Ring): RingOrigin | null {
  const { current, resize } = before.ownership.generations;
  const mayHave = [
    { generation: current, size: before.size, isRead: true },
    ...resize === null ? [] : [{
      generation: resize.generation,
      size: resize.owners.length,
      isRead: resize.phase === "reading",
    }],
  ];
  for (const { generation, size, isRead } of mayHave) {
    const sizeNow = sizeOfGeneration(after, generation);
    const isLost = sizeNow === undefined ||
      sizeNow !== size && (isRead || sizeNow !== 0) ||
      isRead && !isReadIn(after, generation) && !hasConsistentBuckets(after);
    if (isLost) return { generation, size };
  }
  return null;
}

/** Whether `generation` is, or was, that of a ring which was read. */
function isReadIn({ ownership: { generations } }: Ring, generation: number) {
  const { current, resize } = generations;
  return generation <= current ||
    generation === resize?.generation && resize.phase === "reading";
}

/** What a node that stands alone in `left` has to say of itself in `joined`; `null` for nothing. */
export function originText(left: Ring, joined: Ring): string | null {
  const { current } = left.ownership.generations;
  const { current: cluster } = joined.ownership.generations;
  return current === 0 && cluster === 0
    ? null
    : textOfOrigin({ generation: current, size: left.size });
}
