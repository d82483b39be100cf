/**
 * What a commit would do: the staged changes, the resulting ring, and how
 * partitions move. Plain data for display, computed from the ring alone, so it
 * is the same whenever and wherever it is computed from that ring, and its id
 * identifies it (riak_core keeps a random seed between plan and commit
 * instead).
 *
 * @module
 */
import { compareTexts } from "../base/text_order.ts";
import { createHash } from "node:crypto";
import { windowsWithRepeat } from "./claim_quality.ts";
import {
  currentMembers,
  futureOwners,
  type MemberStatus,
  memberStatus,
  partitionCounts,
  type Ring,
  type StagedChange,
} from "./ring.ts";
import {
  abortResize,
  beginResize,
  setOwnership,
  setStatus,
} from "./ring_change.ts";
import { ABORT_RESIZE, keepersOf, resizedOwners } from "./ring_resize.ts";
import {
  assumeDone,
  heirs,
  settleOn,
  targetOf,
  tendRing,
} from "./ring_upkeep.ts";
import { stagedChanges, stagedJoins } from "./staged_changes.ts";

/** A member and its share of the ring. */
export interface MemberRow {
  /** The member's name. */
  readonly node: string;
  /** Its status. */
  readonly status: Exclude<MemberStatus, "invalid">;
  /** Number of partitions it owns now. */
  readonly partitions: number;
  /**
   * Number of partitions it will own when pending transfers are done; `null` if
   * none are pending.
   */
  readonly nextPartitions: number | null;
}

/** Partitions that go from one member to another. */
export interface TransferCount {
  /** The current owner. */
  readonly from: string;
  /** The next owner. */
  readonly to: string;
  /** Number of partitions. */
  readonly partitions: number;
}

/** A membership change that waits for a commit. */
export type PlannedChange =
  | {
    /** The staged action. */
    readonly action: "join" | "leave" | "force-remove";
    /** The member. */
    readonly node: string;
  }
  | {
    /** The staged action. */
    readonly action: "replace" | "force-replace";
    /** The member. */
    readonly node: string;
    /** The joining member that takes its place. */
    readonly replacement: string;
  }
  | {
    /** The ring gets another number of partitions. */
    readonly action: "resize-ring";
    /** Number of partitions before and after. */
    readonly ringSizes: readonly [before: number, after: number];
  }
  | {
    /** The resize in progress is aborted. */
    readonly action: "abort-resize";
    /** Number of partitions of the ring, which stays as it is. */
    readonly ringSize: number;
  };

/** The cluster after one step towards what was staged. */
export interface PlannedTransition {
  /** Number of partitions of the ring. */
  readonly ringSize: number;
  /**
   * Number of partitions it is changing to, which `nextPartitions` counts;
   * absent if it is not being resized.
   */
  readonly nextRingSize?: number;
  /** Sorted by name. */
  readonly members: readonly MemberRow[];
  /**
   * Summed for each pair of members, in the order in which riak_core prints
   * them.
   */
  readonly transfers: readonly TransferCount[];
  /**
   * Partitions that change owner without a transfer, because the old owner is
   * gone.
   */
  readonly reassigned: readonly TransferCount[];
  /** False if some preference list will contain a node twice. */
  readonly replicasDistinct: boolean;
}

/** What a commit would do. */
export interface StagedPlan {
  /** 16 hex digits; equal for the same changes to the same ring. */
  readonly planId: string;
  /** Sorted by node; empty if nothing is staged. */
  readonly changes: readonly PlannedChange[];
  /** The steps it takes; none if nothing is staged. */
  readonly transitions: readonly PlannedTransition[];
  /**
   * Joining nodes that it leaves out, since a resize stands alone: a later plan
   * admits them. Absent if there are none.
   */
  readonly postponedJoins?: readonly string[];
}

/** A plan with the resulting owners. */
export interface ComputedPlan extends StagedPlan {
  /** Owner of each partition once the transfers of the commit are done. */
  readonly target: readonly string[];
}

/** Most steps of a plan that are shown; no plan ever needed more than two. */
export const TRANSITIONS_MAX = 16;

/**
 * Computes the plan of what is staged in `ring`.
 *
 * @param targetN Number of consecutive partitions that should belong to
 * different nodes.
 */
export function computePlan(ring: Ring, targetN: number): ComputedPlan {
  const { claimant } = ring.ownership;
  const { staged: stagedSize } = ring.ownership.generations;
  if (stagedSize !== null) return planResize(ring, stagedSize, targetN);
  const changes: PlannedChange[] = plannedChanges(ring);
  if (changes.length === 0) {
    const target = futureOwners(ring);
    const planId = planIdOf(ring, changes, target);
    return { planId, changes, transitions: [], target };
  }
  if (ring.ownership.generations.resize !== null) {
    changes.unshift({ action: "abort-resize", ringSize: ring.size });
  }
  const staged = stagedChanges(ring);
  const replacements = new Set(staged.map(({ replacement }) => replacement));
  const target = targetOf(withStatuses(ring, claimant), targetN, {
    replaced: new Map(
      staged.flatMap(({ node, replacement }) =>
        replacement === null ? [] : [[node, replacement]]
      ),
    ),
    // A replacement takes over everything of its predecessor, and nothing else
    // moves.
    balance: staged.some(({ replacement }) => replacement === null) ||
      stagedJoins(ring).some((node) => !replacements.has(node)),
  });
  return {
    planId: planIdOf(ring, changes, target),
    changes,
    transitions: transitionsOf(ring, claimant, target, targetN),
    target,
  };
}

