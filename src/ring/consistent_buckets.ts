/**
 * Which buckets are consistent, and the ensemble that decides about the others:
 * both stand in the ring's metadata, so that every member knows them durably, and
 * no node serves such a bucket in another way.
 *
 *     consistent.bucket/NAME   true, for good
 *     consistent.root          the root ensemble: u48 id, its first members, and
 *                              whether all of them have been made
 *     consistent.taken_over    generation and size of the ring whose groups take over,
 *                              or have, as `1/16`: from then on there is no way back
 *
 * A bucket has an entry of its own, so that a merge of two rings loses none. That
 * groups take over is said here, too, and not by the claimant's part of the ring
 * alone: of two claimants in different parts of a cluster, one knows better.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import { compareTexts } from "../base/text_order.ts";
import {
  currentMembers,
  memberStatus,
  membersWith,
  type Ring,
} from "./ring.ts";
import { putRingMeta } from "./ring_change.ts";
import {
  readOrigin,
  type RingOrigin,
  textOfOrigin,
} from "./ring_generations.ts";

/** Most consistent buckets of a cluster: each is an entry of the ring. */
export const CONSISTENT_BUCKETS_MAX = 64;
/** Longest name of a consistent bucket, in characters: it is part of a name in the ring. */
export const CONSISTENT_BUCKET_LENGTH_MAX = 128;
/** Members of an ensemble where there are as many nodes, which is also the N of its preference list. */
export const ENSEMBLE_SIZE = 3;
/** Numbers drawn for a root ensemble: its own, and one for each member. */
export const ROOT_NUMBERS = 1 + ENSEMBLE_SIZE;

const BUCKET_PREFIX = "consistent.bucket/";
const ROOT_NAME = "consistent.root";
const TAKEN_OVER_NAME = "consistent.taken_over";
const NUMBER_MAX = 2 ** 48 - 1;

/** A member that an ensemble begins with. */
export interface FirstMember {
  /** Name of its node. */
  readonly node: string;
  /** Number of this life of the member, from 1 to 2^48 - 1. */
  readonly uid: number;
}

/** The ensemble that decides which other ensembles there are. */
export interface RootEnsemble {
  /** Number of its Raft group. */
  readonly groupId: number;
  /** Its first members. */
  readonly members: readonly FirstMember[];
  /** Whether they have all been made: from then on nobody makes one of them, and others may follow them. */
  readonly formed: boolean;
}

/** The consistent buckets of the cluster, sorted. */
export function consistentBuckets(ring: Ring): string[] {
  const buckets: string[] = [];
  for (const [name, { value }] of ring.meta) {
    if (value === true && name.startsWith(BUCKET_PREFIX)) {
      buckets.push(name.slice(BUCKET_PREFIX.length));
    }
  }
  return buckets.sort(compareTexts);
}

/** Whether the cluster has any consistent bucket. */
export function hasConsistentBuckets(ring: Ring): boolean {
  return rootEnsemble(ring) !== undefined;
}

/** The root ensemble, which there is once there is a consistent bucket. */
export function rootEnsemble(ring: Ring): RootEnsemble | undefined {
  const value = ring.meta.get(ROOT_NAME)?.value;
  return typeof value === "string" ? readRoot(value) : undefined;
}

function readRoot(text: string): RootEnsemble | undefined {
  const [id, formed, ...members] = text.split(" ");
  const groupId = numberIn(id);
  const first = members.map((member): FirstMember | undefined => {
    const at = member.indexOf("=");
    const uid = numberIn(member.slice(0, Math.max(0, at)));
    return uid === undefined ? undefined : { node: member.slice(at + 1), uid };
  });
  // What a later version has written otherwise is none of ours.
  if (
    groupId === undefined || first.length === 0 || first.includes(undefined)
  ) return undefined;
  return {
    groupId,
    members: first as FirstMember[],
    formed: formed === "formed",
  };
}

function numberIn(text: string | undefined): number | undefined {
  const number = Number.parseInt(text ?? "", 36);
  return number >= 1 && number <= NUMBER_MAX ? number : undefined;
}

function rootText({ groupId, members, formed }: RootEnsemble): string {
  return [
    groupId.toString(36),
    formed ? "formed" : "forming",
    ...members.map(({ node, uid }) => `${uid.toString(36)}=${node}`),
  ].join(" ");
}

