/**
 * The ring: its members, the owner of each partition, and pending transfers. A
 * value: changes (`ring_change.ts`) make a new one, and two rings of one
 * cluster merge (`ring_merge.ts`) to the same ring, in whatever order they
 * meet.
 *
 * It follows riak_core's `riak_core_ring` record, redesigned so that the merge
 * is a join by construction. It consists of parts, each of which only ever
 * grows:
 *
 * - _members_: a set of status dots each, so that concurrent changes are seen
 *   as concurrent and the stronger status wins;
 * - _ownership_: owners and thereby the number of partitions, pending transfers
 *   and staged changes, written by the claimant alone and ordered by its term
 *   and version;
 * - _progress_ of transfers: written by the nodes that own the partitions;
 * - _meta_: values with last write wins;
 * - _clock_ and _seen_: which changes this ring contains, and which of them
 *   each member is known to have seen.
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
import { resizeStepMark, transferMark } from "./decision_mark.ts";
import type { RingGenerations } from "./ring_generations.ts";
import type { RingMeta, RingMetaValue } from "./stamped.ts";

/** The status of a member. */
export type MemberStatus =
  | "joining"
  | "valid"
  | "leaving"
  | "exiting"
  | "down"
  | "invalid";

/**
 * Statuses from strongest to weakest: of concurrent ones the first here wins
 * (`riak_core_ring:merge_status/2`).
 */
export const statusesByStrength: readonly MemberStatus[] = [
  "invalid",
  "down",
  "joining",
  "valid",
  "exiting",
  "leaving",
];

/**
 * One change of a status, identified by its node and the number of the change;
 * no two changes share both.
 */
export interface MemberStatusDot {
  /** The node that made the change. */
  readonly actor: string;
  /** The number of the change among that node's changes of the ring, from 1. */
  readonly counter: number;
  /** The new status. */
  readonly status: MemberStatus;
  /**
   * Whether a joining member needs no commit: it was a member before, or joins
   * automatically.
   */
  readonly autoJoin: boolean;
}

/** A member, as recorded in the ring. */
export interface RingMember {
  /** The changes of its status that this contains. */
  readonly clock: VersionVector;
  /** The latest change, or several concurrent ones; sorted by actor. */
  readonly dots: readonly MemberStatusDot[];
  /** Its address, identity and what else it publishes about itself. */
  readonly meta: RingMeta;
}

/** Names of member metadata used by Whorl itself. */
export const MemberMeta = {
  /** Where the member listens, as `host:port`. */
  address: "address",
  /** The identity in its data directory. */
  nodeId: "node_id",
  /** What its version supports; see `src/cluster/capability.ts`. Nothing in versions before 0.1.0's capabilities. */
  capabilities: "capabilities",
  /**
   * The ring it was alone in before it joined; see `ring_origin.ts`. Absent if
   * neither was ever resized.
   */
  origin: "origin",
  /**
   * Other rings of which it may hold data, whose claimants have lost; see
   * `lost_origin.ts`.
   */
  lostOrigins: "lost_origins",
} as const;

/** The identity of a cluster, created with its first node. */
export interface ClusterId {
  /** The node that made the cluster. */
  readonly claimant: string;
  /** 16 random lowercase hex digits. */
  readonly seed: string;
}

/** A partition that moves to another owner, as decided by the claimant. */
export interface OwnershipTransfer {
  /** The partition that moves. */
  readonly partition: number;
  /** The current owner. */
  readonly owner: string;
  /** The next owner. */
  readonly nextOwner: string;
  /**
   * Term and version of the ownership in which it was decided. Together with
   * both owners they identify it, so that no other progress counts for it.
   */
  readonly term: number;
  /** See `term`. */
  readonly version: number;
}

/** Progress of a transfer, reported by its owner. */
export interface TransferProgress {
  /** The transfer, by its term and version. */
  readonly term: number;
  /** See `term`. */
  readonly version: number;
  /**
   * Marks of the decisions of that term and version that were reported about
   * (`decision_mark.ts`), sorted: one, several if claimants of a split cluster
   * have decided differently, and none if only versions reported that know no
   * marks.
   */
  readonly decisions: readonly string[];
  /** Vnode modules whose data has moved; sorted. */
  readonly completedModules: readonly string[];
  /**
   * Whether these are all. An owner without modules is complete at once
   * (riak_core#403 never is).
   */
  readonly complete: boolean;
}

