/**
 * Which ring a member stood alone in before it joined. What it held then it still
 * has, in vnodes that are numbered by the generation of that ring. The cluster may
 * have had a ring of another size by this number, or none, if either was resized,
 * so the member says which one it means until it joins again.
 *
 * @module
 */
import { currentMembers, MemberMeta, memberMeta, type Ring } from "./ring.ts";
import {
  firstVnode,
  firstVnodeOf,
  readOrigin,
  type RingOrigin,
  textOfOrigin,
} from "./ring_generations.ts";

/** Where `node` comes from; `null` if it says nothing, as neither that ring nor the cluster's had been resized. */
export function originOf(ring: Ring, node: string): RingOrigin | null {
  return readOrigin(memberMeta(ring, node, MemberMeta.origin));
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

/** What a node that stands alone in `left` has to say of itself in `joined`; `null` for nothing. */
export function originText(left: Ring, joined: Ring): string | null {
  const { current } = left.ownership.generations;
  const { current: cluster } = joined.ownership.generations;
  return current === 0 && cluster === 0
    ? null
    : textOfOrigin({ generation: current, size: left.size });
}
