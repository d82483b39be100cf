/**
 * The ring: who the members are, who owns each partition, what is about to
 * move. A value: changes (`ring_change.ts`) make a new one, and
 * two rings of one cluster merge (`ring_merge.ts`) to the same ring in whatever
 * order they meet.
 *
 * It follows riak_core's `riak_core_ring` record, rebuilt so that the merge is
 * a join by construction. It is made of parts, each of which only ever grows:
 *
 * - _members_: a set of status dots each, so that concurrent changes are seen
 *   as concurrent and the stronger status shows;
 * - _ownership_: owners and so the number of partitions, pending transfers and
 *   staged changes, written by the claimant alone and ordered by its term and
 *   version;
 * - _progress_ of transfers: written by the nodes that own the partitions;
 * - _meta_: values of which the last write wins;
 * - _clock_ and _seen_: which changes this ring contains, and which each member
 *   is known to have seen.
 *
 * @module
 */
import { compareTexts } from "../base/text_order.ts";
import {
  noVersion,
  sameVersion,
  versionDescends,
  type VersionVector,
} from "../causality/version_vector.ts";
import type { RingGenerations } from "./ring_generations.ts";
import type { RingMeta, RingMetaValue } from "./stamped.ts";

/** What a member is in the cluster. */
export type MemberStatus =
  | "joining"
  | "valid"
  | "leaving"
  | "exiting"
  | "down"
  | "invalid";

/**
 * Statuses from the strongest to the weakest: of concurrent ones the first
 * here shows (`riak_core_ring:merge_status/2`).
 */
export const statusesByStrength: readonly MemberStatus[] = [
  "invalid",
  "down",
  "joining",
  "valid",
  "exiting",
  "leaving",
];

/** One change of a status, identified by the node that made it and the number of its change; no two changes share one. */
export interface MemberStatusDot {
  /** The node that made the change. */
  readonly actor: string;
  /** Which of that node's changes of the ring it is, from 1. */
  readonly counter: number;
  /** What the member became. */
  readonly status: MemberStatus;
  /** A joining member that needs no commit: it was a member before, or joins automatically. */
  readonly autoJoin: boolean;
}

/** A member as the ring knows it. */
export interface RingMember {
  /** The changes of the status that are contained here. */
  readonly clock: VersionVector;
  /** The latest change, or several that did not know of each other; sorted by actor. */
  readonly dots: readonly MemberStatusDot[];
  /** Address, identity and what else the member says of itself. */
  readonly meta: RingMeta;
}

/** Names of the member metadata that Whorl itself uses. */
export const MemberMeta = {
  /** Where the member listens, as `host:port`. */
  address: "address",
  /** The identity in its data directory. */
  nodeId: "node_id",
  /** What its version supports; see `src/cluster/capability.ts`. Nothing in versions before 0.1.0's capabilities. */
  capabilities: "capabilities",
  /** The ring it stood alone in before it joined; see `ring_origin.ts`. Nothing if neither was ever resized. */
  origin: "origin",
  /** Other rings of which it may have something, as their claimants have lost; see `lost_origin.ts`. */
  lostOrigins: "lost_origins",
} as const;

/** The identity of a cluster, made when its first node was created. */
export interface ClusterId {
  /** The node that made the cluster. */
  readonly claimant: string;
  /** 16 lowercase hex digits from chance. */
  readonly seed: string;
}

/** A partition on its way to another owner, as the claimant decided it. */
export interface OwnershipTransfer {
  /** The partition that moves. */
  readonly partition: number;
  /** Who has it. */
  readonly owner: string;
  /** Who gets it. */
  readonly nextOwner: string;
  /** Term and version of the ownership in which it was decided: its name, so that old progress never counts for it. */
  readonly term: number;
  /** See `term`. */
  readonly version: number;
}

/** How far a transfer is, as its owner says. */
export interface TransferProgress {
  /** The transfer this is about. */
  readonly term: number;
  /** See `term`. */
  readonly version: number;
  /** Vnode modules whose data has moved; sorted. */
  readonly completedModules: readonly string[];
  /** Whether that is all of them. An owner without modules is complete at once (riak_core#403 never is). */
  readonly complete: boolean;
}

/** What can be staged for a member. */
export const STAGED_ACTIONS = [
  "leave",
  "remove",
  "replace",
  "force_replace",
] as const;

/** A change that waits for a commit. Joins are not here: a joining member is one. */
export interface StagedChange {
  /** What is to be done. */
  readonly action: "leave" | "remove" | "replace" | "force_replace";
  /** To whom. */
  readonly node: string;
  /** The member that takes over, for replacements. */
  readonly replacement: string | null;
}

