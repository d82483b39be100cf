/**
 * Counts the answers of the replicas of one request. Replicas are numbered by
 * their position in the preference list, so a set of them is a bit mask, and
 * every question takes a few instructions.
 *
 * What counts towards each demand (how many, how many primaries, how many
 * durable, how many nodes) only grows with every success. So the request is
 * satisfied as soon as the successes meet all demands, and impossible as soon
 * as the successes together with all open replicas could not.
 *
 * @module
 */
import { invariant } from "../base/invariant.ts";
import { type QuorumRule, REPLICAS_MAX } from "./quorum_options.ts";

/** One entry of a preference list. */
export interface Replica {
  readonly partition: number;
  /** Index of the node in the ring view. */
  readonly node: number;
  /** Whether the node owns the partition; a fallback stands in for the owner. */
  readonly primary: boolean;
}

/** A set of replicas: bit i stands for the i-th of the preference list. */
export type ReplicaSet = number;

/** The count of one request, changed in place by its one owner. */
export interface QuorumCount {
  readonly rule: QuorumRule;
  /** Replicas that are asked: all, or the primaries of a strict quorum. */
  readonly asked: ReplicaSet;
  readonly primaries: ReplicaSet;
  /** Accepted the write or answered the read, without an error. */
  succeeded: ReplicaSet;
  /** Of these, durable. Answers to a read count as durable. */
  durable: ReplicaSet;
  failed: ReplicaSet;
  /** Three bits per replica: the first replica on the same node. */
  firstOnNode: number;
  /** How many nodes the successes must come from. */
  nodesNeeded: number;
}

/** Whether a request has met its demands, still can, or cannot. */
export type Verdict = "satisfied" | "pending" | "impossible";

/** A demand that a request does not meet. */
export interface UnmetDemand {
  /** The option that demands it, as the caller names it. */
  readonly option: "r" | "w" | "pr" | "pw" | "dw" | "nodeConfirms";
  readonly needed: number;
  readonly got: number;
}

const BITS_SET = new Uint8Array(1 << REPLICAS_MAX);
for (let set = 1; set < BITS_SET.length; set++) {
  BITS_SET[set] = (BITS_SET[set >> 1] as number) + (set & 1);
}

/** Number of replicas in `set`. */
export function sizeOf(set: ReplicaSet): number {
  return BITS_SET[set] as number;
}

/** A count without any answers. */
export function createQuorumCount(
  replicas: readonly Replica[],
  rule: QuorumRule,
): QuorumCount {
  invariant(
    replicas.length <= rule.n && rule.n <= REPLICAS_MAX,
    "a preference list has at most n entries, and n is at most 8",
  );
  let primaries = 0;
  for (let i = 0; i < replicas.length; i++) {
    if ((replicas[i] as Replica).primary) primaries |= 1 << i;
  }
  const count: QuorumCount = {
    rule,
    asked: rule.strict ? primaries : (1 << replicas.length) - 1,
    primaries,
    succeeded: 0,
    durable: 0,
    failed: 0,
    firstOnNode: 0,
    nodesNeeded: 0,
  };
  recountNodes(count, replicas);
  return count;
}

/** Updates the count after replicas have moved to other nodes. */
export function recountNodes(
  count: QuorumCount,
  replicas: readonly Replica[],
): void {
  let firsts = 0;
  for (let i = 0; i < replicas.length; i++) {
    const { node } = replicas[i] as Replica;
    let first = 0;
    while ((replicas[first] as Replica).node !== node) first++;
    firsts |= first << (3 * i);
  }
  count.firstOnNode = firsts;
  const { need, nodeConfirms } = count.rule;
  count.nodesNeeded = Math.max(
    nodeConfirms,
    Math.min(need, nodesIn(count, count.asked)),
  );
}

/** Number of distinct nodes of the replicas in `set`. */
function nodesIn(count: QuorumCount, set: ReplicaSet): number {
  let nodes = 0;
  for (let i = 0, rest = set; rest !== 0; i++, rest >>= 1) {
    if (rest & 1) nodes |= 1 << ((count.firstOnNode >> (3 * i)) & 7);
  }
  return sizeOf(nodes);
}

/** Counts a success; a repeated one for the same replica only changes its durability. */
export function countSuccess(
  count: QuorumCount,
  replica: number,
  durable: boolean,
): void {
  const bit = 1 << replica;
  count.succeeded |= bit;
  if (durable) count.durable |= bit;
}

/**
 * Counts a failure. It takes back an early success: a write that was accepted
 * but could not be committed is not there.
 */
export function countFailure(count: QuorumCount, replica: number): void {
  const bit = 1 << replica;
  count.failed |= bit;
  count.succeeded &= ~bit;
  count.durable &= ~bit;
}

/** The verdict on the request. */
export function verdictOf(count: QuorumCount): Verdict {
  if (meets(count, count.succeeded, count.durable)) return "satisfied";
  const possible = count.asked & ~count.failed;
  return meets(count, possible, possible) ? "pending" : "impossible";
}

function meets(
  count: QuorumCount,
  succeeded: ReplicaSet,
  durable: ReplicaSet,
): boolean {
  const { rule } = count;
  return sizeOf(succeeded) >= rule.need &&
    sizeOf(durable) >= rule.durable &&
    sizeOf(succeeded & count.primaries) >= rule.primaries &&
    nodesIn(count, succeeded) >= count.nodesNeeded &&
    nodesIn(count, durable) >= durableNodesNeeded(count);
}

/** Copies that must survive a power failure must not all be on one node either. */
function durableNodesNeeded(count: QuorumCount): number {
  return Math.min(count.rule.durable, count.nodesNeeded);
}

/**
 * The first demand that is not met: by the answers so far, or, if `reachable`,
 * by them and all that could still arrive.
 */
export function unmetDemand(
  count: QuorumCount,
  reachable: boolean,
): UnmetDemand | undefined {
  const { rule } = count;
  const open = count.asked & ~count.failed;
  const set = reachable ? open : count.succeeded;
  const durable = reachable ? open : count.durable;
  const write = rule.kind === "write";
  if (sizeOf(set) < rule.need) {
    return {
      option: write ? "w" : "r",
      needed: rule.need,
      got: sizeOf(set),
    };
  }
  if (sizeOf(set & count.primaries) < rule.primaries) {
    return {
      option: write ? "pw" : "pr",
      needed: rule.primaries,
      got: sizeOf(set & count.primaries),
    };
  }
  if (sizeOf(durable) < rule.durable) {
    return { option: "dw", needed: rule.durable, got: sizeOf(durable) };
  }
  if (nodesIn(count, set) < count.nodesNeeded) {
    return {
      option: "nodeConfirms",
      needed: count.nodesNeeded,
      got: nodesIn(count, set),
    };
  }
  if (nodesIn(count, durable) < durableNodesNeeded(count)) {
    return {
      option: "nodeConfirms",
      needed: durableNodesNeeded(count),
      got: nodesIn(count, durable),
    };
  }
  return undefined;
}