/** The actions that can be staged for a member. */
export const STAGED_ACTIONS = [
  "leave",
  "remove",
  "replace",
  "force_replace",
] as const;

/**
 * A change that waits for a commit. Joins are not included: a joining member is
 * one.
 */
export interface StagedChange {
  /** The action. */
  readonly action: "leave" | "remove" | "replace" | "force_replace";
  /** The member concerned. */
  readonly node: string;
  /** The member that takes over, for replacements. */
  readonly replacement: string | null;
}

/**
 * The part that only the claimant writes. Of two, the one with the higher
 * (term, version, claimant) wins.
 */
export interface RingOwnership {
  /** Number of claimants so far. */
  readonly term: number;
  /** Changes of the ownership since the cluster began. */
  readonly version: number;
  /** The member that writes this. */
  readonly claimant: string;
  /** Owner of each partition. */
  readonly owners: readonly string[];
  /** Pending transfers, by partition. */
  readonly next: readonly OwnershipTransfer[];
  /**
   * Staged changes, sorted by node. Stored here so that they outlive the
   * claimant.
   */
  readonly staged: readonly StagedChange[];
  /**
   * The last committed plan, or "", so that committing it again is not an
   * error.
   */
  readonly committedPlan: string;
  /** The sizes that the ring has had, and the one it is changing to. */
  readonly generations: RingGenerations;
}

