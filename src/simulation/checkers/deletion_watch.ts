/**
 * No node deletes the only copy of an object. When a vnode deletes a partition,
 * each object in it must be durable in the same partition on another node, as
 * it is or contained in a newer one: the new owner has confirmed that it has
 * everything.
 *
 * ```ts
 * import { checkDeletion } from "./deletion_watch.ts";
 *
 * const deleted = new Map([["k", new Uint8Array([1])]]);
 * const violations = checkDeletion("n1, partition 3", deleted, [new Map()], () => false);
 * // violations[0].message: n1, partition 3 deletes 1 object …
 * ```
 *
 * @module
 */
import { equalBytes } from "../../base/byte_order.ts";
import type { Violation } from "./violation.ts";

/** What a store certainly holds of a partition, by key in hex. */
export type PartitionContent = ReadonlyMap<string, Uint8Array>;

/** Keys that a message names. */
const NAMED_MAX = 3;

/**
 * Reports what is lost when `deleted` is deleted.
 *
 * @param place Where it is deleted.
 * @param others The same partition on all other nodes.
 * @param covers Whether the first object contains all of the second.
 */
export function checkDeletion(
  place: string,
  deleted: PartitionContent,
  others: readonly PartitionContent[],
  covers: (object: Uint8Array, other: Uint8Array) => boolean,
): readonly Violation[] {
  const lost = [...deleted].filter(([key, object]) =>
    !others.some((other) => {
      const theirs = other.get(key);
      return theirs !== undefined &&
        (equalBytes(theirs, object) || covers(theirs, object));
    })
  );
  if (lost.length === 0) return [];
  const named = lost.slice(0, NAMED_MAX).map(([key]) => key).join(", ");
  return [{
    check: "deleted_alone",
    message: `${place} deletes ${lost.length} ${
      lost.length === 1 ? "object" : "objects"
    } that no other node has in that partition: ${named}${
      lost.length > NAMED_MAX ? ", …" : ""
    }`,
  }];
}