/** What only the claimant writes. Of two, the one with the higher (term, version, claimant) is the ring's. */
export interface RingOwnership {
  /** How many claimants there have been. */
  readonly term: number;
  /** Changes of the ownership since the cluster began. */
  readonly version: number;
  /** The member that writes this. */
  readonly claimant: string;
  /** Owner of each partition. */
  readonly owners: readonly string[];
  /** Pending transfers, by partition. */
  readonly next: readonly OwnershipTransfer[];
  /** Kept here so that they outlive the claimant; sorted by node. */
  readonly staged: readonly StagedChange[];
  /** The plan that was committed last, or "", so that committing it again is not an error. */
  readonly committedPlan: string;
  /** Numbers of partitions the ring has had, and the one it is on the way to. */
  readonly generations: RingGenerations;
}

/** The ring. Never changed once made. */
export interface Ring {
  /** Name of the cluster; rings of other names are never merged. */
  readonly clusterName: string;
  /** Identity of the cluster, likewise. */
  readonly clusterId: ClusterId;
  /** Partitions: as many as the ownership has owners. */
  readonly size: number;
  /** The changes this ring contains. */
  readonly clock: VersionVector;
  /** All that ever were members, removed ones included, by name. */
  readonly members: ReadonlyMap<string, RingMember>;
  /** Who owns what, and what is to move. */
  readonly ownership: RingOwnership;
  /** By partition; what is about an installed transfer stays until the next one. */
  readonly progress: ReadonlyMap<number, TransferProgress>;
  /** The clock of the ring each member is known to hold. */
  readonly seen: ReadonlyMap<string, VersionVector>;
  /** Values anybody may set, of which the last write wins. */
  readonly meta: RingMeta;
}

/** A pending transfer with its progress. */
export interface PendingTransfer extends OwnershipTransfer {
  /** Vnode modules whose data has moved; sorted. */
  readonly completedModules: readonly string[];
  /** Whether the claimant may switch the owner. */
  readonly status: "awaiting" | "complete";
}

const activeStatuses: readonly MemberStatus[] = [
  "joining",
  "valid",
  "leaving",
  "exiting",
];
const currentStatuses: readonly MemberStatus[] = [...activeStatuses, "down"];
const readyStatuses: readonly MemberStatus[] = ["valid", "leaving"];
const agreeingStatuses: readonly MemberStatus[] = [
  "valid",
  "leaving",
  "exiting",
];

/** The status that shows: the strongest of the concurrent ones; `undefined` for a stranger. */
export function memberStatus(
  ring: Ring,
  node: string,
): MemberStatus | undefined {
  return memberDot(ring, node)?.status;
}

/** The change behind {@linkcode memberStatus}. */
export function memberDot(
  ring: Ring,
  node: string,
): MemberStatusDot | undefined {
  const dots = ring.members.get(node)?.dots;
  let strongest = dots?.[0];
  if (dots === undefined || dots.length < 2) return strongest;
  for (const dot of dots) {
    if (compareDots(dot, strongest as MemberStatusDot) < 0) strongest = dot;
  }
  return strongest;
}

function compareDots(a: MemberStatusDot, b: MemberStatusDot): number {
  return statusesByStrength.indexOf(a.status) -
      statusesByStrength.indexOf(b.status) ||
    Number(a.autoJoin) - Number(b.autoJoin) || compareTexts(a.actor, b.actor);
}

/** What a member says of itself, or `null`. */
export function memberMeta(
  ring: Ring,
  node: string,
  name: string,
): RingMetaValue {
  return ring.members.get(node)?.meta.get(name)?.value ?? null;
}

/** Members with one of `statuses`, sorted. */
export function membersWith(
  ring: Ring,
  statuses: readonly MemberStatus[],
): string[] {
  const found: string[] = [];
  for (const node of ring.members.keys()) {
    if (statuses.includes(memberStatus(ring, node) as MemberStatus)) {
      found.push(node);
    }
  }
  return found.sort(compareTexts);
}

/** Lists of members that are asked for with each ring, as far as they have been. */
interface MemberLists {
  active?: readonly string[];
  ready?: readonly string[];
  current?: readonly string[];
  agreeing?: readonly string[];
}

/** Most changes of a ring are of what has been seen, and leave its members as they are. */
const knownLists = new WeakMap<Ring["members"], MemberLists>();

function listsOf({ members }: Ring): MemberLists {
  let lists = knownLists.get(members);
  if (lists === undefined) knownLists.set(members, lists = {});
  return lists;
}

