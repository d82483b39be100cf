/**
 * Holds this node's ring and keeps it equal to that of all members. Members
 * send each other the digest of the ring they have stored: to two others at
 * once when it changes, and to a random one from time to time in case a message
 * was lost. Only if digests differ is a whole ring sent and merged.
 *
 *     ring changes ─► store ─► publish, announce digest ─┐ to children, and `owed`
 *          ▲                                             ▼
 *        merge ◄── ring ◄── digest with `wanted` ◄── digests differ
 *
 * Two rules underlie this. A ring is neither sent nor published before it is
 * stored, so after a crash no other node knows more about this node than it
 * does itself. And the knowledge of who has seen the ring spreads in digests,
 * without whole rings.
 *
 * The two members told at once are the node's children in a binary tree over
 * the sorted active members, whose leaves wrap around to the root. So news from
 * any member reaches all others in log2(members) steps (`riak_core_gossip`,
 * `riak_core_util:build_tree/3` with `cycles`).
 *
 * @module
 */
import type { Chance } from "../base/chance.ts";
import { sameVersion } from "../causality/version_vector.ts";
import { lostOrigins } from "../ring/lost_origin.ts";
import {
  activeMembers,
  agreeingMembers,
  currentMembers,
  type MemberStatus,
  memberStatus,
  readyMembers,
  type Ring,
  sameCluster,
} from "../ring/ring.ts";
import {
  confirmJoining,
  isInvited,
  markSeen,
  rejoin,
  setOrigins,
  setStatus,
} from "../ring/ring_change.ts";
import { type EncodedRing, encodeRing } from "../ring/ring_codec.ts";
import { mergeRings } from "../ring/ring_merge.ts";
import { originsOf } from "../ring/ring_origin.ts";
import { ownsNothing } from "../ring/ring_upkeep.ts";
import { joiningMembers } from "../ring/staged_changes.ts";
import type { RingDigest } from "./cluster_codec.ts";
import {
  createTokens,
  type GossipTokens,
  mayCatchUp,
  takeToken,
} from "./gossip_tokens.ts";

/** Time without a link to its only host after which a node may give up its join, in milliseconds. */
export const HOST_GONE_MS = 30_000;

/** Inputs of a node's gossip. */
export type GossipEvent =
  /** This node has started with `ring`: the one it was created with plus its present facts. */
  | { type: "started"; ring: Ring }
  /** This node has changed the current ring, with the functions of `ring_change.ts`. */
  | { type: "ring_updated"; ring: Ring }
  /** This node belongs to another cluster now: it joined one, or starts a new one. */
  | { type: "ring_adopted"; ring: Ring }
  /** The ring of the last `store_ring` is durable. */
  | { type: "ring_stored" }
  | { type: "digest_received"; from: string; digest: RingDigest }
  | { type: "ring_received"; from: string; ring: EncodedRing }
  | { type: "peer_up"; node: string }
  | { type: "peer_down"; node: string }
  /**
   * The answer to `ask_host`: the host, or guest, is not in the cluster of
   * `seed`, and can only return by a new invitation.
   */
  | { type: "host_gone"; host: string; seed: string }
  /** This node should give up its join, as its only host cannot be reached. Ignored if there was a link to it recently. */
  | { type: "join_given_up" }
  /** Requested by `announce_soon`. */
  | { type: "announce" }
  /** Time to send a digest to a random member, in case a message was lost. */
  | { type: "tick" };

/** What the gossip asks its shell to do, in this order. */
export type GossipEffect =
  /** Make it durable, then report `ring_stored`. One at a time. */
  | { type: "store_ring"; ring: EncodedRing }
  /** The current ring has changed; `seenOnly` if only who has seen it. */
  | { type: "ring_changed"; ring: Ring; seenOnly: boolean }
  /** The ring may be shown inside and outside this node. */
  | { type: "publish_ring"; ring: EncodedRing }
  | { type: "send_digest"; to: string; digest: RingDigest }
  | { type: "send_ring"; to: string; ring: EncodedRing }
  /** Deliver `announce` at the end of this turn; requested once at a time. */
  | { type: "announce_soon" }
  /** Ask `host` whether it is in the cluster of `seed`; deliver `host_gone` if the answer is no. */
  | { type: "ask_host"; host: string; seed: string }
  /** The cluster has removed this node, which was a member or only `joining`. */
  | { type: "removed"; joining: boolean }
  /** A message was refused. */
  | { type: "refused"; from: string; reason: "wrong_cluster" | "not_member" };