function planResize(ring: Ring, size: number, targetN: number): ComputedPlan {
  const { owners, claimant } = ring.ownership;
  const isAbort = size === ABORT_RESIZE;
  const target = isAbort
    ? owners
    : resizedOwners(owners, size, heirs(ring), targetN);
  const changes: PlannedChange[] = [
    isAbort
      ? { action: "abort-resize", ringSize: ring.size }
      : { action: "resize-ring", ringSizes: [ring.size, size] },
  ];
  const committed = commitStaged(ring, claimant, target, "");
  const postponedJoins = stagedJoins(ring);
  return {
    planId: planIdOf(ring, changes, target),
    changes,
    ...postponedJoins.length === 0 ? {} : { postponedJoins },
    transitions: [{
      ...transition(ring, committed, targetN),
      transfers: countTransfers(
        keepersOf(owners, target.length).flatMap((from, partition) => {
          const to = target[partition] as string;
          return from === to ? [] : [{ from, to }];
        }),
      ),
      replicasDistinct: windowsWithRepeat(target, targetN) === 0,
    }],
    target,
  };
}

/**
 * The ring with everything staged in `ring` carried out, moving to the owners
 * `target` of its plan.
 */
export function commitStaged(
  ring: Ring,
  self: string,
  target: readonly string[],
  planId: string,
): Ring {
  const { staged } = ring.ownership.generations;
  if (staged !== null) {
    const resized = staged === ABORT_RESIZE
      ? abortResize(ring, self)
      : beginResize(ring, self, target);
    return setOwnership(resized, self, { committedPlan: planId });
  }
  // A member removed by force meanwhile will not contribute its part of the
  // resize.
  const without = ring.ownership.generations.resize === null
    ? ring
    : abortResize(ring, self);
  const committed = settleOn(withStatuses(without, self), self, target);
  return setOwnership(committed, self, { staged: [], committedPlan: planId });
}

/** A change of one member. */
type MemberChange = Extract<PlannedChange, { readonly node: string }>;

function plannedChanges(ring: Ring): MemberChange[] {
  const joins = stagedJoins(ring)
    .map((node): MemberChange => ({ action: "join", node }));
  return [...joins, ...stagedChanges(ring).map(plannedChange)]
    .sort((a, b) => compareTexts(a.node, b.node));
}

function plannedChange(change: StagedChange): MemberChange {
  const { action, node } = change;
  const replacement = change.replacement as string;
  switch (action) {
    case "leave":
      return { action, node };
    case "remove":
      return { action: "force-remove", node };
    case "replace":
      return { action, node, replacement };
    case "force_replace":
      return { action: "force-replace", node, replacement };
    default:
      return action satisfies never;
  }
}

/**
 * `ring` in which every member has the status that the staged changes give it.
 */
function withStatuses(ring: Ring, self: string): Ring {
  let after = ring;
  for (const node of stagedJoins(ring)) {
    after = setStatus(after, self, node, "valid");
  }
  for (const { action, node } of stagedChanges(ring)) {
    const status = action === "leave" || action === "replace"
      ? "leaving"
      : "invalid";
    after = setStatus(after, self, node, status);
  }
  return after;
}

function transitionsOf(
  ring: Ring,
  self: string,
  target: readonly string[],
  targetN: number,
): PlannedTransition[] {
  let before = ring;
  let after = commitStaged(ring, self, target, "");
  const transitions: PlannedTransition[] = [];
  while (after !== before && transitions.length < TRANSITIONS_MAX) {
    transitions.push(transition(before, after, targetN));
    before = assumeDone(after, self);
    after = tendRing(before, self, targetN).ring;
  }
  return transitions;
}

function transition(
  before: Ring,
  after: Ring,
  targetN: number,
): PlannedTransition {
  const { owners, next } = after.ownership;
  return {
    ringSize: after.size,
    ...nextRingSize(after),
    members: memberRows(after),
    transfers: countTransfers(
      next.map(({ owner, nextOwner }) => ({ from: owner, to: nextOwner })),
    ),
    reassigned: countTransfers(
      owners.flatMap((to, partition) => {
        const from = before.ownership.owners[partition] as string;
        return from === to ? [] : [{ from, to }];
      }),
    ),
    replicasDistinct: windowsWithRepeat(futureOwners(after), targetN) === 0,
  };
}

/** Number of partitions `ring` is changing to, if it is being resized. */
export function nextRingSize(ring: Ring): { readonly nextRingSize?: number } {
  const { resize } = ring.ownership.generations;
  return resize === null ? {} : { nextRingSize: resize.owners.length };
}

/**
 * The members of `ring` with their shares now and under the owners `target`,
 * sorted by name.
 */
export function memberRows(
  ring: Ring,
  target: readonly string[] = ring.ownership.generations.resize?.owners ??
    futureOwners(ring),
): MemberRow[] {
  const now = partitionCounts(ring.ownership.owners);
  const next = partitionCounts(target);
  const isPending = target.length !== ring.size ||
    target.some((owner, partition) =>
      owner !== ring.ownership.owners[partition]
    );
  return currentMembers(ring).map((node) => ({
    node,
    status: memberStatus(ring, node) as MemberRow["status"],
    partitions: now.get(node) ?? 0,
    nextPartitions: isPending ? next.get(node) ?? 0 : null,
  }));
}

/**
 * Counts equal pairs, in descending order, as riak_core's tally does in every
 * recorded plan.
 */
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
  // Includes the previous plan, so that the same change from the same owners at
  // another time is another plan, and a commit of it is not taken for a repeat.
  // Not the version: transfers that finish meanwhile do not affect the plan.
  const { committedPlan } = ring.ownership;
  const text = JSON.stringify([
    ring.clusterId,
    committedPlan,
    changes,
    target,
  ]);
  return createHash("sha1").update(text).digest("hex").slice(0, 16);
}
