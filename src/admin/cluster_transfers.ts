/**
 * All transfers of a cluster, combined from what each member reports about its
 * own and from the transfers that the ring requires.
 *
 * @module
 */
import { compareTexts } from "../base/text_order.ts";
import type { HandoffStatus, TransferStatus } from "../handoff/transfer.ts";
import type {
  AdminSession,
  MemberAnswers,
  MemberFailure,
  RingStatus,
} from "../node/admin_protocol.ts";
import { partitionAtIndex } from "../ring/chash.ts";
import { askMembers } from "./member_calls.ts";

/** How many partitions a node has yet to hand off. */
export interface WaitingNode {
  readonly node: string;
  readonly partitions: number;
  /** What they wait for, without duplicates; left out if they only wait for their turn. */
  readonly reasons?: readonly string[];
}

/** The transfers of a cluster. */
export interface ClusterTransfers {
  /** Nodes with waiting partitions, and how many, sorted by name. */
  readonly waiting: readonly WaitingNode[];
  /** Transfers in progress, without duplicates, oldest first. */
  readonly active: readonly TransferStatus[];
  /** The answer of each member. */
  readonly nodes: readonly HandoffStatus[];
  /** Members that did not answer. */
  readonly unanswered: readonly MemberFailure[];
}

/** Asks all members for their transfers. */
export function askTransfers(
  session: AdminSession,
  options: {
    readonly timeoutMs: number;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<MemberAnswers<HandoffStatus>> {
  return askMembers(session, "handoff_status", {}, { nodes: null, ...options });
}

/** Asks all members, and the ring, for transfers. */
export async function fetchTransfers(
  session: AdminSession,
  options: {
    readonly timeoutMs: number;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<ClusterTransfers> {
  const [answers, ring] = await Promise.all([
    askTransfers(session, options),
    session.call("ring_status", {}, options),
  ]);
  return clusterTransfers(answers, ring);
}

/** Combines the answers of members. */
export function clusterTransfers(
  { answers, failures }: MemberAnswers<HandoffStatus>,
  ring: Pick<RingStatus, "transfers" | "ringSize">,
): ClusterTransfers {
  const nodes = answers.map(({ result }) => result);
  const known = knownTransfers(nodes);
  const active = known.filter(isActive);
  return {
    waiting: waitingNodes(known, active, ring),
    active: active.toSorted((a, b) =>
      (a.startedAtMs ?? Infinity) - (b.startedAtMs ?? Infinity) ||
      compareTexts(a.module, b.module) || a.sourcePartition - b.sourcePartition
    ),
    nodes,
    unanswered: failures,
  };
}

/** Whether a transfer has begun. */
export function isActive({ state }: TransferStatus): boolean {
  return state !== "waiting";
}

/** How much of it is done, 0 to 1; `undefined` if the total is unknown. */
export function shareOf(transfer: TransferStatus): number | undefined {
  const { items, itemsTotal } = transfer;
  if (itemsTotal === null) return undefined;
  return itemsTotal === 0 ? 1 : Math.min(1, items / itemsTotal);
}

/** `42`, or `42 → 40` if the data goes to a partition of another number. */
export function partitionText(transfer: TransferStatus): string {
  const { sourcePartition, targetPartition } = transfer;
  return sourcePartition === targetPartition
    ? String(sourcePartition)
    : `${sourcePartition} → ${targetPartition}`;
}

/**
 * All transfers that members report, without duplicates: the source's report is
 * preferred, the target's is used if the source is silent.
 */
export function knownTransfers(
  nodes: readonly HandoffStatus[],
): TransferStatus[] {
  const byName = new Map<string, TransferStatus>();
  for (const transfer of nodes.flatMap(({ transfers }) => transfers)) {
    const name = JSON.stringify([
      transfer.kind,
      transfer.module,
      transfer.source,
      transfer.sourcePartition,
      transfer.target,
      transfer.targetPartition,
    ]);
    if (transfer.direction === "outbound" || !byName.has(name)) {
      byName.set(name, transfer);
    }
  }
  return [...byName.values()];
}

/**
 * Partitions that wait at each node: those it reports as waiting, and those the
 * ring will take from it that do not move yet.
 */
function waitingNodes(
  known: readonly TransferStatus[],
  active: readonly TransferStatus[],
  ring: Pick<RingStatus, "transfers" | "ringSize">,
): WaitingNode[] {
  const byNode = new Map<string, Set<number>>();
  const reasons = new Map<string, Set<string>>();
  const wait = (node: string, partition: number): void => {
    const partitions = byNode.get(node) ?? new Set();
    byNode.set(node, partitions.add(partition));
  };
  for (const transfer of known) {
    if (isActive(transfer)) continue;
    const { source, reason, failures } = transfer;
    wait(source, transfer.sourcePartition);
    // A transfer that has failed only waits for a pause to end.
    if (reason === null || failures > 0) continue;
    reasons.set(source, (reasons.get(source) ?? new Set()).add(reason));
  }
  for (const { index, owner, waitingOn } of ring.transfers) {
    const partition = partitionAtIndex(index, ring.ringSize);
    const moves = active.some((transfer) =>
      transfer.source === owner && transfer.sourcePartition === partition
    );
    if (waitingOn.length > 0 && !moves) wait(owner, partition);
  }
  return [...byNode].map(([node, { size }]): WaitingNode => {
    const why = [...reasons.get(node) ?? []].sort();
    return {
      node,
      partitions: size,
      ...(why.length === 0 ? {} : { reasons: why }),
    };
  }).sort((a, b) => compareTexts(a.node, b.node));
}