/** The gossip of one node. */
export interface GossipState {
  readonly self: string;
  /** This node's current ring. */
  current: EncodedRing;
  /** The stored ring, which others may know, or `null` before the first is durable. */
  stored: EncodedRing | null;
  /** The ring being stored, or `null`. */
  storing: EncodedRing | null;
  /** Members to tell besides the children at the next announcement. */
  readonly owed: Set<string>;
  announcing: boolean;
  /** Nodes to which there is a link. */
  readonly linked: Set<string>;
  /** When a link to this node's only host last came up or broke, or when it adopted that cluster's ring. */
  hostSeenMs: number;
  readonly tokens: GossipTokens;
  readonly chance: Chance;
}

/** The gossip of `self`, starting with `ring`; `isStored` if that is the stored one. */
export function createGossip(
  self: string,
  ring: Ring,
  isStored: boolean,
  chance: Chance,
  nowMs: number,
): GossipState {
  const current = encodeRing(markSeen(ring, self, ring.clock));
  return {
    self,
    current,
    stored: isStored ? current : null,
    storing: null,
    owed: new Set(),
    announcing: false,
    linked: new Set(),
    hostSeenMs: nowMs,
    tokens: createTokens(nowMs),
    chance,
  };
}

/** Advances the gossip by one event at `nowMs`; `gossip` has one owner and changes in place. */
export function stepGossip(
  gossip: GossipState,
  event: GossipEvent,
  nowMs: number,
): GossipEffect[] {
  switch (event.type) {
    case "started":
      return started(gossip, event.ring);
    case "ring_updated":
      return goBy(gossip, event.ring);
    case "ring_adopted":
      gossip.owed.clear();
      gossip.hostSeenMs = nowMs;
      return goBy(gossip, event.ring, true);
    case "ring_stored":
      return stored(gossip);
    case "digest_received":
      return digestReceived(gossip, event.from, event.digest, nowMs);
    case "ring_received":
      return ringReceived(gossip, event.from, event.ring, nowMs);
    case "peer_up":
      gossip.linked.add(event.node);
      if (event.node === loneHost(gossip)) gossip.hostSeenMs = nowMs;
      return tell(gossip, [event.node]);
    case "peer_down":
      gossip.linked.delete(event.node);
      if (event.node === loneHost(gossip)) gossip.hostSeenMs = nowMs;
      return [];
    case "host_gone":
      return hostGone(gossip, event.host, event.seed);
    case "join_given_up":
      return loneHost(gossip) === null ||
          nowMs - gossip.hostSeenMs < HOST_GONE_MS
        ? []
        : [{ type: "removed", joining: true }];
    case "announce":
      gossip.announcing = false;
      return announce(gossip);
    case "tick":
      return tick(gossip, nowMs);
    default:
      return event satisfies never;
  }
}

/** The stored ring, or `null` if it is of another cluster than the current one. */
export function storedHere(gossip: GossipState): EncodedRing | null {
  const { stored, current } = gossip;
  return stored !== null && sameCluster(stored.ring, current.ring)
    ? stored
    : null;
}

function started(gossip: GossipState, ring: Ring): GossipEffect[] {
  const known = gossip.stored;
  return [
    ...known === null ? [] : [{ type: "publish_ring", ring: known } as const],
    // Published even if unchanged: it has not been published since the start.
    ...goBy(gossip, ring, true),
  ];
}

