/**
 * Marks of decisions. Claimants in two parts of a split cluster may decide at
 * the same term and version that a partition moves to different nodes, or that
 * the ring is resized differently. So a report also names the decision that it
 * is about, by a hash of it: it counts for no other, whichever claimant wins.
 * Two decisions with one mark, term and version ask the same of the same owner.
 *
 * @module
 */
import type { RingResize } from "./ring_generations.ts";
import { createSha1State, sha1, sha1Prefix } from "./sha1.ts";

const encoder = new TextEncoder();
const hashed = createSha1State();

function markOf(text: string): string {
  sha1(hashed, encoder.encode(text));
  return sha1Prefix(hashed);
}

/** Marks are asked for again and again, of each partition that moves between two nodes. */
const known = new Map<string, string>();
const KNOWN_MAX = 4_096;

function knownMark(from: string, kind: string, to: string): string {
  const key = JSON.stringify([from, kind, to]);
  let mark = known.get(key);
  if (mark === undefined) {
    if (known.size >= KNOWN_MAX) known.clear();
    known.set(key, mark = markOf(key));
  }
  return mark;
}

/** The mark of the decision that partitions move from `owner` to `nextOwner`. */
export function transferMark(owner: string, nextOwner: string): string {
  return knownMark(owner, "transfer", nextOwner);
}

/** Hashes of the owners of future rings, which can be a thousand. */
const knownOwners = new WeakMap<RingResize["owners"], string>();

/** The mark of the decision that the ring becomes the one that a resize goes to. */
export function resizeMark(
  { generation, owners }: Pick<RingResize, "generation" | "owners">,
): string {
  let hash = knownOwners.get(owners);
  if (hash === undefined) {
    knownOwners.set(owners, hash = markOf(JSON.stringify(owners)));
  }
  return knownMark(hash, "resize", String(generation));
}

/** The mark of the decision that the data of `owner` is spread for the present phase of `resize`. */
export function resizeStepMark(resize: RingResize, owner: string): string {
  return knownMark(owner, resize.phase, resizeMark(resize));
}
