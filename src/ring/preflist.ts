/**
 * Preference lists: the N partitions that hold a key, and the nodes that
 * currently serve them (DeCandia et al., "Dynamo", 2007, §4.3 and §4.6;
 * riak_core's `riak_core_apl.erl`).
 *
 * The preference list of a key is its first owner's partition and the N - 1
 * after it, in ring order, wrapping. It may contain a node more than once.
 *
 * The _active_ one replaces primaries whose node is down: for each of them, in
 * order, the walk continues round the rest of the ring to the next partition
 * whose node is up, and that node serves the _primary's_ partition as its
 * fallback. The walk does not turn back, and when it has come round, the list
 * is shorter than N. Primaries that are up come first, then the fallbacks.
 *
 * Requests use {@linkcode fillPreflist}, {@linkcode fillPrimaryPreflist} and
 * {@linkcode fillActivePreflist}, which write small integers into a reused
 * {@linkcode Preflist}; the other functions return names, for people.
 *
 * @module
 */
import { RING_SIZE_MAX } from "./chash.ts";

/** The input of a preference list; a `RingView` is one. */
export interface PreflistRing {
  /** Index of the owner, by partition; its length is the ring size. */
  readonly owners: Uint16Array;
  /** 1 for nodes that are up, by index. */
  readonly up: Uint8Array;
}

/**
 * A preference list as integers, written by the `fill…` functions and reused.
 */
export class Preflist {
  /** Number of entries. */
  length = 0;
  /** The partition of each entry. */
  readonly partitions: Uint16Array<ArrayBuffer>;
  /** The index of the node that serves it. */
  readonly nodes: Uint16Array<ArrayBuffer>;
  /** 1 if that node is a fallback, 0 if it is the owner. */
  readonly fallbacks: Uint8Array<ArrayBuffer>;

  /** An empty list. @param capacity The largest N it can hold. */
  constructor(capacity: number) {
    this.partitions = new Uint16Array(capacity);
    this.nodes = new Uint16Array(capacity);
    this.fallbacks = new Uint8Array(capacity);
  }
}

/**
 * Fills `into` with the preference list of `first`: N owners, up or not.
 *
 * @param first The first owner's partition.
 * @param n Number of replicas of a key.
 * @throws {RangeError} If `n` is not a whole number from 1 to the ring size or
 * is more than `into` can hold.
 */
export function fillPreflist(
  into: Preflist,
  ring: Pick<PreflistRing, "owners">,
  first: number,
  n: number,
): void {
  const { owners } = ring;
  requireN(into, n, owners.length);
  const { partitions, nodes, fallbacks } = into;
  let partition = first;
  for (let i = 0; i < n; i++) {
    partitions[i] = partition;
    nodes[i] = owners[partition]!;
    fallbacks[i] = 0;
    if (++partition === owners.length) partition = 0;
  }
  into.length = n;
}

/**
 * Fills `into` with the primaries of `first` that are up; there may be none.
 *
 * @throws {RangeError} As {@linkcode fillPreflist} does.
 */
export function fillPrimaryPreflist(
  into: Preflist,
  ring: PreflistRing,
  first: number,
  n: number,
): void {
  const { owners, up } = ring;
  requireN(into, n, owners.length);
  const { partitions, nodes, fallbacks } = into;
  let partition = first;
  let length = 0;
  for (let i = 0; i < n; i++) {
    const node = owners[partition]!;
    if (up[node] === 1) {
      partitions[length] = partition;
      nodes[length] = node;
      fallbacks[length++] = 0;
    }
    if (++partition === owners.length) partition = 0;
  }
  into.length = length;
}

/**
 * Fills `into` with the active preference list of `first`: primaries that are
 * up, then fallbacks for those that are down, as far as there are any.
 *
 * @throws {RangeError} As {@linkcode fillPreflist} does.
 */
export function fillActivePreflist(
  into: Preflist,
  ring: PreflistRing,
  first: number,
  n: number,
): void {
  fillPrimaryPreflist(into, ring, first, n);
  if (into.length === n) return;
  const { owners, up } = ring;
  const { partitions, nodes, fallbacks } = into;
  const ringSize = owners.length;
  let length = into.length;
  let primary = first;
  // Position of the walk; it has come round when it is back at `first`.
  let walk = (first + n) % ringSize;
  let left = ringSize - n;
  for (let i = 0; i < n; i++) {
    if (up[owners[primary]!] !== 1) {
      let node = 0;
      let found = false;
      while (left > 0 && !found) {
        node = owners[walk]!;
        found = up[node] === 1;
        if (++walk === ringSize) walk = 0;
        left--;
      }
      if (!found) break;
      partitions[length] = primary;
      nodes[length] = node;
      fallbacks[length++] = 1;
    }
    if (++primary === ringSize) primary = 0;
  }
  into.length = length;
}

function requireN(into: Preflist, n: number, ringSize: number): void {
  const most = Math.min(into.partitions.length, ringSize);
  if (!Number.isInteger(n) || n < 1 || n > most) {
    throw new RangeError(
      `Cannot make a preference list as n must be from 1 to ${most}: current value is ${n}`,
    );
  }
}

/** One entry of a preference list, by name. */
export interface PreflistEntry {
  /** The partition the entry is for. */
  readonly partition: number;
  /** The node that serves it. */
  readonly node: string;
  /** Whether that node owns the partition or is a fallback. */
  readonly kind: "primary" | "fallback";
}

/** A ring whose nodes have names; a `RingView` is one. */
export interface NamedRing extends PreflistRing {
  /** Names of nodes, by index. */
  readonly nodes: readonly string[];
}

// Shared by the functions on names: filled and read synchronously.
const scratch = new Preflist(RING_SIZE_MAX);

/**
 * The preference list of `first`: N owners, up or not.
 *
 * @throws {RangeError} If `n` is not a whole number from 1 to the ring size.
 */
export function preflist(
  ring: Omit<NamedRing, "up">,
  first: number,
  n: number,
): PreflistEntry[] {
  fillPreflist(scratch, ring, first, n);
  return named(ring.nodes);
}

/**
 * The primaries of `first` that are up.
 *
 * @throws {RangeError} If `n` is not a whole number from 1 to the ring size.
 */
export function primaryPreflist(
  ring: NamedRing,
  first: number,
  n: number,
): PreflistEntry[] {
  fillPrimaryPreflist(scratch, ring, first, n);
  return named(ring.nodes);
}

/**
 * The active preference list of `first`.
 *
 * @throws {RangeError} If `n` is not a whole number from 1 to the ring size.
 */
export function activePreflist(
  ring: NamedRing,
  first: number,
  n: number,
): PreflistEntry[] {
  fillActivePreflist(scratch, ring, first, n);
  return named(ring.nodes);
}

function named(nodes: readonly string[]): PreflistEntry[] {
  const entries: PreflistEntry[] = [];
  for (let i = 0; i < scratch.length; i++) {
    entries.push({
      partition: scratch.partitions[i]!,
      node: nodes[scratch.nodes[i]!]!,
      kind: scratch.fallbacks[i] === 1 ? "fallback" : "primary",
    });
  }
  return entries;
}