/** Makes `ring` the current one. Whether it is new is judged by its digest, so repetitions end here. */
function goBy(
  gossip: GossipState,
  ring: Ring,
  always = false,
): GossipEffect[] {
  const before = gossip.current;
  const after = encodeRing(markSeen(ring, gossip.self, ring.clock));
  gossip.current = after;
  if (after.digest === before.digest && !always) {
    if (sameBytes(after.bytes, before.bytes)) return [];
    return [
      { type: "ring_changed", ring: after.ring, seenOnly: true },
      ...announceSoon(gossip),
    ];
  }
  // Members that are no longer active are told once more, or they would never
  // learn why gossip has ended.
  const active = activeMembers(after.ring);
  for (const node of activeMembers(before.ring)) {
    if (!active.includes(node) && sameCluster(before.ring, after.ring)) {
      gossip.owed.add(node);
    }
  }
  return [
    { type: "ring_changed", ring: after.ring, seenOnly: false },
    ...storeNext(gossip),
  ];
}

function storeNext(gossip: GossipState): GossipEffect[] {
  // Changes during a store wait and are then stored together.
  if (gossip.storing !== null) return [];
  if (gossip.stored?.digest === gossip.current.digest) return [];
  gossip.storing = gossip.current;
  return [{ type: "store_ring", ring: gossip.current }];
}

function stored(gossip: GossipState): GossipEffect[] {
  if (gossip.storing === null) return [];
  gossip.stored = gossip.storing;
  gossip.storing = null;
  const here = storedHere(gossip);
  // A ring of a cluster that it has left meanwhile is not published.
  if (here === null) return storeNext(gossip);
  return [
    { type: "publish_ring", ring: here },
    ...announceSoon(gossip),
    ...storeNext(gossip),
  ];
}

function announceSoon(gossip: GossipState): GossipEffect[] {
  if (gossip.announcing) return [];
  gossip.announcing = true;
  return [{ type: "announce_soon" }];
}

function announce(gossip: GossipState): GossipEffect[] {
  const targets = new Set([...childrenOf(gossip), ...gossip.owed]);
  gossip.owed.clear();
  return tell(gossip, targets);
}

/** The two members this node tells at once, or a random one while it is not an active member itself. */
function childrenOf(gossip: GossipState): string[] {
  const members = activeMembers(gossip.current.ring);
  const index = members.indexOf(gossip.self);
  if (index < 0) {
    return members.length === 0 ? [] : [gossip.chance.pick(members)];
  }
  return [2 * index + 1, 2 * index + 2]
    .map((child) => members[child % members.length] as string);
}

function tell(
  gossip: GossipState,
  targets: Iterable<string>,
  wanted = false,
): GossipEffect[] {
  const digest = digestOf(gossip, wanted);
  if (digest === null) return [];
  const effects: GossipEffect[] = [];
  for (const to of targets) {
    if (to !== gossip.self) effects.push({ type: "send_digest", to, digest });
  }
  return effects;
}

function digestOf(gossip: GossipState, wanted: boolean): RingDigest | null {
  const { stored, current, self } = gossip;
  if (stored === null) return null;
  const { ring, digest } = stored;
  // The current ring's `seen` may already refer to a later ring.
  const agreed: string[] = [];
  for (const [node, version] of current.ring.seen) {
    if (node === self || sameVersion(version, ring.clock)) agreed.push(node);
  }
  return {
    clusterName: ring.clusterName,
    seed: ring.clusterId.seed,
    digest,
    agreed: agreed.sort(),
    wanted,
  };
}

function digestReceived(
  gossip: GossipState,
  from: string,
  digest: RingDigest,
  nowMs: number,
): GossipEffect[] {
  const { current } = gossip;
  if (
    digest.clusterName !== current.ring.clusterName ||
    digest.seed !== current.ring.clusterId.seed
  ) return otherCluster(gossip, from, digest.wanted);

  if (digest.digest === current.digest) {
    return agreementReceived(gossip, from, digest.agreed);
  }
  // It has our stored ring. The ring being stored follows as an announcement;
  // answering with the old one would tell it nothing.
  if (digest.digest === gossip.stored?.digest) {
    gossip.owed.add(from);
    return [];
  }
  if (!digest.wanted) return tell(gossip, [from], true);
  return sendRing(gossip, from, nowMs);
}

