/**
 * What a commit would do: the staged changes, the ring they lead to, and how
 * partitions travel. Plain data for display, computed from the ring alone, so
 * it is the same whenever and wherever it is computed from that ring, and its
 * id names it (riak_core keeps a random seed between plan and commit instead).
 *
 * @module
 */
import { compareTexts } from "../base/text_order.ts";
import { createHash } from "node:crypto";
import { claim } from "./claim.ts";
import { windowsWithRepeat } from "./claim_quality.ts";
import {
  claimingMembers,
  currentMembers,
  futureOwners,
  type MemberStatus,
  memberStatus,
  partitionCounts,
  type Ring,
} from "./ring.ts";
import { isAutoJoining, isInvited, transfersTowards } from "./ring_change.ts";

/** A member and its share of the ring. */
export interface MemberRow {
  /** The member's name. */
  readonly node: string;
  /** What it is to the cluster. */
  readonly status: Exclude<MemberStatus, "invalid">;
  /** Partitions it owns now. */
  readonly partitions: number;
  /** Partitions it will own when pending transfers are done; `null` if none are pending. */
  readonly nextPartitions: number | null;
}

/** Partitions that go from one member to another. */
export interface TransferCount {
  /** Who has them. */
  readonly from: string;
  /** Who gets them. */
  readonly to: string;
  /** How many. */
  readonly partitions: number;
}

/** A change of membership that waits for a commit. */
export interface PlannedChange {
  /** What is staged. */
  readonly action: "join";
  /** For whom. */
  readonly node: string;
}

/** The cluster after one step towards what was staged. */
export interface PlannedTransition {
  /** Partitions of the ring. */
  readonly ringSize: number;
  /** Sorted by name. */
  readonly members: readonly MemberRow[];
  /** Between the same two members counted together, in the order riak_core prints them. */
  readonly transfers: readonly TransferCount[];
  /** Partitions that change owner without a transfer, because the old one is gone. */
  readonly reassigned: readonly TransferCount[];
  /** False if some preference list will hold a node twice. */
  readonly replicasDistinct: boolean;
}

/** What a commit would do. */
export interface StagedPlan {
  /** 16 hex digits; the same for the same changes from the same ring. */
  readonly planId: string;
  /** Sorted by node; empty if nothing is staged. */
  readonly changes: readonly PlannedChange[];
  /** The steps it takes; none if nothing is staged. */
  readonly transitions: readonly PlannedTransition[];
}

/** A plan with the owners it leads to. */
export interface ComputedPlan extends StagedPlan {
  /** Owner of each partition once all is done. */
  readonly target: readonly string[];
}

/** Members that wait for a commit to become valid, sorted. Those that are only invited do not. */
export function stagedJoins(ring: Ring): string[] {
  return currentMembers(ring).filter((node) =>
    memberStatus(ring, node) === "joining" && !isAutoJoining(ring, node) &&
    !isInvited(ring, node)
  );
}

/**
 * Computes the plan of what is staged in `ring`.
 *
 * @param targetN Consecutive partitions that should belong to different nodes.
 */
export function computePlan(ring: Ring, targetN: number): ComputedPlan {
  const joins = stagedJoins(ring);
  const before = futureOwners(ring);
  const target = joins.length === 0 ? before : claim({
    owners: before,
    claimants: claimingMembers(ring).filter((node) => !isInvited(ring, node)),
    targetN,
  });
  const changes = joins.map((node) => ({ action: "join" as const, node }));
  return {
    planId: planIdOf(ring, changes, target),
    changes,
    transitions: joins.length === 0 ? [] : [transition(ring, target, targetN)],
    target,
  };
}

function transition(
  ring: Ring,
  target: readonly string[],
  targetN: number,
): PlannedTransition {
  return {
    ringSize: ring.size,
    members: memberRows(ring, target).map((row) =>
      row.status === "joining" && !isInvited(ring, row.node)
        ? { ...row, status: "valid" as const }
        : row
    ),
    transfers: countTransfers(
      transfersTowards(ring, target).map(({ owner, nextOwner }) => ({
        from: owner,
        to: nextOwner,
      })),
    ),
    reassigned: [],
    replicasDistinct: windowsWithRepeat(target, targetN) === 0,
  };
}

/** The members of `ring` with their shares now and under the owners `target`, sorted by name. */
export function memberRows(
  ring: Ring,
  target: readonly string[] = futureOwners(ring),
): MemberRow[] {
  const now = partitionCounts(ring.ownership.owners);
  const next = partitionCounts(target);
  const isPending = target.some((owner, partition) =>
    owner !== ring.ownership.owners[partition]
  );
  return currentMembers(ring).map((node) => ({
    node,
    status: memberStatus(ring, node) as MemberRow["status"],
    partitions: now.get(node) ?? 0,
    nextPartitions: isPending ? next.get(node) ?? 0 : null,
  }));
}

/** Counts equal pairs. Sorted downwards, which is how riak_core's tally comes out in every recorded plan. */
export function countTransfers(
  moves: readonly { from: string; to: string }[],
): TransferCount[] {
  const counts = new Map<string, TransferCount>();
  for (const { from, to } of moves) {
    const key = JSON.stringify([from, to]);
    const partitions = (counts.get(key)?.partitions ?? 0) + 1;
    counts.set(key, { from, to, partitions });
  }
  return [...counts.values()].sort((a, b) =>
    compareTexts(b.from, a.from) || compareTexts(b.to, a.to)
  );
}

function planIdOf(
  ring: Ring,
  changes: readonly PlannedChange[],
  target: readonly string[],
): string {
  // The version, so that the same change from the same owners at another time
  // is another plan, and a commit of it is not taken for a repeat.
  const { term, version } = ring.ownership;
  const text = JSON.stringify([
    ring.clusterId,
    term,
    version,
    changes,
    target,
  ]);
  return createHash("sha1").update(text).digest("hex").slice(0, 16);
}
