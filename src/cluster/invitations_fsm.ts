/**
 * The claimant's open invitations. A guest may have crashed, given up, or never
 * received the answer, and as long as it is in the ring, its host may not join
 * another cluster. So the claimant periodically asks it whether it comes, and
 * withdraws the invitation if the answer is no, or if there is none within a
 * time limit.
 *
 * A "no" counts only for the invitation it was asked about: the guest may have
 * got another one meanwhile.
 *
 * @module
 */
import { currentMembers, type Ring } from "../ring/ring.ts";
import { isInvited, setStatus } from "../ring/ring_change.ts";

/** Longest an invitation waits for a node that does not answer, in milliseconds. */
export const INVITATION_MS = 30_000;

/** Inputs. */
export type InvitationsEvent =
  /** Time to check them. */
  | { type: "tick" }
  /** `node` has answered whether it is in the cluster or about to be. */
  | { type: "answered"; node: string; invitation: string; comes: boolean };

/** What the shell must do. */
export type InvitationsEffect =
  | { type: "ask"; node: string; invitation: string }
  /** Make this the current ring. */
  | { type: "update_ring"; ring: Ring; reason: string };

/** The open invitations of one node. */
export interface InvitationsState {
  readonly self: string;
  /** The invitation of each invited node, and when this node first saw it. */
  readonly open: Map<string, { invitation: string; sinceMs: number }>;
}

/** The invitations of `self`; those in its stored ring are found at the first tick. */
export function createInvitations(self: string): InvitationsState {
  return { self, open: new Map() };
}

/** Advances by one event at `nowMs`, with the current ring `ring`; `state` has one owner and changes in place. */
export function stepInvitations(
  state: InvitationsState,
  event: InvitationsEvent,
  ring: Ring,
  nowMs: number,
): InvitationsEffect[] {
  if (ring.ownership.claimant !== state.self) {
    state.open.clear();
    return [];
  }
  switch (event.type) {
    case "tick":
      return tick(state, ring, nowMs);
    case "answered":
      return event.comes || event.invitation !== invitationOf(ring, event.node)
        ? []
        : [takeBack(state, ring, event.node, "does not come")];
    default:
      return event satisfies never;
  }
}

function tick(
  state: InvitationsState,
  ring: Ring,
  nowMs: number,
): InvitationsEffect[] {
  const invited = currentMembers(ring).filter((node) => isInvited(ring, node));
  for (const node of [...state.open.keys()]) {
    if (!invited.includes(node)) state.open.delete(node);
  }
  const effects: InvitationsEffect[] = [];
  let current = ring;
  for (const node of invited) {
    const invitation = invitationOf(ring, node) as string;
    const known = state.open.get(node);
    if (known?.invitation !== invitation) {
      state.open.set(node, { invitation, sinceMs: nowMs });
    } else if (nowMs - known.sinceMs >= INVITATION_MS) {
      const effect = takeBack(state, current, node, "did not come in time");
      current = effect.ring;
      effects.push(effect);
      continue;
    }
    effects.push({ type: "ask", node, invitation });
  }
  return effects;
}

function takeBack(
  state: InvitationsState,
  ring: Ring,
  node: string,
  why: string,
): InvitationsEffect & { type: "update_ring" } {
  state.open.delete(node);
  return {
    type: "update_ring",
    ring: setStatus(ring, state.self, node, "invalid"),
    reason: `${node} was invited and ${why}`,
  };
}

/** Identifies the invitation of `node`, or `null` if it has none. */
function invitationOf(ring: Ring, node: string): string | null {
  if (!isInvited(ring, node)) return null;
  const dots = ring.members.get(node)?.dots ?? [];
  return JSON.stringify(
    dots.map(({ actor, counter }) => [actor, counter]),
  );
}
