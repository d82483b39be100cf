import { assertEquals } from "@std/assert";
import { type ErrorCode, WhorlError } from "../base/errors.ts";
import { memberDot, memberStatus, type Ring } from "../ring/ring.ts";
import {
  freshRing,
  invite,
  isAutoJoining,
  isInvited,
  markSeen,
  outgrow,
  setStatus,
} from "../ring/ring_change.ts";
import {
  createJoin,
  isJoinOpen,
  isLeaving,
  type JoinEffect,
  type JoinEvent,
  type JoinState,
  refuseRequest,
  stepJoin,
} from "./join_fsm.ts";
import { facts } from "../ring/testing/small_rings.ts";

function alone(name: string, seed = `seed-${name}`): Ring {
  return freshRing({
    clusterName: "default",
    size: 8,
    seed,
    node: facts(name),
    wallMs: 0,
  });
}

const own = alone("guest");
const hosts = alone("host");
const invitation = invite(hosts, "host", facts("guest"), 0);

/** A join that has come as far as `events`, and what the last of them led to. */
function after(...events: JoinEvent[]): {
  join: JoinState;
  effects: JoinEffect[];
} {
  const join = createJoin(facts("guest"));
  let effects: JoinEffect[] = [];
  for (const event of events) effects = stepJoin(join, event, own, 0);
  return { join, effects };
}

const requested = {
  type: "requested",
  address: "host:1",
  autoJoin: false,
} as const;
const offered: JoinEvent = {
  type: "offered",
  offer: { node: "host", ring: hosts },
};
const invited: JoinEvent = { type: "invited", ring: invitation };

Deno.test("stepJoin() joins only the node that the caller named", () => {
  const meant = after({ ...requested, host: "host" }, offered);
  assertEquals(meant.effects[0]?.type, "ask_admission");
  const { join, effects } = after({ ...requested, host: "other" }, offered);
  assertEquals(failure(join, effects), "not_reachable");
});

/** A join that has taken the ring, and that ring. */
function storing(): { join: JoinState; joined: Ring } {
  const { join, effects } = after(requested, offered, invited);
  const [effect] = effects;
  if (effect?.type !== "adopt_ring") throw new Error(effect?.type);
  return { join, joined: effect.ring };
}

/** The code `effects` end with; no join is open after it. */
function failure(join: JoinState, effects: JoinEffect[]): ErrorCode {
  const [cleared, failed, ...rest] = effects;
  assertEquals(cleared, { type: "clear_deadline" });
  if (failed?.type !== "failed") throw new Error(failed?.type);
  assertEquals(rest, []);
  assertEquals(isJoinOpen(join), false);
  return failed.error.code;
}

Deno.test("stepJoin() makes a single node a member that the claimant knows, one request at a time", () => {
  const { join, effects } = after(requested);
  assertEquals(effects, [{ type: "fetch_offer", address: "host:1" }]);
  assertEquals(stepJoin(join, offered, own, 0), [
    { type: "ask_admission", host: "host", seed: "seed-host" },
  ]);
  assertEquals([isJoinOpen(join), isLeaving(join)], [true, true]);
  const [effect] = stepJoin(join, invited, own, 7);
  if (effect?.type !== "adopt_ring") throw new Error(effect?.type);
  const joined = effect.ring;
  assertEquals(memberStatus(joined, "guest"), "joining");
  assertEquals(isInvited(joined, "guest"), false);
  // From here on there is nothing left that it could leave.
  assertEquals([isJoinOpen(join), isLeaving(join)], [true, false]);
  assertEquals(stepJoin(join, { type: "ring_changed" }, joined, 7), []);
  const stored = { type: "ring_stored", stored: joined } as const;
  assertEquals(stepJoin(join, stored, joined, 7), [{ type: "set_deadline" }]);
  const known = markSeen(joined, "host", joined.clock);
  assertEquals(stepJoin(join, { type: "ring_changed" }, known, 8), [
    { type: "clear_deadline" },
    { type: "joined", result: { joined: "host", claimantKnows: true } },
  ]);
  assertEquals(isJoinOpen(join), false);
});

Deno.test("stepJoin() does not finish before the ring is stored, even if the claimant knows the member", () => {
  const { join, joined } = storing();
  const known = markSeen(joined, "host", joined.clock);
  assertEquals(stepJoin(join, { type: "ring_changed" }, known, 0), []);
  // What is durable so far is from before.
  for (const stored of [own, invitation]) {
    const before = { type: "ring_stored", stored } as const;
    assertEquals(stepJoin(join, before, known, 0), []);
  }
  const stored = { type: "ring_stored", stored: joined } as const;
  assertEquals(
    stepJoin(join, stored, known, 0).map((effect) => effect.type),
    ["set_deadline", "clear_deadline", "joined"],
  );
});

Deno.test("stepJoin() ends as joined without the claimant's knowledge when its deadline passes after the ring is stored", () => {
  const { join, joined } = storing();
  assertEquals(stepJoin(join, { type: "deadline" }, joined, 0), []);
  stepJoin(join, { type: "ring_stored", stored: joined }, joined, 0);
  assertEquals(stepJoin(join, { type: "deadline" }, joined, 0).at(-1), {
    type: "joined",
    result: { joined: "host", claimantKnows: false },
  });
});

