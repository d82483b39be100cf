/**
 * Turns a node's answers into the rows of the cluster tables: counts of
 * partitions become percentages.
 *
 * @module
 */
import type { TransferStatus } from "../handoff/transfer.ts";
import type {
  ClusterStatus,
  MemberTable,
  PendingTransfer,
  RingStatus,
} from "../node/admin_protocol.ts";
import type {
  ClusterStatusRow,
  HandoffRow,
  MemberRow,
  RingStatus as RingStatusRows,
} from "../ring/membership_display.ts";
import type { Plan, StagedChange } from "../ring/plan_display.ts";
import type { PlannedChange, StagedPlan } from "../ring/staged_plan.ts";
import { transferLine } from "./transfers_text.ts";

/** Rows of the Membership table. */
export function memberRows(
  { ringSize, nextRingSize = ringSize, members }: MemberTable,
): MemberRow[] {
  return members.map(({ node, status, partitions, nextPartitions }) => ({
    node,
    status,
    ringPercent: partitions / ringSize * 100,
    ...(nextPartitions === null
      ? {}
      : { pendingPercent: nextPartitions / nextRingSize * 100 }),
  }));
}

/** Rows of the Cluster Status table. */
export function clusterStatusRows(status: ClusterStatus): ClusterStatusRow[] {
  return memberRows(status).map((row) => ({
    ...row,
    claimant: row.node === status.claimant,
    up: !status.unreachable.includes(row.node),
  }));
}

/** A partition that changes its owner, and the transfers that carry it. */
export interface CarriedTransfer extends PendingTransfer {
  /**
   * The transfers as their source reports them; `null` if it does not answer,
   * absent if nobody asked.
   */
  readonly underWay?: readonly TransferStatus[] | null;
}

/** The data of the ring status report. */
export function ringStatusRows(
  status: RingStatus & { readonly transfers: readonly CarriedTransfer[] },
): RingStatusRows {
  return {
    claimant: status.claimant,
    ...(status.claimantUp ? { ringReady: status.ringReady } : {}),
    handoffs: handoffRows(status.transfers),
    ...resizeRow(status),
    down: status.unreachable,
    markedDown: status.markedDown,
  };
}

function resizeRow(
  { ringSize, resize = null }: RingStatus,
): Pick<RingStatusRows, "resize"> {
  return resize === null ? {} : {
    resize: {
      from: ringSize,
      to: resize.ringSize,
      ...resize.phase === undefined ? {} : { phase: resize.phase },
      complete: resize.complete,
      waiting: resize.waitingOn,
    },
  };
}

/** Groups transfers by source and target. */
function handoffRows(transfers: readonly CarriedTransfer[]): HandoffRow[] {
  const pairs = Map.groupBy(
    transfers,
    ({ owner, nextOwner }) => `${owner} ${nextOwner}`,
  );
  return [...pairs.values()].map((rows) => ({
    owner: rows[0]!.owner,
    nextOwner: rows[0]!.nextOwner,
    transfers: rows.map(({ index, waitingOn, complete, underWay }) => ({
      index,
      waiting: waitingOn,
      complete,
      progress: underWay?.map(transferLine) ?? [],
    })),
  }));
}

/** The data of the plan's tables. */
export function planRows(plan: StagedPlan): Plan {
  return {
    changes: plan.changes.map(changeRow),
    transitions: plan.transitions.map((transition) => ({
      members: memberRows(transition),
      replicasOnDistinctNodes: transition.replicasDistinct,
      transfers: transition.transfers.map(withCount),
      reassigned: transition.reassigned.map(withCount),
      resizing: transition.nextRingSize !== undefined,
    })),
    ...plan.postponedJoins === undefined
      ? {}
      : { postponedJoins: plan.postponedJoins },
  };
}

function withCount({ from, to, partitions }: {
  from: string;
  to: string;
  partitions: number;
}): { from: string; to: string; count: number } {
  return { from, to, count: partitions };
}

function changeRow(change: PlannedChange): StagedChange {
  switch (change.action) {
    case "join":
    case "leave":
      return { type: change.action, node: change.node };
    case "force-remove":
      return { type: "force_remove", node: change.node };
    case "replace":
    case "force-replace":
      return {
        type: change.action === "replace" ? "replace" : "force_replace",
        node: change.node,
        with: change.replacement,
      };
    case "resize-ring": {
      const [from, to] = change.ringSizes;
      return { type: "resize", from, to };
    }
    case "abort-resize":
      return { type: "abort_resize", current: change.ringSize };
    default:
      return change satisfies never;
  }
}
