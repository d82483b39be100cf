/**
 * Names of the Raft groups of ensembles. Names with this prefix are reserved
 * for Whorl. The group of a partition has the number of its vnodes, which
 * includes the generation of the ring: so partition 5 of 16 and partition 5 of
 * 64 have groups of their own while the ring is resized.
 *
 * @module
 */
import {
  firstVnodeBeside,
  firstVnodeOf,
  partitionOfVnode,
} from "../ring/ring_generations.ts";

const PREFIX = "whorl/";
const PARTITION_PREFIX = `${PREFIX}partition/`;

/** The group that decides which other groups exist. */
export const ROOT_GROUP = `${PREFIX}root`;

/**
 * The group that serves the keys whose first owner is the vnode with this
 * number.
 */
export function vnodeGroup(vnode: number): string {
  return `${PARTITION_PREFIX}${vnode}`;
}

/** The group that serves the keys whose first owner is `partition`, in a ring of `generation`. */
export function partitionGroup(generation: number, partition: number): string {
  return vnodeGroup(firstVnodeOf(generation) + partition);
}

/**
 * The number of the vnodes of a group, undefined if it is not of a partition.
 */
export function vnodeOfGroup(group: string): number | undefined {
  if (!group.startsWith(PARTITION_PREFIX)) return undefined;
  const digits = group.slice(PARTITION_PREFIX.length);
  return /^\d{1,5}$/.test(digits) ? Number(digits) : undefined;
}

/** The partition of a group of `generation`, undefined for any other group. */
export function partitionOfGroup(
  generation: number,
  group: string,
): number | undefined {
  const vnode = vnodeOfGroup(group);
  return vnode === undefined ||
      firstVnodeBeside(vnode) !== firstVnodeOf(generation)
    ? undefined
    : partitionOfVnode(vnode);
}

/** Whether a group is the root's, or of a partition. */
export function isEnsemble(group: string): boolean {
  return group === ROOT_GROUP || vnodeOfGroup(group) !== undefined;
}