Deno.test("stepJoin() fails when the invitation is withdrawn, before and after the ring is stored", () => {
  for (const isStored of [false, true]) {
    const { join, joined } = storing();
    if (isStored) {
      stepJoin(join, { type: "ring_stored", stored: joined }, joined, 0);
    }
    const back = alone("guest", "another");
    const effects = stepJoin(join, { type: "ring_changed" }, back, 0);
    assertEquals(failure(join, effects), "unable_to_get_join_ring");
  }
});

Deno.test("stepJoin() writes into the ring whether the join waits for a commit", () => {
  for (const autoJoin of [false, true]) {
    const { effects } = after({ ...requested, autoJoin }, offered, invited);
    const [effect] = effects;
    if (effect?.type !== "adopt_ring") throw new Error(effect?.type);
    assertEquals(isAutoJoining(effect.ring, "guest"), autoJoin);
  }
});

Deno.test("stepJoin() numbers its join above every earlier change of its node, even if the cluster has not seen those", () => {
  const join = createJoin(facts("guest"));
  const before = outgrow(own, "guest", 70);
  for (const event of [requested, offered]) stepJoin(join, event, before, 0);
  const [effect] = stepJoin(join, invited, before, 0);
  if (effect?.type !== "adopt_ring") throw new Error(effect?.type);
  assertEquals(memberDot(effect.ring, "guest")?.counter, 71);
});

Deno.test("stepJoin() checks its own ring again after each answer", () => {
  const crowded = invite(own, "guest", facts("early"), 0);
  const first = after(requested);
  assertEquals(
    failure(first.join, stepJoin(first.join, offered, crowded, 0)),
    "not_single_node",
  );
  const second = after(requested, offered);
  assertEquals(
    failure(second.join, stepJoin(second.join, invited, crowded, 0)),
    "not_single_node",
  );
});

Deno.test("stepJoin() refuses a ring in which its node is not invited, or of a cluster other than the one offered", () => {
  const elsewhere = invite(alone("host", "new"), "host", facts("guest"), 0);
  const removed = setStatus(invitation, "host", "guest", "invalid");
  for (const ring of [hosts, elsewhere, removed]) {
    const { join, effects } = after(requested, offered, {
      type: "invited",
      ring,
    });
    assertEquals(failure(join, effects), "unable_to_get_join_ring");
  }
});

Deno.test("stepJoin() passes on the codes of refusals, and reports other failures as unable_to_get_join_ring", () => {
  const cases: [JoinEvent["type"], unknown, ErrorCode][] = [
    ["offer_failed", new WhorlError("wrong_cookie", "x"), "wrong_cookie"],
    ["offer_failed", new Error("x"), "unable_to_get_join_ring"],
    [
      "offer_failed",
      new WhorlError("internal", "x"),
      "unable_to_get_join_ring",
    ],
    [
      "offer_unreadable",
      new WhorlError("protocol_error", "x"),
      "unable_to_get_join_ring",
    ],
  ];
  for (const [type, cause, code] of cases) {
    const event = { type, cause } as JoinEvent;
    const { join, effects } = after(requested, event);
    assertEquals(failure(join, effects), code);
  }
  for (
    const [refused, code] of [
      ["name_taken", "name_taken"],
      ["timeout", "unable_to_get_join_ring"],
      ["protocol_error", "unable_to_get_join_ring"],
    ] as const
  ) {
    const cause = new WhorlError(refused, "x");
    const { join, effects } = after(requested, offered, {
      type: "admission_failed",
      cause,
    });
    assertEquals(failure(join, effects), code);
  }
});

Deno.test("stepJoin() ignores answers that it did not request", () => {
  const cause = new Error("late");
  const late: JoinEvent[] = [
    offered,
    invited,
    { type: "offer_failed", cause },
    { type: "offer_unreadable", cause },
    { type: "admission_failed", cause },
    { type: "ring_changed" },
    { type: "ring_stored", stored: own },
    { type: "deadline" },
  ];
  for (const event of late) assertEquals(after(event).effects, []);
  assertEquals(after(requested, requested).effects, []);
});

Deno.test("refuseRequest() refuses a join to the node itself, a second join at the same time, and a join while the node has invited another", () => {
  const idle = createJoin(facts("guest"));
  const code = (join: JoinState, ring: Ring, address: string) =>
    refuseRequest(join, ring, address)?.code ?? null;
  assertEquals(code(idle, own, "host:1"), null);
  assertEquals(code(idle, own, "guest:1"), "self_join");
  assertEquals(code(after(requested).join, own, "host:1"), "not_single_node");
  assertEquals(code(storing().join, own, "host:1"), "not_single_node");
  const crowded = invite(own, "guest", facts("early"), 0);
  assertEquals(code(idle, crowded, "host:1"), "not_single_node");
});
