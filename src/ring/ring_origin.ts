/**
 * Which ring a member was alone in before it joined. It still has the data it
 * held then, in vnodes numbered by the generation of that ring. If either ring
 * was resized, the cluster may have used that generation for a ring of another
 * size, or not at all, so the member publishes which one it means until it
 * joins again. It does the same for rings it has used since and that another
 * claimant has not (`lost_origin.ts`).
 *
 * @module
 */
import { currentMembers, MemberMeta, memberMeta, type Ring } from "./ring.ts";
import {
  firstVnode,
  firstVnodeOf,
  GENERATIONS_KEPT,
  readOrigin,
  type RingOrigin,
  textOfOrigin,
} from "./ring_generations.ts";

/**
 * The ring that `node` comes from; `null` if it publishes none, since neither
 * that ring nor the cluster's had been resized.
 */
export function originOf(ring: Ring, node: string): RingOrigin | null {
  return readOrigin(memberMeta(ring, node, MemberMeta.origin));
}

/**
 * Most rings that a member names besides the one it comes from: there are no
 * more numbers for their vnodes.
 */
export const LOST_ORIGINS_MAX = GENERATIONS_KEPT;

/**
 * All rings of which `node` may have vnodes that this one lacks or numbers
 * differently: first the one it comes from.
 */
export function originsOf(ring: Ring, node: string): RingOrigin[] {
  const text = memberMeta(ring, node, MemberMeta.lostOrigins);
  const lost = typeof text === "string" ? text.split(" ") : [];
  return [
    originOf(ring, node),
    ...lost.slice(0, LOST_ORIGINS_MAX).map(readOrigin),
  ].filter((origin) => origin !== null);
}

/** Origins as member metadata; of too many, the first ones. */
export function originFacts(
  [origin, ...lost]: readonly RingOrigin[],
): { readonly origin: string | null; readonly lostOrigins: string | null } {
  return {
    origin: origin === undefined ? null : textOfOrigin(origin),
    // Versions that do not know these would read a list as none at all.
    lostOrigins: lost.length === 0
      ? null
      : lost.slice(0, LOST_ORIGINS_MAX).map(textOfOrigin).join(" "),
  };
}

/** All {@linkcode originsOf} members, as far as published. */
export function originsIn(ring: Ring): RingOrigin[] {
  return [...ring.members.keys()].flatMap((node) => originsOf(ring, node));
}

/**
 * Members whose own vnodes, from before they joined, have the numbers of other
 * partitions of this ring, sorted. No resize begins with a number that a known
 * member has used, but a former claimant may have admitted a node of which its
 * successor learned only after it had begun one.
 */
export function mistakenMembers(ring: Ring): string[] {
  return membersFrom(
    ring,
    (origin) => isOfResize(ring, origin) || isTakenForPresent(ring, origin),
  );
}

/**
 * Whether vnodes of `origin` have the numbers of partitions of the current
 * `ring`, but are different ones.
 */
export function isTakenForPresent(ring: Ring, origin: RingOrigin): boolean {
  return firstVnodeOf(origin.generation) === firstVnode(ring) &&
    origin.size !== ring.size;
}

/**
 * Those of {@linkcode mistakenMembers} whose vnodes have the numbers of future
 * partitions: aborting the resize helps.
 */
export function mistakenInResize(ring: Ring): string[] {
  return membersFrom(ring, (origin) => isOfResize(ring, origin));
}

function membersFrom(
  ring: Ring,
  isMistaken: (origin: RingOrigin) => boolean,
): string[] {
  return currentMembers(ring).filter((node) =>
    originsOf(ring, node).some(isMistaken)
  );
}

function isOfResize(ring: Ring, { generation }: RingOrigin): boolean {
  const { resize } = ring.ownership.generations;
  return resize !== null &&
    firstVnodeOf(generation) === firstVnodeOf(resize.generation);
}

/**
 * What a node that was alone in `left` has to publish in `joined`; `null` for
 * nothing.
 */
export function originText(left: Ring, joined: Ring): string | null {
  const { current } = left.ownership.generations;
  const { current: cluster } = joined.ownership.generations;
  return current === 0 && cluster === 0
    ? null
    : textOfOrigin({ generation: current, size: left.size });
}
