import { assertEquals } from "@std/assert";
import { memberStatus, type Ring } from "../ring/ring.ts";
import {
  confirmJoining,
  freshRing,
  invite,
  isInvited,
  setStatus,
} from "../ring/ring_change.ts";
import { mergeRings } from "../ring/ring_merge.ts";
import { stagedJoins } from "../ring/staged_changes.ts";
import {
  createInvitations,
  INVITATION_MS,
  type InvitationsEffect,
  stepInvitations,
} from "./invitations_fsm.ts";
import { facts } from "../ring/testing/small_rings.ts";

const alone = freshRing({
  clusterName: "default",
  size: 8,
  seed: "0000000000000001",
  node: facts("host"),
  wallMs: 0,
});
const invited = invite(alone, "host", facts("guest"), 0);

/** The ring an effect wants, if it takes the invitation of the guest back. */
function takenBack(effects: InvitationsEffect[]): boolean {
  return effects.some((effect) =>
    effect.type === "update_ring" &&
    memberStatus(effect.ring, "guest") === "invalid"
  );
}

function asked(effects: InvitationsEffect[]): string {
  const [effect] = effects;
  if (effect?.type !== "ask") throw new Error("Nobody is asked");
  assertEquals(effect.node, "guest");
  return effect.invitation;
}

Deno.test("isInvited() holds until the node itself publishes that it is joining", () => {
  assertEquals(isInvited(invited, "guest"), true);
  assertEquals(stagedJoins(invited), []);
  const confirmed = confirmJoining(invited, "guest");
  assertEquals(isInvited(confirmed, "guest"), false);
  assertEquals(stagedJoins(confirmed), ["guest"]);
  // What the guest said of an earlier invitation does not confirm a later one.
  const again = invite(setStatus(invited, "host", "guest", "invalid"), "host", {
    ...facts("guest"),
  }, 0);
  const merged = mergeRings(again, confirmed);
  assertEquals(isInvited(merged, "guest"), true);
  assertEquals(isInvited(confirmJoining(merged, "guest"), "guest"), false);
});

Deno.test("stepInvitations() asks each invited node at each tick whether it is coming, and no node that has joined", () => {
  const state = createInvitations("host");
  const tick = (ring: Ring) =>
    stepInvitations(state, { type: "tick" }, ring, 0);
  assertEquals(asked(tick(invited)), asked(tick(invited)));
  assertEquals(tick(confirmJoining(invited, "guest")), []);
  assertEquals(tick(alone), []);
});

Deno.test("stepInvitations() withdraws an invitation when its node says no, and only the one that was asked about", () => {
  const state = createInvitations("host");
  const invitation = asked(
    stepInvitations(state, { type: "tick" }, invited, 0),
  );
  const answered = (comes: boolean, ring: Ring) =>
    stepInvitations(
      state,
      { type: "answered", node: "guest", invitation, comes },
      ring,
      1,
    );
  assertEquals(answered(true, invited), []);
  assertEquals(answered(false, confirmJoining(invited, "guest")), []);
  const second = invite(invited, "host", facts("guest"), 0);
  assertEquals(answered(false, second), []);
  assertEquals(takenBack(answered(false, invited)), true);
});

Deno.test("stepInvitations() withdraws an unanswered invitation at its deadline, and gives a new invitation a new deadline", () => {
  const state = createInvitations("host");
  const tick = (ring: Ring, nowMs: number) =>
    stepInvitations(state, { type: "tick" }, ring, nowMs);
  asked(tick(invited, 0));
  asked(tick(invited, INVITATION_MS - 1));
  const second = invite(invited, "host", facts("guest"), 0);
  asked(tick(second, INVITATION_MS));
  asked(tick(second, 2 * INVITATION_MS - 1));
  assertEquals(takenBack(tick(second, 2 * INVITATION_MS)), true);
});

Deno.test("stepInvitations() does nothing on a node that is not the claimant", () => {
  const state = createInvitations("guest");
  assertEquals(
    stepInvitations(state, { type: "tick" }, invited, INVITATION_MS),
    [],
  );
});
