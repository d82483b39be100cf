/**
 * What subscribers of a node are told about its ring. Membership and ownership
 * are reported when the ring is stored, as nothing may act on what a crash
 * would undo; agreement of the members is reported as soon as it is known.
 *
 * @module
 */
import type { Address } from "../environment/transport.ts";
import {
  currentMembers,
  MemberMeta,
  memberMeta,
  type MemberStatus,
  memberStatus,
  pendingTransfers,
  type Ring,
  ringReady,
  ringVersion,
} from "../ring/ring.ts";
import type { ClusterChange } from "./cluster_world.ts";

/** What the subscribers of one node have been told. */
export interface RingNews {
  readonly self: string;
  /** The last ring reported, or `null`. */
  told: Ring | null;
  /** Whether the members agreed. */
  ready: boolean;
  peers: ReadonlyMap<string, Address>;
}

/** What is new in a stored ring. */
export interface StoredNews {
  /** The other members and their addresses, or `null` if unchanged. */
  readonly peers: ReadonlyMap<string, Address> | null;
  readonly changes: readonly ClusterChange[];
}

/** Nothing has been reported yet. */
export function createRingNews(self: string): RingNews {
  return { self, told: null, ready: false, peers: new Map() };
}

/** `ring` is the current ring now; `news` has one owner and changes in place. */
export function newsOfCurrent(news: RingNews, ring: Ring): ClusterChange[] {
  const ready = ringReady(ring);
  if (ready === news.ready) return [];
  news.ready = ready;
  return [{ type: "ring_ready", ready }];
}

/** The node `self` has stored `ring`; `news` has one owner and changes in place. */
export function newsOfStored(news: RingNews, ring: Ring): StoredNews {
  const { self, told } = news;
  news.told = ring;
  const before = news.peers;
  news.peers = peersOf(ring, self);
  const changes: ClusterChange[] = [
    ...memberChanges(told, ring),
    { type: "ring_changed", ring, ringVersion: ringVersion(ring) },
  ];
  const transfers = pendingTransfers(ring).filter(({ owner, status }) =>
    owner === self && status === "awaiting"
  );
  if (transfers.length > 0) {
    changes.push({ type: "transfers_pending", transfers });
  }
  return { peers: samePeers(before, news.peers) ? null : news.peers, changes };
}

/** The other members of `ring` and their addresses, ordered by name. */
function peersOf(ring: Ring, self: string): Map<string, Address> {
  const peers = new Map<string, Address>();
  for (const node of currentMembers(ring)) {
    const address = memberMeta(ring, node, MemberMeta.address);
    if (node !== self && typeof address === "string") peers.set(node, address);
  }
  return peers;
}

function samePeers(
  a: ReadonlyMap<string, Address>,
  b: ReadonlyMap<string, Address>,
): boolean {
  return a.size === b.size &&
    [...a].every(([node, address]) => b.get(node) === address);
}

function memberChanges(told: Ring | null, ring: Ring): ClusterChange[] {
  const changes: ClusterChange[] = [];
  for (const node of ring.members.keys()) {
    const after = memberStatus(ring, node) as MemberStatus;
    const before = told === null ? null : memberStatus(told, node) ?? null;
    if (before !== after) {
      changes.push({ type: "member_changed", node, before, after });
    }
  }
  return changes;
}