/** The ring. Immutable. */
export interface Ring {
  /** Name of the cluster; rings with different names are never merged. */
  readonly clusterName: string;
  /** Identity of the cluster, likewise. */
  readonly clusterId: ClusterId;
  /** Number of partitions: the number of owners. */
  readonly size: number;
  /** The changes this ring contains. */
  readonly clock: VersionVector;
  /** All nodes that ever were members, including removed ones, by name. */
  readonly members: ReadonlyMap<string, RingMember>;
  /** Owners and pending transfers. */
  readonly ownership: RingOwnership;
  /**
   * By partition; the progress of a completed transfer stays until the next
   * one.
   */
  readonly progress: ReadonlyMap<number, TransferProgress>;
  /** The clock of the ring that each member is known to have. */
  readonly seen: ReadonlyMap<string, VersionVector>;
  /** Values that any member may set; the last write wins. */
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

/**
 * The effective status: the strongest of the concurrent ones; `undefined` for a
 * stranger.
 */
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

/** A value that a member publishes about itself, or `null`. */
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

/** Lists of members derived from a ring, computed on demand. */
interface MemberLists {
  active?: readonly string[];
  ready?: readonly string[];
  current?: readonly string[];
  agreeing?: readonly string[];
}

/**
 * Most changes of a ring concern what has been seen, and leave its members
 * unchanged.
 */
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

/** All members except removed ones, sorted. */
export function currentMembers(ring: Ring): readonly string[] {
  return listsOf(ring).current ??= membersWith(ring, currentStatuses);
}

/** Members that count for readiness: those that serve what they have, sorted. */
export function agreeingMembers(ring: Ring): readonly string[] {
  return listsOf(ring).agreeing ??= membersWith(ring, agreeingStatuses);
}

/**
 * Members that must see the ring before it is ready and are not known to have,
 * sorted.
 */
export function membersBehind(ring: Ring): string[] {
  return agreeingMembers(ring).filter((node) => isBehind(ring, node));
}

/**
 * Members that count for readiness and are not known to have seen all changes
 * of `version`, sorted.
 */
export function membersWithoutSight(
  ring: Ring,
  version: VersionVector,
): string[] {
  return agreeingMembers(ring)
    .filter((node) =>
      !versionDescends(ring.seen.get(node) ?? noVersion, version)
    );
}

/**
 * Nodes that may serve requests with an older ring: members, and joining nodes,
 * sorted.
 */
export function requestersBehind(ring: Ring): string[] {
  return activeMembers(ring).filter((node) => isBehind(ring, node));
}

/** Whether `node` is not known to have seen the ring. */
function isBehind(ring: Ring, node: string): boolean {
  const seen = ring.seen.get(node);
  return seen === undefined || !sameVersion(seen, ring.clock);
}

/** Whether every valid, leaving and exiting member has this exact ring. */
export function ringReady(ring: Ring): boolean {
  return membersBehind(ring).length === 0;
}

/** Pending transfers with their progress, by partition. */
export function pendingTransfers(ring: Ring): PendingTransfer[] {
  return ring.ownership.next.map((transfer) => ({
    ...transfer,
    ...progressOf(ring, transfer),
  }));
}

/** What an owner is to do and reports: a transfer, or a step of a resize. */
export type Decision =
  & Pick<OwnershipTransfer, "partition" | "owner" | "term" | "version">
  & Partial<Pick<OwnershipTransfer, "nextOwner">>;

/** The mark of a decision of `ring`; see `decision_mark.ts`. */
export function markOfDecision(
  { ownership: { generations: { resize } } }: Ring,
  { owner, nextOwner }: Decision,
): string {
  if (nextOwner !== undefined) return transferMark(owner, nextOwner);
  return resize === null ? "" : resizeStepMark(resize, owner);
}

function progressOf(
  ring: Ring,
  decision: Decision,
): Pick<PendingTransfer, "completedModules" | "status"> {
  const { term, version } = decision;
  const progress = ring.progress.get(decision.partition);
  const counts = progress !== undefined && progress.term === term &&
    progress.version === version && isOnlyAbout(ring, progress, decision);
  return {
    completedModules: counts ? progress.completedModules : [],
    status: counts && progress.complete ? "complete" : "awaiting",
  };
}

/**
 * Whether all that was reported for its term and version is about `decision`.
 * If it is about two, it does not say what has moved for which. Versions that
 * know no marks do not say what their reports are about.
 */
function isOnlyAbout(
  ring: Ring,
  { decisions }: TransferProgress,
  decision: Decision,
): boolean {
  return decisions.length === 0 ||
    decisions.length === 1 && decisions[0] === markOfDecision(ring, decision);
}

/**
 * Whether what was reported of the partition is about another decision, of a
 * claimant that has lost, and no report about this one would count after a
 * merge: the other one is later, or of the same term and version.
 */
export function isOutweighed(ring: Ring, decision: Decision): boolean {
  const progress = ring.progress.get(decision.partition);
  if (progress === undefined) return false;
  const order = progress.term - decision.term ||
    progress.version - decision.version;
  return order > 0 || order === 0 && !isOnlyAbout(ring, progress, decision);
}

/**
 * A partition whose data is being spread over the partitions of another ring
 * size.
 */
export interface ResizeStep {
  /** The partition, in the current ring. */
  readonly partition: number;
  /** Its owner. */
  readonly owner: string;
  /** When the resize entered its current phase, for which this counts. */
  readonly term: number;
  /** See `term`. */
  readonly version: number;
  /**
   * Vnode modules whose data has been copied, and in the phase `binding` those
   * whose writes are held until the future owners have them; sorted.
   */
  readonly completedModules: readonly string[];
  /** Whether these are all. */
  readonly status: "awaiting" | "complete";
}

/**
 * The steps of the resize in progress, by partition; none if there is no
 * resize.
 */
export function resizeSteps(ring: Ring): ResizeStep[] {
  const { owners, generations: { resize } } = ring.ownership;
  if (resize === null) return [];
  const { term, version } = resize.since;
  return owners.map((owner, partition) => ({
    partition,
    owner,
    term,
    version,
    ...progressOf(ring, { partition, owner, term, version }),
  }));
}

/** What owners are to do by the ring: its transfers, and the steps of its resize. */
export function decisionsOf(ring: Ring): Decision[] {
  return [...ring.ownership.next, ...resizeSteps(ring)];
}

/** Identifies a decision of `ring` among those of all rings of the cluster. */
export function decisionKey(ring: Ring, decision: Decision): string {
  const { partition, term, version } = decision;
  return `${partition} ${term} ${version} ${markOfDecision(ring, decision)}`;
}

/** The owners once all pending transfers are done. */
export function futureOwners(ring: Ring): string[] {
  const owners = [...ring.ownership.owners];
  for (const { partition, nextOwner } of ring.ownership.next) {
    owners[partition] = nextOwner;
  }
  return owners;
}

/** Number of partitions of each node in `owners`. */
export function partitionCounts(
  owners: readonly string[],
): Map<string, number> {
  const counts = new Map<string, number>();
  for (const owner of owners) counts.set(owner, (counts.get(owner) ?? 0) + 1);
  return counts;
}

/**
 * A number that increases with every change of ownership, for those who only
 * care about owners. It never decreases on a node, and while the cluster has
 * one claimant, the same number means the same owners everywhere.
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