/** Members the ring is gossiped to, sorted. */
export function activeMembers(ring: Ring): readonly string[] {
  return listsOf(ring).active ??= membersWith(ring, activeStatuses);
}

/** Members that serve requests, sorted. */
export function readyMembers(ring: Ring): readonly string[] {
  return listsOf(ring).ready ??= membersWith(ring, readyStatuses);
}

/** All members but those that were removed, sorted. */
export function currentMembers(ring: Ring): readonly string[] {
  return listsOf(ring).current ??= membersWith(ring, currentStatuses);
}

/** Members that must see the ring before it is ready and are not known to have, sorted. */
export function membersBehind(ring: Ring): string[] {
  const lists = listsOf(ring);
  lists.agreeing ??= membersWith(ring, agreeingStatuses);
  return lists.agreeing.filter((node) => isBehind(ring, node));
}

/** Members whose word counts and that are not known to have seen all changes of `version`, sorted. */
export function membersWithoutSight(
  ring: Ring,
  version: VersionVector,
): string[] {
  return membersWith(ring, agreeingStatuses)
    .filter((node) =>
      !versionDescends(ring.seen.get(node) ?? noVersion, version)
    );
}

/** Nodes that may take requests and go by an older ring: members, and those that are joining, sorted. */
export function requestersBehind(ring: Ring): string[] {
  return activeMembers(ring).filter((node) => isBehind(ring, node));
}

/** Whether `node` is not known to have seen the ring. */
function isBehind(ring: Ring, node: string): boolean {
  const seen = ring.seen.get(node);
  return seen === undefined || !sameVersion(seen, ring.clock);
}

/** Whether every valid, leaving and exiting member holds this very ring. */
export function ringReady(ring: Ring): boolean {
  return membersBehind(ring).length === 0;
}

/** Transfers that are pending, with their progress, by partition. */
export function pendingTransfers(ring: Ring): PendingTransfer[] {
  return ring.ownership.next.map((transfer) => ({
    ...transfer,
    ...progressOf(ring, transfer),
  }));
}

function progressOf(
  ring: Ring,
  { partition, term, version }: Pick<
    OwnershipTransfer,
    "partition" | "term" | "version"
  >,
): Pick<PendingTransfer, "completedModules" | "status"> {
  const progress = ring.progress.get(partition);
  const counts = progress !== undefined && progress.term === term &&
    progress.version === version;
  return {
    completedModules: counts ? progress.completedModules : [],
    status: counts && progress.complete ? "complete" : "awaiting",
  };
}

/** A partition whose data is to be spread over the partitions of another ring size. */
export interface ResizeStep {
  /** The partition, in the ring as it is. */
  readonly partition: number;
  /** Who has it. */
  readonly owner: string;
  /** When the resize came to its phase, for which this counts. */
  readonly term: number;
  /** See `term`. */
  readonly version: number;
  /** Vnode modules whose data is there, and in the phase `binding` whose writes are held until theirs is; sorted. */
  readonly completedModules: readonly string[];
  /** Whether that is all of them. */
  readonly status: "awaiting" | "complete";
}

/** The steps of the resize under way, by partition; none if there is no resize. */
export function resizeSteps(ring: Ring): ResizeStep[] {
  const { owners, generations: { resize } } = ring.ownership;
  if (resize === null) return [];
  const { term, version } = resize.since;
  return owners.map((owner, partition) => ({
    partition,
    owner,
    term,
    version,
    ...progressOf(ring, { partition, term, version }),
  }));
}

/** The owners once all pending transfers are done. */
export function futureOwners(ring: Ring): string[] {
  const owners = [...ring.ownership.owners];
  for (const { partition, nextOwner } of ring.ownership.next) {
    owners[partition] = nextOwner;
  }
  return owners;
}

/** Partitions each node owns in `owners`. */
export function partitionCounts(
  owners: readonly string[],
): Map<string, number> {
  const counts = new Map<string, number>();
  for (const owner of owners) counts.set(owner, (counts.get(owner) ?? 0) + 1);
  return counts;
}

/**
 * A number that rises with every change of ownership, for those who only care
 * who owns what. On one node it never goes back, and while the cluster has one
 * claimant the same number means the same owners everywhere.
 */
export function ringVersion(ring: Ring): number {
  return ring.ownership.term * 0x1_0000_0000 + ring.ownership.version;
}

/** Whether two rings belong to one cluster and can be merged. */
export function sameCluster(a: Ring, b: Ring): boolean {
  return a.clusterName === b.clusterName &&
    a.clusterId.claimant === b.clusterId.claimant &&
    a.clusterId.seed === b.clusterId.seed;
}
