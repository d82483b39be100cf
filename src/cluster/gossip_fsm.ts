/**
 * Holds this node's ring and keeps it the same as everybody's. Members tell each
 * other the digest of the ring they have stored: at once to two others when it
 * changes, to a random one now and then in case a message was lost. Only where
 * digests differ does a whole ring travel, and it is merged.
 *
 *     ring changes ─► store ─► publish, announce digest ─┐ to children and debtors
 *          ▲                                             ▼
 *        merge ◄── ring ◄── digest with `wanted` ◄── digests differ
 *
 * Two rules carry the rest. Nothing leaves this node, and no subscriber hears
 * of a ring, before that ring is stored: after a crash nobody knows more of this
 * node than it does. And knowing who has seen the ring spreads inside digests,
 * without rings.
 *
 * The pair of members told at once are the children in a binary tree over the
 * sorted active members whose leaves wrap around to the root, so every member
 * reaches all others in log2(members) steps (`riak_core_gossip`,
 * `riak_core_util:build_tree/3` with `cycles`).
 *
 * @module
 */
import type { Chance } from "../base/chance.ts";
import { sameVersion } from "../causality/version_vector.ts";
import { lostOrigin } from "../ring/lost_origin.ts";
import {
  activeMembers,
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
  setOrigin,
  setStatus,
} from "../ring/ring_change.ts";
import { type EncodedRing, encodeRing } from "../ring/ring_codec.ts";
import { textOfOrigin } from "../ring/ring_generations.ts";
import { mergeRings } from "../ring/ring_merge.ts";
import { ownsNothing } from "../ring/ring_upkeep.ts";
import { joiningMembers } from "../ring/staged_changes.ts";
import type { RingDigest } from "./cluster_codec.ts";
import {
  createTokens,
  type GossipTokens,
  mayCatchUp,
  takeToken,
} from "./gossip_tokens.ts";

/** Time without a link to its only host after which a node may give up to join, in milliseconds. */
export const HOST_GONE_MS = 30_000;

/** What the gossip of a node can be told. */
export type GossipEvent =
  /** This node has started and goes by `ring`, the one it was created with and what it has to say of itself now. */
  | { type: "started"; ring: Ring }
  /** This node changed its ring, by the functions of `ring_change.ts`, from the current one. */
  | { type: "ring_updated"; ring: Ring }
  /** This node belongs to another cluster now: it joined one, or begins anew. */
  | { type: "ring_adopted"; ring: Ring }
  /** The ring of the last `store_ring` is durable. */
  | { type: "ring_stored" }
  | { type: "digest_received"; from: string; digest: RingDigest }
  | { type: "ring_received"; from: string; ring: EncodedRing }
  | { type: "peer_up"; node: string }
  | { type: "peer_down"; node: string }
  /** What `ask_host` asked for: the host, or guest, is not in the cluster of `seed`, and will not be again but by a new invitation. */
  | { type: "host_gone"; host: string; seed: string }
  /** This node is to join no more, as its only host cannot be reached. Nothing follows if there was a link to it of late. */
  | { type: "join_given_up" }
  /** The moment asked for by `announce_soon` has come. */
  | { type: "announce" }
  /** Time to tell a random member, in case a message was lost. */
  | { type: "tick" };

/** What the gossip of a node wants done, in this order. */
export type GossipEffect =
  /** Make it durable, then say `ring_stored`. One at a time. */
  | { type: "store_ring"; ring: EncodedRing }
  /** The ring this node goes by has changed; `seenOnly` if only what members have seen has. */
  | { type: "ring_changed"; ring: Ring; seenOnly: boolean }
  /** The ring may be shown to others, inside this node and outside. */
  | { type: "publish_ring"; ring: EncodedRing }
  | { type: "send_digest"; to: string; digest: RingDigest }
  | { type: "send_ring"; to: string; ring: EncodedRing }
  /** Say `announce` at the end of this turn; asked once at a time. */
  | { type: "announce_soon" }
  /** Ask `host` whether it is in the cluster of `seed`; say `host_gone` if it says no. */
  | { type: "ask_host"; host: string; seed: string }
  /** The cluster has removed this node, which was a member or only `joining`. */
  | { type: "removed"; joining: boolean }
  /** A message was refused. */
  | { type: "refused"; from: string; reason: "wrong_cluster" | "not_member" };

/** The gossip of one node. */
export interface GossipState {
  readonly self: string;
  /** The ring this node goes by. */
  current: EncodedRing;
  /** The ring others may know it goes by, or `null` before the first is durable. */
  stored: EncodedRing | null;
  /** On its way to the disk, or `null`. */
  storing: EncodedRing | null;
  /** Members to tell besides the children at the next announcement. */
  readonly owed: Set<string>;
  announcing: boolean;
  /** When a link to the only host of the cluster this node joins last came or broke, or since when it goes by that cluster's ring. */
  hostSeenMs: number;
  readonly tokens: GossipTokens;
  readonly chance: Chance;
}

/** The gossip of `self`, beginning with `ring`; `isStored` if that is what the disk holds. */
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
      if (event.node === loneHost(gossip)) gossip.hostSeenMs = nowMs;
      return tell(gossip, [event.node]);
    case "peer_down":
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

/** The stored ring, or `null` while it is none of the cluster this node goes by. */
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
    // It is told also if it is the one before: nobody has heard of that yet.
    ...goBy(gossip, ring, true),
  ];
}

/** Makes `ring` the current one. Whether it is new is judged by its digest, so repeats end here. */
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
  // Those who were told until now and would never hear why they no longer are.
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
  // Changes that come while the disk is busy wait and are stored together.
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
  // A ring of a cluster that it has left meanwhile is no news to anybody.
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

