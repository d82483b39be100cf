/**
 * What the rings of simulated machines say of each other to whoever looks at all
 * of them.
 *
 * @module
 */
import { currentMembers, type MemberStatus, type Ring } from "../ring/ring.ts";
import type { SimulatedMachine } from "./simulated_machine.ts";

/** The newest ring that any of `machines` goes by. */
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

/** Whether none of those that the node of `machine` knows is a member in `ring`: nobody will ever tell it that it is none. */
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

/** How many changes a ring contains; of two of one cluster the one with more knows more, if not always all. */
function changesOf({ clock }: Ring): number {
  let changes = 0;
  for (const count of clock.values()) changes += count;
  return changes;
}

/** Whether a member that was declared down is about to be one again, and has partitions. */
export function isBack(
  { node }: SimulatedMachine,
  status: MemberStatus | undefined,
): boolean {
  return status === "joining" && node !== undefined &&
    node.parts.cluster?.ring.ownership.owners.includes(node.name) === true;
}

/** Whether a member of that status owns partitions, or is to. */
export function isFull(status: MemberStatus | undefined): boolean {
  return status === "valid" || status === "leaving" || status === "exiting" ||
    status === "down";
}
