/**
 * What the Raft groups of ensembles are called. Names that begin so belong to
 * Whorl.
 *
 * @module
 */

const PREFIX = "whorl/";
const PARTITION_PREFIX = `${PREFIX}partition/`;

/** The group that decides which others there are. */
export const ROOT_GROUP = `${PREFIX}root`;

/** The group that serves the keys whose first owner is `partition`. */
export function partitionGroup(partition: number): string {
  return `${PARTITION_PREFIX}${partition}`;
}

/** The partition of a group, undefined if it is of none. */
export function partitionOfGroup(group: string): number | undefined {
  if (!group.startsWith(PARTITION_PREFIX)) return undefined;
  const digits = group.slice(PARTITION_PREFIX.length);
  return /^\d{1,4}$/.test(digits) ? Number(digits) : undefined;
}

/** Whether a group is the root's or of a partition. */
export function isEnsemble(group: string): boolean {
  return group === ROOT_GROUP || partitionOfGroup(group) !== undefined;
}
