/**
 * The cluster as a node sees it, as plain data for tables and for `--json`.
 *
 * @module
 */
import { compareTexts } from "../base/text_order.ts";
import {
  agreeingMembers,
  membersBehind,
  pendingTransfers,
  requestersBehind,
  resizeSteps,
  type Ring,
  ringReady,
} from "../ring/ring.ts";
import type { RingResizePhase } from "../ring/ring_generations.ts";
import {
  type MemberRow,
  memberRows,
  nextRingSize,
} from "../ring/staged_plan.ts";

/** The cluster and its members. */
export interface ClusterStatus {
  /** Partitions of the ring. */
  readonly ringSize: number;
  /** The future ring size, to which `nextPartitions` refers; absent if the ring is not being resized. */
  readonly nextRingSize?: number;
  /** Sorted by name; tables sort them their own way. */
  readonly members: readonly MemberRow[];
  /** The claimant: the member that assigns ownership. */
  readonly claimant: string;
  /** Whether all members agree on the ring. */
  readonly ringReady: boolean;
  /** Members that this node cannot reach now. */
  readonly unreachable: readonly string[];
}

/** A pending transfer of a partition. */
export interface TransferRow {
  /** Its number on the ring. */
  readonly partition: number;
  /** The present owner. */
  readonly owner: string;
  /** The next owner. */
  readonly nextOwner: string;
  /** Whether the claimant may switch the owner. */
  readonly status: "awaiting" | "complete";
  /** Vnode modules that have handed over. */
  readonly completedModules: readonly string[];
}

/** The progress of a resize of the ring. */
export interface ResizeStatus {
  /** The future ring size. */
  readonly ringSize: number;
  /** Its phase. */
  readonly phase: RingResizePhase;
  /** Partitions that have completed this phase. */
  readonly complete: number;
  /**
   * Nodes that are waited for, sorted: owners, or, in the phase `reading` and
   * before `binding`, nodes that serve requests and are not known to have the
   * ring.
   */
  readonly waitingOn: readonly string[];
}

/** The ring and what moves on it. */
export interface RingStatus {
  /** The claimant: the member that assigns ownership. */
  readonly claimant: string;
  /** Whether this node can reach it. */
  readonly claimantUp: boolean;
  /** Whether all members agree on the ring. */
  readonly ringReady: boolean;
  /** Partitions of the ring. */
  readonly ringSize: number;
  /** Nodes that own partitions, sorted by name. */
  readonly nodes: readonly string[];
  /** For each partition in ring order, the index of its owner in `nodes`. */
  readonly owners: readonly number[];
  /** Pending transfers, by partition. */
  readonly transfers: readonly TransferRow[];
  /** The resize in progress, or `null`. */
  readonly resize: ResizeStatus | null;
  /** Members that this node cannot reach now. */
  readonly unreachable: readonly string[];
}

/** Whether all members agree on who owns what. */
export type RingReadyResult =
  | { readonly ready: true; readonly nodes: readonly string[] }
  | {
    readonly ready: false;
    /** `nodes_down` if a member that does not agree cannot be reached. */
    readonly reason: "different_owners" | "nodes_down";
    readonly nodes: readonly string[];
  };

/** The members and their shares. `nodesUp` are the nodes that are up, this one included. */
export function clusterStatus(
  ring: Ring,
  nodesUp: readonly string[],
): ClusterStatus {
  return {
    ringSize: ring.size,
    ...nextRingSize(ring),
    members: memberRows(ring),
    claimant: ring.ownership.claimant,
    ringReady: ringReady(ring),
    unreachable: unreachable(ring, nodesUp),
  };
}

/** Owners and transfers. `nodesUp` are the nodes that are up, this one included. */
export function ringStatus(
  ring: Ring,
  nodesUp: readonly string[],
): RingStatus {
  const { owners, claimant } = ring.ownership;
  const nodes = [...new Set(owners)].sort(compareTexts);
  const places = new Map(nodes.map((node, place) => [node, place]));
  return {
    claimant,
    claimantUp: nodesUp.includes(claimant),
    ringReady: ringReady(ring),
    ringSize: ring.size,
    nodes,
    owners: owners.map((owner) => places.get(owner) as number),
    transfers: pendingTransfers(ring).map((transfer) => ({
      partition: transfer.partition,
      owner: transfer.owner,
      nextOwner: transfer.nextOwner,
      status: transfer.status,
      completedModules: transfer.completedModules,
    })),
    resize: resizeStatus(ring),
    unreachable: unreachable(ring, nodesUp),
  };
}

function resizeStatus(ring: Ring): ResizeStatus | null {
  const { resize } = ring.ownership.generations;
  if (resize === null) return null;
  const { phase } = resize;
  const ringSize = resize.owners.length;
  const awaited = phase === "reading"
    ? []
    : resizeSteps(ring).filter(({ status }) => status === "awaiting");
  const owners = [...new Set(awaited.map(({ owner }) => owner))];
  return {
    ringSize,
    phase,
    complete: ring.size - awaited.length,
    waitingOn: awaited.length > 0
      ? owners.sort(compareTexts)
      : phase === "binding"
      ? membersBehind(ring)
      : requestersBehind(ring),
  };
}

/** Whether all members agree. `nodesUp` are the nodes that are up, this one included. */
export function ringReadyResult(
  ring: Ring,
  self: string,
  nodesUp: readonly string[],
): RingReadyResult {
  const agreeing = agreeingMembers(ring);
  const down = agreeing.filter((node) => !nodesUp.includes(node));
  if (down.length > 0) {
    return { ready: false, reason: "nodes_down", nodes: down };
  }
  const behind = membersBehind(ring);
  return behind.length === 0 ? { ready: true, nodes: agreeing } : {
    ready: false,
    reason: "different_owners",
    nodes: [self, behind[0] as string],
  };
}

function unreachable(ring: Ring, nodesUp: readonly string[]): string[] {
  return memberRows(ring)
    .filter(({ node, status }) => status !== "down" && !nodesUp.includes(node))
    .map(({ node }) => node);
}