/** The only host of this node, if it is joining a cluster of one. */
function loneHost(gossip: GossipState): string | null {
  const { ring } = gossip.current;
  const hosts = readyMembers(ring);
  return memberStatus(ring, gossip.self) === "joining" && hosts.length === 1
    ? hosts[0] as string
    : null;
}

/**
 * Whether `node` has confirmed that it joins the cluster of which this node is
 * the claimant. One that was only invited is asked anyway.
 */
function isGuestHere({ current, self }: GossipState, node: string): boolean {
  const { ring } = current;
  return ring.ownership.claimant === self && !isInvited(ring, node) &&
    joiningMembers(ring).includes(node);
}

/** Whether both this node and `node` are full members. */
function isFellow(gossip: GossipState, node: string): boolean {
  const { ring } = gossip.current;
  const full = agreeingMembers(ring);
  return full.includes(node) && full.includes(gossip.self);
}

/**
 * `host` is no longer in the cluster of `seed`. If it was the only host of this
 * node's join, there is nothing left to join. If it was a guest here, it has
 * given up its join while the claimant could not be reached. If both are full
 * members, this node has missed the departure of the other, perhaps together
 * with its own removal, and there may be no one left to tell it. Instead of
 * waiting for it for ever, this node declares it down, which it could
 * contradict. If this node is exiting and that was the last member that could
 * release it, it has left.
 */
function hostGone(
  gossip: GossipState,
  host: string,
  seed: string,
): GossipEffect[] {
  const { ring } = gossip.current;
  if (ring.clusterId.seed !== seed) return [];
  if (loneHost(gossip) === host) return [{ type: "removed", joining: true }];
  if (isGuestHere(gossip, host)) {
    return goBy(gossip, setStatus(ring, gossip.self, host, "invalid"));
  }
  if (!isFellow(gossip, host)) return [];
  const without = setStatus(ring, gossip.self, host, "down");
  const { self } = gossip;
  return memberStatus(ring, self) === "exiting" && ownsNothing(ring, self) &&
      readyMembers(without).length === 0
    ? [{ type: "removed", joining: false }]
    : goBy(gossip, without);
}

/**
 * `from` is in another cluster. If it is the only host of this node's join, it
 * may have withdrawn the invitation and moved, and a fellow member may have
 * left. A digest may be outdated, so `from` is asked. Each side sends its own
 * digest, once.
 */
function otherCluster(
  gossip: GossipState,
  from: string,
  isAnswer: boolean,
): GossipEffect[] {
  const { seed } = gossip.current.ring.clusterId;
  // Until its own ring is stored, this node could only send a digest of the
  // last cluster's, which `from` may hold: both would answer each other
  // endlessly.
  const isSettled = storedHere(gossip) !== null;
  if (!isAnswer && !isSettled) gossip.owed.add(from);
  return [
    { type: "refused", from, reason: "wrong_cluster" },
    ...loneHost(gossip) === from || isFellow(gossip, from) ||
        isGuestHere(gossip, from)
      ? [{ type: "ask_host", host: from, seed } as const]
      : [],
    ...isAnswer || !isSettled ? [] : tell(gossip, [from], true),
  ];
}

function agreementReceived(
  gossip: GossipState,
  from: string,
  agreed: readonly string[],
): GossipEffect[] {
  let ring = gossip.current.ring;
  for (const node of agreed) {
    if (ring.members.has(node)) ring = markSeen(ring, node, ring.clock);
  }
  const heard = ring !== gossip.current.ring ? goBy(gossip, ring) : [];
  // Not before this ring is stored.
  if (gossip.stored?.digest !== gossip.current.digest) return heard;
  const digest = digestOf(gossip, false);
  const lacks = digest?.agreed.some((node) => !agreed.includes(node)) ?? false;
  if (!lacks) return heard;
  // With the pending announcement, or at once.
  if (!gossip.announcing) return tell(gossip, [from]);
  gossip.owed.add(from);
  return heard;
}

