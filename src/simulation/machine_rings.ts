/**
 * Comparisons of the rings of simulated machines, for code that can see all of
 * them.
 *
 * @module
 */
import { currentMembers, type MemberStatus, type Ring } from "../ring/ring.ts";
import type { SimulatedMachine } from "./simulated_machine.ts";

/** The newest ring on any of `machines`. */
export function newestRing(
  machines: readonly SimulatedMachine[],
): Ring | undefined {
  let newest: Ring | undefined;
  for (const { node } of machines) {
    const ring = node?.parts.cluster?.ring;
    if (ring === undefined) continue;
    if (newest === undefined || changesOf(ring) > changesOf(newest)) {
      newest = ring;
    }
  }
  return newest;
}

/**
 * Whether no node that `machine` knows is a member in `ring`: it will never be
 * told that it is no longer a member.
 */
export function isForgotten(
  { node }: SimulatedMachine,
  ring: Ring | undefined,
): boolean {
  const known = node?.parts.cluster?.ring;
  return ring !== undefined && known !== undefined &&
    currentMembers(known).every((name) =>
      name === node?.name || !currentMembers(ring).includes(name)
    );
}

/**
 * Number of changes in a ring; of two rings of a cluster, the one with more
 * usually knows more.
 */
function changesOf({ clock }: Ring): number {
  let changes = 0;
  for (const count of clock.values()) changes += count;
  return changes;
}

/**
 * Whether a member that was declared down is about to be a full member again,
 * and has partitions.
 */
export function isBack(
  { node }: SimulatedMachine,
  status: MemberStatus | undefined,
): boolean {
  return status === "joining" && node !== undefined &&
    node.parts.cluster?.ring.ownership.owners.includes(node.name) === true;
}

/** Whether a member with that status owns partitions, or will. */
export function isFull(status: MemberStatus | undefined): boolean {
  return status === "valid" || status === "leaving" || status === "exiting" ||
    status === "down";
}
