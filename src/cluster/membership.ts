/**
 * Who may become a member, who is one, and who may be declared down: the checks
 * of `riak_core:standard_join/3` and `riak_core:down/1`, as plain functions.
 * Each `refuse…` returns the refusal, or `null` if there is none.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import {
  currentMembers,
  MemberMeta,
  memberMeta,
  memberStatus,
  type Ring,
  ringReady,
  sameCluster,
} from "../ring/ring.ts";
import { hasConsistentBuckets } from "../ring/consistent_buckets.ts";
import { isInvited, type NodeFacts } from "../ring/ring_change.ts";
import { firstVnode, firstVnodeOf } from "../ring/ring_generations.ts";
import { ownsNothing } from "../ring/ring_upkeep.ts";

/** What a node offers to one that wants to join its cluster. */
export interface JoinOffer {
  /** The offering node. */
  readonly node: string;
  /** Its ring, or `null` while it is still starting. */
  readonly ring: Ring | null;
}

/** Whether this node, alone in `local`, may join the cluster of `offer`. */
export function refuseJoin(
  local: Ring,
  self: NodeFacts,
  offer: JoinOffer,
): WhorlError | null {
  const to = `Cannot join ${offer.node}`;
  if (offer.node === self.name) {
    return new WhorlError("self_join", `${to} as that is this node itself`);
  }
  const bound = refuseDeparture(local, self.name, offer.node);
  if (bound !== null) return bound;
  if (hasConsistentBuckets(local)) {
    return new WhorlError(
      "not_capable",
      `${to} as this node has consistent buckets of its own, which would be lost`,
    );
  }
  if (offer.ring === null) {
    return new WhorlError(
      "node_still_starting",
      `${to} as that node is still starting, or about to join another cluster`,
    );
  }
  // The other node has joined this one, which has not learnt that yet.
  if (sameCluster(local, offer.ring)) {
    return new WhorlError(
      "not_single_node",
      `${to} as that node is joining this one`,
      { details: { members: [offer.node] } },
    );
  }
  if (offer.ring.clusterName !== local.clusterName) {
    return new WhorlError(
      "wrong_cluster",
      `${to} as cluster names must match: local is ${local.clusterName}, remote is ${offer.ring.clusterName}`,
    );
  }
  if (offer.ring.size !== local.size) {
    return new WhorlError(
      "different_ring_sizes",
      `${to} as ring sizes must match: local is ${local.size}, remote is ${offer.ring.size}`,
      { details: { local: local.size, remote: offer.ring.size } },
    );
  }
  if (local.ownership.generations.resize !== null) {
    return new WhorlError(
      "pending_changes",
      `${to} as this node's own ring is being resized: wait for that or abort it`,
    );
  }
  const { resize } = offer.ring.ownership.generations;
  if (
    resize !== null && firstVnodeOf(resize.generation) === firstVnode(local)
  ) {
    return new WhorlError(
      "pending_changes",
      `${to} as its ring is being resized, and this node's data would be mistaken for parts of that: wait until the resize is done`,
    );
  }
  return refuseIdentity(offer.ring, self.name, self.nodeId);
}

/**
 * Whether `self` may leave the cluster of `local` for that of `host`. A node
 * with guests, invited ones included, may not.
 */
export function refuseDeparture(
  local: Ring,
  self: string,
  host: string,
): WhorlError | null {
  const others = currentMembers(local).filter((node) => node !== self);
  return others.length === 0 ? null : new WhorlError(
    "not_single_node",
    `Cannot join ${host} as this node must be alone in its cluster: its other members are ${
      others.join(", ")
    }`,
    { details: { members: others } },
  );
}

/** Whether a node with this name and identity may act as the member of that name in `ring`. */
export function refuseIdentity(
  ring: Ring,
  name: string,
  nodeId: string,
): WhorlError | null {
  const status = memberStatus(ring, name);
  // The name of a removed member is available again.
  if (status === undefined || status === "invalid") return null;
  const known = memberMeta(ring, name, MemberMeta.nodeId);
  if (known === null || known === nodeId) return null;
  return new WhorlError(
    "name_taken",
    `Cannot accept a node as ${name} as the member of that name has another identity`,
    { details: { node: name } },
  );
}

/** Whether `self` may declare `node` down. */
export function refuseDown(
  ring: Ring,
  self: string,
  node: string,
  isUp: boolean,
): WhorlError | null {
  const what = `Cannot declare ${node} down`;
  const members = currentMembers(ring);
  if (!members.includes(node)) {
    return new WhorlError("not_member", `${what} as it is not a member`);
  }
  // Without its host, no node would be left to admit it or to tell it that it
  // is alone.
  if (memberStatus(ring, self) === "joining" && ownsNothing(ring, self)) {
    return new WhorlError(
      "not_member",
      `${what} as this node is joining and not a full member yet`,
    );
  }
  // It may never have joined, and then would never come back up.
  if (isInvited(ring, node)) {
    return new WhorlError("not_member", `${what} as it is only invited`);
  }
  if (isUp) return new WhorlError("is_up", `${what} as it is up`);
  if (members.length === 1) {
    return new WhorlError("only_member", `${what} as it is the only member`);
  }
  return null;
}

/**
 * Whether `self`, which is leaving, may become `exiting` as far as the ring is
 * concerned: it owns nothing, will get nothing, and every member knows that
 * (`riak_core_ring_handler`).
 */
export function mayExit(ring: Ring, self: string): boolean {
  return memberStatus(ring, self) === "leaving" && ownsNothing(ring, self) &&
    ringReady(ring);
}

/**
 * Whether a node is in the cluster of `seed`, or may be about to: that is its
 * current ring, or the one it would start with after a crash, or it is joining
 * some cluster now. After a no it can only come by a new invitation.
 */
export function belongsTo(
  seed: string,
  ring: Ring,
  stored: Ring | null,
  isJoining: boolean,
): boolean {
  return isJoining || ring.clusterId.seed === seed ||
    stored?.clusterId.seed === seed;
}
