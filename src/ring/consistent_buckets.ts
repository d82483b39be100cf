/**
 * Which buckets are consistent, and the root ensemble, which decides about all
 * other ensembles. Both are in the ring's metadata, so that every member knows
 * them durably, and no node serves such a bucket in another way.
 *
 *     consistent.bucket/NAME   true, for good
 *     consistent.root          the root ensemble: u48 id, its first members, and
 *                              whether all of them have been created
 *     consistent.taken_over    generation and size of the ring whose groups take over,
 *                              or have, as `1/16`: from then on there is no way back
 *
 * Each bucket has an entry of its own, so that a merge of two rings loses none.
 * The takeover by groups is recorded here and not only in the claimant's part
 * of the ring: of two claimants in different parts of a cluster, one knows
 * better.
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

/** Most consistent buckets of a cluster: each is an entry in the ring. */
export const CONSISTENT_BUCKETS_MAX = 64;
/**
 * Longest name of a consistent bucket, in characters: it is part of a name in
 * the ring.
 */
export const CONSISTENT_BUCKET_LENGTH_MAX = 128;
/**
 * Number of members of an ensemble, if there are enough nodes; also the N of
 * its preference list.
 */
export const ENSEMBLE_SIZE = 3;
/**
 * Numbers drawn for a root ensemble: its group id, and a uid for each member.
 */
export const ROOT_NUMBERS = 1 + ENSEMBLE_SIZE;

const BUCKET_PREFIX = "consistent.bucket/";
const ROOT_NAME = "consistent.root";
const TAKEN_OVER_NAME = "consistent.taken_over";
const NUMBER_MAX = 2 ** 48 - 1;

/** An initial member of an ensemble. */
export interface FirstMember {
  /** Name of the node. */
  readonly node: string;
  /** The uid of the member, from 1 to 2^48 - 1. */
  readonly uid: number;
}

/** The ensemble that decides which other ensembles there are. */
export interface RootEnsemble {
  /** Id of its Raft group. */
  readonly groupId: number;
  /** Its initial members. */
  readonly members: readonly FirstMember[];
  /**
   * Whether all of them have been created: from then on none of them is created
   * again, and other members may follow.
   */
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

/** Whether the cluster has any consistent buckets. */
export function hasConsistentBuckets(ring: Ring): boolean {
  return rootEnsemble(ring) !== undefined;
}

/** The root ensemble, which exists once there is a consistent bucket. */
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
  // A form written by a later version is ignored.
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

/** How to mark a bucket. */
export interface BucketMark {
  readonly bucket: string;
  /**
   * {@linkcode ROOT_NUMBERS} unused numbers, in case there is no root ensemble
   * yet.
   */
  readonly numbers: readonly number[];
  /** When it was requested, in milliseconds since 1970. */
  readonly wallMs: number;
}

/**
 * `actor`, the claimant, marks a bucket as consistent; the first one also
 * creates the root ensemble.
 */
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

/**
 * `actor`, the claimant, records that all initial members of the root ensemble
 * have been created. Returns the same ring if that is already recorded.
 */
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

/**
 * `actor`, the claimant, records that the groups of a future ring take over
 * from now on.
 */
export function markTakenOver(
  ring: Ring,
  actor: string,
  origin: RingOrigin,
): Ring {
  const text = textOfOrigin(origin);
  // Hybrid stamps need no clock: this one replaces the previous value.
  return putRingMeta(ring, actor, TAKEN_OVER_NAME, text, 0);
}

/** The ring whose groups take over, or have; `null` if none ever did. */
export function takenOverBy(ring: Ring): RingOrigin | null {
  return hasConsistentBuckets(ring)
    ? readOrigin(ring.meta.get(TAKEN_OVER_NAME)?.value)
    : null;
}

/**
 * Why `bucket` cannot become consistent, as far as the ring shows; `null` if it
 * can.
 */
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
  // A node that does not learn of it now would serve the bucket like any other.
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

/**
 * The nodes that should have a member of the root ensemble, given those that
 * do: these stay if they can, and the first valid members are added.
 */
export function rootOwners(ring: Ring, present: readonly string[]): string[] {
  const valid = membersWith(ring, ["valid"]);
  const staying = present.filter((node) => valid.includes(node));
  const others = valid.filter((node) => !staying.includes(node));
  return [...staying, ...others].slice(0, ENSEMBLE_SIZE).sort(compareTexts);
}

/**
 * The nodes that should have a member of the ensemble of a partition: the
 * owners of its preference list, its first owner first. Where a node is in the
 * list twice, the walk continues round the ring until there are as many nodes
 * as the list should have: with two instead of three, a majority would be both.
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
