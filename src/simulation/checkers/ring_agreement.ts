/**
 * When a cluster has settled, all members have the same ring, every partition
 * is served by its owner and nobody else, no transfer is left, and one member
 * is claimant.
 *
 * ```ts
 * import { checkRingAgreement } from "./ring_agreement.ts";
 * import { freshRing } from "../../ring/ring_change.ts";
 * import { seededChance } from "../../base/chance.ts";
 *
 * const ring = freshRing({
 *   clusterName: "c",
 *   size: 8,
 *   node: { name: "a", nodeId: "1", address: "a:1" },
 *   wallMs: 0,
 *   seed: "0123456789abcdef",
 * });
 * const violations = checkRingAgreement([{ node: "a", ring, serves: [0, 1] }]);
 * ```
 *
 * @module
 */
import { compareTexts } from "../../base/text_order.ts";
import { isWhorlError, reasonOf } from "../../base/errors.ts";
import { memberStatus, type Ring } from "../../ring/ring.ts";
import {
  decodeRing,
  type EncodedRing,
  encodeRing,
} from "../../ring/ring_codec.ts";
import type { Violation } from "./violation.ts";

/** What one member has. */
export interface RingSighting {
  /** The member's name. */
  readonly node: string;
  /** Its ring, or the ring encoded as gossiped. */
  readonly ring: Ring | Uint8Array;
  /**
   * The partitions it serves as their owner.
   *
   * @default {unknown, not checked}
   */
  readonly serves?: readonly number[] | undefined;
}

interface Held extends EncodedRing {
  readonly node: string;
  readonly serves: readonly number[] | undefined;
}

/**
 * Reports every disagreement between `members`, which must be all running
 * members.
 */
export function checkRingAgreement(
  members: readonly RingSighting[],
): readonly Violation[] {
  const violations: Violation[] = [];
  const report = (message: string, details?: unknown): void => {
    violations.push({
      check: "ring_agreement",
      message,
      ...(details === undefined ? {} : { details }),
    });
  };
  const held: Held[] = [];
  for (const { node, ring, serves } of members) {
    try {
      const encoded = ring instanceof Uint8Array
        ? decodeRing(ring)
        : encodeRing(ring);
      held.push({ ...encoded, node, serves });
    } catch (error) {
      if (!isWhorlError(error)) throw error;
      report(`The ring of ${node} cannot be read: ${reasonOf(error)}`);
    }
  }
  const [first] = held;
  if (first === undefined) return violations;
  for (const other of held) {
    if (other.digest === first.digest) continue;
    const differences = ringDifferences(first.ring, other.ring);
    report(
      `${first.node} and ${other.node} hold different rings, ${first.digest} and ${other.digest}: ${
        differences.join("; ")
      }`,
      { nodes: [first.node, other.node], differences },
    );
  }
  if (violations.length === 0) {
    for (const { partition, nextOwner } of first.ring.ownership.next) {
      report(`Partition ${partition} still is to move to ${nextOwner}`);
    }
  }
  violations.push(...claimantViolations(held), ...servingViolations(held));
  return violations;
}

/** Every ring names the same claimant, which is a member of it. */
function claimantViolations(held: readonly Held[]): Violation[] {
  const violations: Violation[] = [];
  const byClaimant = Map.groupBy(held, ({ ring }) => ring.ownership.claimant);
  if (byClaimant.size > 1) {
    violations.push({
      check: "one_claimant",
      message: `There is more than one claimant: ${
        [...byClaimant].map(([claimant, nodes]) =>
          `${claimant} says ${nodes.map(({ node }) => node).join(", ")}`
        ).join("; ")
      }`,
    });
  }
  for (const [claimant, [{ ring }]] of byClaimant as Map<string, [Held]>) {
    const status = memberStatus(ring, claimant);
    if (status !== undefined && status !== "invalid") continue;
    violations.push({
      check: "one_claimant",
      message: `The claimant ${claimant} is ${
        status === undefined ? "no member" : "a removed member"
      }`,
    });
  }
  return violations;
}

/** Every partition is served by the owner in each ring, and by nobody else. */
function servingViolations(held: readonly Held[]): Violation[] {
  const violations: Violation[] = [];
  const serving = held.filter(({ serves }) => serves !== undefined);
  const servers = new Map<number, string[]>();
  for (const { node, serves } of serving) {
    for (const partition of serves as readonly number[]) {
      servers.getOrInsert(partition, []).push(node);
    }
  }
  for (const [partition, nodes] of servers) {
    if (nodes.length === 1) continue;
    violations.push({
      check: "one_owner",
      message: `Partition ${partition} is served by ${nodes.join(" and ")}`,
      details: { partition, nodes },
    });
  }
  for (const { node, ring, serves } of serving) {
    ring.ownership.owners.forEach((owner, partition) => {
      const does = (serves as readonly number[]).includes(partition);
      if (does === (owner === node)) return;
      violations.push({
        check: "one_owner",
        message: does
          ? `${node} serves partition ${partition}, which its ring gives to ${owner}`
          : `${node} does not serve partition ${partition}, which its ring gives to it`,
        details: { partition, nodes: [node] },
      });
    });
  }
  return violations;
}

/** The differences between two rings, in words. */
function ringDifferences(a: Ring, b: Ring): string[] {
  const differences: string[] = [];
  const compare = (what: string, x: unknown, y: unknown): void => {
    if (x !== y) differences.push(`${what} is ${x} and ${y}`);
  };
  compare("the cluster", clusterText(a), clusterText(b));
  compare("the size", a.size, b.size);
  compare("the term", a.ownership.term, b.ownership.term);
  compare("the version", a.ownership.version, b.ownership.version);
  compare("the claimant", a.ownership.claimant, b.ownership.claimant);
  for (let i = 0; i < Math.max(a.size, b.size); i++) {
    const [x, y] = [a.ownership.owners[i], b.ownership.owners[i]];
    compare(`the owner of partition ${i}`, x, y);
  }
  const nodes = new Set([...a.members.keys(), ...b.members.keys()]);
  for (const node of [...nodes].sort(compareTexts)) {
    compare(
      `the status of ${node}`,
      memberStatus(a, node),
      memberStatus(b, node),
    );
  }
  compare("the clock", clockText(a), clockText(b));
  return differences.length > 0 ? differences : ["metadata or progress differ"];
}

function clusterText({ clusterName, clusterId }: Ring): string {
  return `${clusterName} of ${clusterId.claimant}, ${clusterId.seed}`;
}

function clockText({ clock }: Ring): string {
  return [...clock].sort(([a], [b]) => compareTexts(a, b))
    .map(([actor, count]) => `${actor}:${count}`).join(" ");
}