/** The two members this node tells at once, or a random one while it is no active member itself. */
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
  // What the current ring says of others may already be about a later one.
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
  // It has what is on this disk. What is on its way there follows as an
  // announcement; to speak of the old ring until then would tell it nothing.
  if (digest.digest === gossip.stored?.digest) {
    gossip.owed.add(from);
    return [];
  }
  if (!digest.wanted) return tell(gossip, [from], true);
  return sendRing(gossip, from, nowMs);
}

/** While this node is joining a cluster of one, that one. */
function loneHost(gossip: GossipState): string | null {
  const { ring } = gossip.current;
  const hosts = readyMembers(ring);
  return memberStatus(ring, gossip.self) === "joining" && hosts.length === 1
    ? hosts[0] as string
    : null;
}

/** Whether `node` has said that it joins the cluster of which this node is the claimant. One that was only invited is asked anyhow. */
function isGuestHere({ current, self }: GossipState, node: string): boolean {
  const { ring } = current;
  return ring.ownership.claimant === self && !isInvited(ring, node) &&
    joiningMembers(ring).includes(node);
}

/** Whether `node` counts for this node, a full member, as another one. */
function isFellow(gossip: GossipState, node: string): boolean {
  const { ring } = gossip.current;
  const full: readonly (MemberStatus | undefined)[] = [
    "valid",
    "leaving",
    "exiting",
  ];
  return full.includes(memberStatus(ring, node)) &&
    full.includes(memberStatus(ring, gossip.self));
}

/**
 * `host` is not in the cluster of `seed` any more. If that leaves nobody in the
 * cluster this node is joining, there is nothing to join. If it was to join this
 * one, it has given that up while it could not be let go. If this node is a
 * member, it has missed how the other one went, maybe together with its own
 * removal, and nobody may be left to tell it; so that it need not wait for the
 * other one for ever, that is declared down, which it could contradict. If this
 * node has exited and that was the last one who could let it go, it has left.
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
 * `from` is in another cluster. If it is the one member of the cluster this node
 * is joining, it may have taken the invitation back and gone, and a fellow
 * member may have left. A digest may be from before it came, so it is asked.
 * Each side says where it is, once.
 */
function otherCluster(
  gossip: GossipState,
  from: string,
  isAnswer: boolean,
): GossipEffect[] {
  const { seed } = gossip.current.ring.clusterId;
  // Until its own ring is stored this node could only speak of the last cluster's,
  // which `from` may hold: it would answer with the same again, and so on.
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
  // While the disk is busy this ring is not ours to speak of.
  if (gossip.stored?.digest !== gossip.current.digest) return heard;
  const digest = digestOf(gossip, false);
  const lacks = digest?.agreed.some((node) => !agreed.includes(node)) ?? false;
  if (!lacks) return heard;
  // With the announcement that is due anyway, or at once.
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
  // One who was removed has no say; our ring tells it so. One who is down has:
  // its changes would come with its return anyway, and if two have declared each
  // other down, one of them must listen first.
  if (sender === "invalid") return sendRing(gossip, from, nowMs);
  const own = memberStatus(merged, self);
  if (own === "invalid" || own === undefined) {
    return [{ type: "removed", joining: isOnlyJoining(current.ring, self) }];
  }
  // Its hosts have removed each other: nobody is left to let it in.
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

/** Whether `node` never was a full member, as far as `ring` knows. */
function isOnlyJoining(ring: Ring, node: string): boolean {
  return memberStatus(ring, node) === "joining" &&
    joiningMembers(ring).includes(node);
}

function hasHosts(ring: Ring): boolean {
  return currentMembers(ring).some((node) =>
    memberStatus(ring, node) !== "joining" || !ownsNothing(ring, node)
  );
}

/** What this node, which has gone by `before`, has to say to how `ring` knows it. */
function ownUp(
  before: Ring,
  ring: Ring,
  own: MemberStatus,
  self: string,
): Ring {
  // Somebody took this node for dead; it asks in again and keeps its partitions.
  if (own === "down") return withLost(before, rejoin(ring, self), self);
  // Its request was delivered twice, and the second invitation is not taken up yet.
  if (isInvited(ring, self)) return confirmJoining(ring, self);
  return isOnlyJoining(ring, self) ? ring : withLost(before, ring, self);
}

/** What it holds of a ring that is no more, as a claimant of another part of the cluster has won, it says like one that comes with that. */
function withLost(before: Ring, ring: Ring, self: string): Ring {
  const lost = lostOrigin(before, ring);
  return lost === null
    ? ring
    // Hybrid stamps need no clock: this one replaces what was said before.
    : setOrigin(ring, self, textOfOrigin(lost), 0);
}

function sendRing(
  gossip: GossipState,
  to: string,
  nowMs: number,
): GossipEffect[] {
  const { stored, current } = gossip;
  if (stored === null || !takeToken(gossip.tokens, nowMs)) return [];
  // The current one knows more of who has seen it, if it is the same ring.
  const ring = stored.digest === current.digest ? current : stored;
  return [{ type: "send_ring", to, ring }];
}

function tick(gossip: GossipState, nowMs: number): GossipEffect[] {
  if (mayCatchUp(gossip.tokens, nowMs)) return announce(gossip);
  // Also one that is down: if two have declared each other down while their links
  // stayed up, nobody else would ever tell them.
  const others = currentMembers(gossip.current.ring)
    .filter((node) => node !== gossip.self);
  return others.length === 0 ? [] : tell(gossip, [gossip.chance.pick(others)]);
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