/** How a bucket is marked. */
export interface BucketMark {
  readonly bucket: string;
  /** {@linkcode ROOT_NUMBERS} numbers that nobody has had, should there be no root ensemble yet. */
  readonly numbers: readonly number[];
  /** When it was asked for, in milliseconds since 1970. */
  readonly wallMs: number;
}

/** `actor`, the claimant, marks a bucket as consistent; with the first one comes the root ensemble. */
export function markConsistent(
  ring: Ring,
  actor: string,
  { bucket, numbers, wallMs }: BucketMark,
): Ring {
  let after = ring;
  if (rootEnsemble(ring) === undefined) {
    const [groupId = 0, ...uids] = numbers;
    const members = membersWith(ring, ["valid"]).slice(0, ENSEMBLE_SIZE)
      .map((node, place): FirstMember => ({ node, uid: uids[place] ?? 0 }));
    const root = rootText({ groupId, members, formed: false });
    after = putRingMeta(after, actor, ROOT_NAME, root, wallMs);
  }
  return putRingMeta(after, actor, `${BUCKET_PREFIX}${bucket}`, true, wallMs);
}

/** `actor`, the claimant, says that all first members of the root ensemble have been made. The same ring if that is said. */
export function markRootFormed(
  ring: Ring,
  actor: string,
  wallMs: number,
): Ring {
  const root = rootEnsemble(ring);
  if (root === undefined || root.formed) return ring;
  const text = rootText({ ...root, formed: true });
  return putRingMeta(ring, actor, ROOT_NAME, text, wallMs);
}

/** `actor`, the claimant, says that the groups of a ring to come take over from now on. */
export function markTakenOver(
  ring: Ring,
  actor: string,
  origin: RingOrigin,
): Ring {
  const text = textOfOrigin(origin);
  // Hybrid stamps need no clock: this one replaces what was said before.
  return putRingMeta(ring, actor, TAKEN_OVER_NAME, text, 0);
}

/** The ring whose groups take over, or have; `null` if none ever did. */
export function takenOverBy(ring: Ring): RingOrigin | null {
  return hasConsistentBuckets(ring)
    ? readOrigin(ring.meta.get(TAKEN_OVER_NAME)?.value)
    : null;
}

/** Whether `bucket` may become consistent as far as the ring goes; `null` if so. */
export function refuseMark(ring: Ring, bucket: string): WhorlError | null {
  const what = "Cannot mark a bucket as consistent";
  if (
    bucket.length === 0 || bucket.length > CONSISTENT_BUCKET_LENGTH_MAX ||
    !bucket.isWellFormed()
  ) {
    return new WhorlError(
      "invalid_argument",
      `${what} as its name must be well-formed text of 1 to ${CONSISTENT_BUCKET_LENGTH_MAX} characters: it has ${bucket.length}`,
    );
  }
  const count = consistentBuckets(ring).length;
  if (count >= CONSISTENT_BUCKETS_MAX) {
    return new WhorlError(
      "invalid_argument",
      `${what} as a cluster may have ${CONSISTENT_BUCKETS_MAX}: it has ${count}`,
    );
  }
  // One that does not hear of it now would serve the bucket as any other one.
  const deaf = currentMembers(ring).filter((node) =>
    ["down", "joining"].includes(memberStatus(ring, node) ?? "")
  );
  return deaf.length === 0 ? null : new WhorlError(
    "pending_changes",
    `${what} as all members must know of it, and none may be down or joining: ${
      deaf.join(", ")
    } ${deaf.length === 1 ? "is" : "are"}`,
    { details: { nodes: deaf } },
  );
}

/** The nodes that should have a member of the root ensemble, given those that do: these stay if they can, and the first valid members join them. */
export function rootOwners(ring: Ring, present: readonly string[]): string[] {
  const valid = membersWith(ring, ["valid"]);
  const staying = present.filter((node) => valid.includes(node));
  const others = valid.filter((node) => !staying.includes(node));
  return [...staying, ...others].slice(0, ENSEMBLE_SIZE).sort(compareTexts);
}

/**
 * The nodes that should have a member of the ensemble of a partition: the owners
 * of its preference list, its first owner first. Where a node stands in the list
 * twice, the walk goes on round the ring until there are as many nodes as the
 * list should have: with two of three a majority would be all of them.
 */
export function ensembleOwners(
  owners: readonly string[],
  partition: number,
): string[] {
  const nodes = new Set<string>();
  for (let step = 0; step < owners.length; step++) {
    nodes.add(owners[(partition + step) % owners.length] as string);
    if (nodes.size === ENSEMBLE_SIZE) break;
  }
  return [...nodes];
}
