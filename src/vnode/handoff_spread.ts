/**
 * Where an item of a vnode goes when the ring gets another number of partitions.
 *
 * A key whose first owner is partition f is kept by f and those after it, so the
 * vnode of partition p has it as its replica number p - f. That replica goes to
 * where it stands in the ring to come: f' + (p - f), f' being the first owner
 * there. So each vnode takes care of its own items alone, and together they make
 * every preference list whole, whatever its length.
 *
 * What a source says of a spread in one batch, in the place of entries:
 *
 *     u16 groups, each u16 vnode · u32 length · batch
 *
 * Each batch is one as any target reads it; its number means nothing.
 *
 * @module
 */
import type { ByteReader } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";
import { appendEntry, beginBatch, sealBatch } from "./handoff_codec.ts";

/** Most replicas a key can have; an item further from its first owner is where no preference list has it. */
export const SPREAD_REPLICAS_MAX = 8;
/** Replicas that keys usually have. Source: riak_core's `n_val`. */
export const SPREAD_REPLICAS_DEFAULT = 3;

/**
 * The partitions an item goes to: one, unless it is further from its first owner
 * than keys usually have replicas. Then it may have come from a ring of yet another
 * size, say with a node that had data when it joined, and goes to as many as those
 * besides.
 *
 * @param from The partition it is in and the size of that ring.
 * @param before First owner of its key in that ring.
 * @param after First owner of its key in the ring of `ringSize` partitions.
 */
export function spreadTo(
  from: { readonly partition: number; readonly ringSize: number },
  before: number,
  after: number,
  ringSize: number,
): number[] {
  const replica = from.partition < from.ringSize
    ? (from.partition - before + from.ringSize) % from.ringSize
    : SPREAD_REPLICAS_MAX;
  if (replica < SPREAD_REPLICAS_DEFAULT) return [(after + replica) % ringSize];
  const replicas = Array.from(
    { length: SPREAD_REPLICAS_DEFAULT },
    (_, each) => (after + each) % ringSize,
  );
  if (replica < SPREAD_REPLICAS_MAX) {
    replicas.push((after + replica) % ringSize);
  }
  return replicas;
}

/** Items on their way to several vnodes. */
export class SpreadGroups {
  readonly #groups = new Map<number, { batch: ByteWriter; entries: number }>();

  /** Adds an item for the vnode with this number. */
  add(vnode: number, kind: number, command: number, content: Uint8Array): void {
    let group = this.#groups.get(vnode);
    if (group === undefined) {
      group = { batch: new ByteWriter(4 * 1024), entries: 0 };
      beginBatch(group.batch);
      this.#groups.set(vnode, group);
    }
    appendEntry(group.batch, kind, command, content);
    group.entries++;
  }

  /** Appends the groups to `into` and forgets them. */
  writeTo(into: ByteWriter): void {
    into.u16(this.#groups.size);
    for (const [vnode, { batch, entries }] of this.#groups) {
      sealBatch(batch, 0, entries);
      into.u16(vnode);
      into.blob(batch.view());
    }
    this.#groups.clear();
  }
}

/** A batch for one of the vnodes of a spread. */
export interface SpreadGroup {
  readonly vnode: number;
  /** A view into what was read. */
  readonly batch: Uint8Array;
}

/** Reads the groups at which `from` stands. @throws {WhorlError} `protocol_error` */
export function readSpreadGroups(from: ByteReader): SpreadGroup[] {
  const groups: SpreadGroup[] = [];
  for (let left = from.u16(); left > 0; left--) {
    groups.push({ vnode: from.u16(), batch: from.blob() });
  }
  return groups;
}