function ringReceived(
  gossip: GossipState,
  from: string,
  received: EncodedRing,
  nowMs: number,
): GossipEffect[] {
  const { current, self } = gossip;
  if (!sameCluster(current.ring, received.ring)) {
    return [{ type: "refused", from, reason: "wrong_cluster" }];
  }
  const merged = mergeRings(current.ring, received.ring);
  const sender = memberStatus(merged, from);
  if (sender === undefined) {
    return [{ type: "refused", from, reason: "not_member" }];
  }
  // Changes of a removed member are ignored, and our ring tells it so. Those of
  // a member that is down are accepted: they would come with its return anyway,
  // and if two have declared each other down, one of them must listen first.
  if (sender === "invalid") return sendRing(gossip, from, nowMs);
  const own = memberStatus(merged, self);
  if (own === "invalid" || own === undefined) {
    return [{ type: "removed", joining: isOnlyJoining(current.ring, self) }];
  }
  // Its hosts have removed each other: none is left to admit it.
  if (own === "joining" && !hasHosts(merged) && ownsNothing(merged, self)) {
    return [{ type: "removed", joining: true }];
  }
  const before = gossip.current.digest;
  const effects = goBy(gossip, ownUp(current.ring, merged, own, self));
  if (gossip.current.digest !== received.digest) {
    if (gossip.current.digest === before) {
      return [...effects, ...tell(gossip, [from])];
    }
    gossip.owed.add(from);
  }
  return effects;
}

/** Whether `node` has never been a full member, as far as `ring` knows. */
function isOnlyJoining(ring: Ring, node: string): boolean {
  return memberStatus(ring, node) === "joining" &&
    joiningMembers(ring).includes(node);
}

function hasHosts(ring: Ring): boolean {
  return currentMembers(ring).some((node) =>
    memberStatus(ring, node) !== "joining" || !ownsNothing(ring, node)
  );
}

/** Corrects how `ring` sees this node, which has gone by `before`. */
function ownUp(
  before: Ring,
  ring: Ring,
  own: MemberStatus,
  self: string,
): Ring {
  // Some member took this node for dead; it rejoins and keeps its partitions.
  if (own === "down") return withLost(before, rejoin(ring, self), self);
  // Its request was delivered twice, and the second invitation is not confirmed
  // yet.
  if (isInvited(ring, self)) return confirmJoining(ring, self);
  return isOnlyJoining(ring, self) ? ring : withLost(before, ring, self);
}

/** Names the generations of which this node may hold data although `ring` no longer has them, as a claimant of another part of the cluster has won. */
function withLost(before: Ring, ring: Ring, self: string): Ring {
  const lost = lostOrigins(before, ring);
  if (lost.length === 0) return ring;
  // It may not have handed on yet what it came with.
  const others = originsOf(ring, self).filter((other) =>
    !lost.some(({ generation, size }) =>
      generation === other.generation && size === other.size
    )
  );
  // The latest come first, as there may be too many, but after the origin.
  const origins = [...others.slice(0, 1), ...lost, ...others.slice(1)];
  // Hybrid stamps need no clock: these values replace the previous ones.
  return setOrigins(ring, self, origins, 0);
}

function sendRing(
  gossip: GossipState,
  to: string,
  nowMs: number,
): GossipEffect[] {
  const { stored, current } = gossip;
  if (stored === null || !takeToken(gossip.tokens, nowMs)) return [];
  // If both are the same ring, the current one knows more about who has seen
  // it.
  const ring = stored.digest === current.digest ? current : stored;
  return [{ type: "send_ring", to, ring }];
}

function tick(gossip: GossipState, nowMs: number): GossipEffect[] {
  if (mayCatchUp(gossip.tokens, nowMs)) return announce(gossip);
  const { self, linked, current: { ring } } = gossip;
  // Also one that is down: if two have declared each other down while their links
  // stayed up, nobody else would ever tell them. Without a link it is most likely
  // dead, and is told once there is one.
  const others = currentMembers(ring).filter((node) =>
    node !== self && (memberStatus(ring, node) !== "down" || linked.has(node))
  );
  return others.length === 0 ? [] : tell(gossip, [gossip.chance.pick(others)]);
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
