/**
 * The claimant: the one member that writes who owns what. It plans and commits
 * staged changes, switches owners when transfers are complete, lets members in
 * again that had been marked down, and follows a claimant that is gone. Every
 * node runs this; it acts on the node the ring names.
 *
 * A plan or a commit that arrives while the members do not agree on the ring
 * waits for them until its deadline, instead of failing or racing them
 * (riak_core#405). A commit runs:
 *
 *     waiting ── ring ready ─► asking owners ── nothing held ─► committed
 *        ├── deadline ─► ring_not_ready  └── data held ─► handoff_required
 *        └── ring ready, other plan ─► plan_changed | nothing_planned
 *
 * Staged changes and the last committed plan stand in the ring, so they outlive
 * the claimant; riak_core loses them with it.
 *
 * @module
 */
import type { ErrorCode } from "../base/errors.ts";
import {
  currentMembers,
  membersBehind,
  memberStatus,
  pendingTransfers,
  readyMembers,
  type Ring,
} from "../ring/ring.ts";
import {
  isAutoJoining,
  setOwnership,
  setStatus,
  takeOverClaim,
  transfersTowards,
} from "../ring/ring_change.ts";
import {
  type ComputedPlan,
  computePlan,
  type StagedPlan,
} from "../ring/staged_plan.ts";

/** Requests that may wait at once; more are refused with `overload`. */
export const CLAIMANT_REQUESTS_MAX = 64;

/** What can be asked of the claimant. */
export type ClaimantRequest =
  | { readonly method: "plan" }
  | {
    readonly method: "commit";
    /** The plan that is meant, or `null` for the one shown last. */
    readonly planId: string | null;
  }
  | { readonly method: "clear" };

/** What it answers. */
export type ClaimantResult =
  | { readonly method: "plan"; readonly plan: StagedPlan }
  | { readonly method: "commit"; readonly planId: string }
  | { readonly method: "clear"; readonly nodes: readonly string[] };

/** Partitions of one owner that would move away from it. */
export interface HoldsDataQuestion {
  readonly node: string;
  readonly partitions: readonly number[];
}

/** What the claimant can be told. `id`s are chosen by who asks and never used twice. */
export type ClaimantEvent =
  | { type: "ring_changed"; ring: Ring }
  | {
    type: "request";
    id: number;
    request: ClaimantRequest;
    waitMs: number;
  }
  /** All owners have answered: these partitions hold data. */
  | { type: "data_held"; id: number; partitions: readonly number[] }
  /** An owner could not be asked. */
  | { type: "data_unknown"; id: number; node: string }
  | { type: "deadline"; id: number };

/** What the claimant wants done, in this order. */
export type ClaimantEffect =
  /** Go by this ring from now on. What follows in the list waits until it is stored. */
  | { type: "update_ring"; ring: Ring; reason: string }
  | { type: "reply"; id: number; result: ClaimantResult }
  | {
    type: "fail";
    id: number;
    code: ErrorCode;
    message: string;
    details: Record<string, unknown>;
  }
  | { type: "ask_holds_data"; id: number; questions: HoldsDataQuestion[] }
  | { type: "set_deadline"; id: number; afterMs: number }
  | { type: "clear_deadline"; id: number };

interface Waiting {
  readonly request: ClaimantRequest;
  /** The plan whose owners are being asked, or `null`. */
  asking: ComputedPlan | null;
}

/** The claimant of one node. */
export interface ClaimantState {
  readonly self: string;
  /** Consecutive partitions that should belong to different nodes. */
  readonly targetN: number;
  ring: Ring;
  /** Requests in order of arrival. */
  readonly waiting: Map<number, Waiting>;
  /** The plan that was shown last, or `null`. */
  shownPlanId: string | null;
}

/** The claimant of `self`, which goes by `ring`. */
export function createClaimant(
  self: string,
  ring: Ring,
  targetN: number,
): ClaimantState {
  return { self, targetN, ring, waiting: new Map(), shownPlanId: null };
}

/** Advances the claimant by one event; `claimant` has one owner and changes in place. */
export function stepClaimant(
  claimant: ClaimantState,
  event: ClaimantEvent,
): ClaimantEffect[] {
  switch (event.type) {
    case "ring_changed":
      claimant.ring = event.ring;
      return [...tend(claimant), ...retry(claimant)];
    case "request":
      return request(claimant, event.id, event.request, event.waitMs);
    case "data_held":
      return dataHeld(claimant, event.id, event.partitions);
    case "data_unknown": {
      const waiting = claimant.waiting.get(event.id);
      if (waiting === undefined) return [];
      return fail(claimant, event.id, "not_reachable", {
        message:
          `Cannot commit as the owner of a partition that moves must answer: ${event.node} does not`,
        details: { node: event.node },
      });
    }
    case "deadline":
      return expired(claimant, event.id);
    default:
      return event satisfies never;
  }
}

function isClaimant(claimant: ClaimantState): boolean {
  return claimant.ring.ownership.claimant === claimant.self;
}

/** What the ring needs of the claimant, all in one new ring. */
function tend(claimant: ClaimantState): ClaimantEffect[] {
  const { self } = claimant;
  const reasons: string[] = [];
  let ring = claimant.ring;
  if (isVacant(ring) && readyMembers(ring)[0] === self) {
    reasons.push(`${self} follows ${ring.ownership.claimant} as claimant`);
    ring = takeOverClaim(ring, self);
  }
  if (ring.ownership.claimant !== self) return [];
  for (const node of currentMembers(ring)) {
    if (!isAutoJoining(ring, node)) continue;
    reasons.push(`${node} is back`);
    ring = setStatus(ring, self, node, "valid");
  }
  const done = pendingTransfers(ring).filter((transfer) =>
    transfer.status === "complete"
  );
  if (done.length > 0) {
    reasons.push(`${done.length} partitions have moved`);
    const owners = [...ring.ownership.owners];
    for (const { partition, nextOwner } of done) owners[partition] = nextOwner;
    const installed = new Set(done.map((transfer) => transfer.partition));
    ring = setOwnership(ring, self, {
      owners,
      next: ring.ownership.next.filter(({ partition }) =>
        !installed.has(partition)
      ),
    });
  }
  return ring === claimant.ring
    ? []
    : update(claimant, ring, reasons.join(", "));
}

/** Whether somebody must follow the claimant. A stopped claimant stays it until it is marked down. */
function isVacant(ring: Ring): boolean {
  const status = memberStatus(ring, ring.ownership.claimant);
  return status === undefined || status === "down" || status === "invalid";
}

function update(
  claimant: ClaimantState,
  ring: Ring,
  reason: string,
): ClaimantEffect[] {
  claimant.ring = ring;
  return [{ type: "update_ring", ring, reason }];
}

function request(
  claimant: ClaimantState,
  id: number,
  request: ClaimantRequest,
  waitMs: number,
): ClaimantEffect[] {
  if (claimant.waiting.size >= CLAIMANT_REQUESTS_MAX) {
    return [{
      type: "fail",
      id,
      code: "overload",
      message:
        `Cannot ${request.method} as at most ${CLAIMANT_REQUESTS_MAX} requests may wait at the claimant`,
      details: {},
    }];
  }
  claimant.waiting.set(id, { request, asking: null });
  return [{ type: "set_deadline", id, afterMs: waitMs }, ...retry(claimant)];
}

/** Serves what can be served now, in order of arrival. */
function retry(claimant: ClaimantState): ClaimantEffect[] {
  const effects: ClaimantEffect[] = [];
  for (const [id, waiting] of [...claimant.waiting]) {
    if (claimant.waiting.has(id)) effects.push(...serve(claimant, id, waiting));
  }
  return effects;
}

function serve(
  claimant: ClaimantState,
  id: number,
  waiting: Waiting,
): ClaimantEffect[] {
  const { ring } = claimant;
  if (!isClaimant(claimant)) {
    const current = ring.ownership.claimant;
    return fail(claimant, id, "ring_not_ready", {
      message:
        `Cannot ${waiting.request.method} here as only the claimant can: it is ${current}`,
      details: { claimant: current },
    });
  }
  if (waiting.request.method === "clear") return clear(claimant, id);
  if (waiting.asking !== null || membersBehind(ring).length > 0) return [];
  const plan = computePlan(ring, claimant.targetN);
  if (waiting.request.method === "plan") {
    claimant.shownPlanId = plan.planId;
    const { planId, changes, transitions } = plan;
    return reply(claimant, id, {
      method: "plan",
      plan: { planId, changes, transitions },
    });
  }
  return commit(claimant, id, waiting, plan, waiting.request.planId);
}

function clear(claimant: ClaimantState, id: number): ClaimantEffect[] {
  const nodes = currentMembers(claimant.ring).filter((node) =>
    memberStatus(claimant.ring, node) === "joining" &&
    !isAutoJoining(claimant.ring, node)
  );
  let ring = claimant.ring;
  for (const node of nodes) {
    ring = setStatus(ring, claimant.self, node, "invalid");
  }
  if (ring.ownership.staged.length > 0) {
    ring = setOwnership(ring, claimant.self, { staged: [] });
  }
  claimant.shownPlanId = null;
  return [
    ...ring === claimant.ring
      ? []
      : update(claimant, ring, "staged changes were cleared"),
    ...reply(claimant, id, { method: "clear", nodes }),
  ];
}

function commit(
  claimant: ClaimantState,
  id: number,
  waiting: Waiting,
  plan: ComputedPlan,
  wantedPlanId: string | null,
): ClaimantEffect[] {
  // An answer may get lost; whoever asks again must hear that it was done.
  if (
    wantedPlanId !== null &&
    claimant.ring.ownership.committedPlan === wantedPlanId
  ) {
    return reply(claimant, id, { method: "commit", planId: wantedPlanId });
  }
  const shown = wantedPlanId ?? claimant.shownPlanId;
  if (plan.changes.length === 0 || shown === null) {
    return fail(claimant, id, "nothing_planned", {
      message: plan.changes.length === 0
        ? "Cannot commit as nothing is staged"
        : "Cannot commit as the plan must be shown first",
      details: {},
    });
  }
  if (shown !== plan.planId) {
    return fail(claimant, id, "plan_changed", {
      message:
        `Cannot commit plan ${shown} as the cluster has changed: the plan is now ${plan.planId}`,
      details: { planId: plan.planId },
    });
  }
  waiting.asking = plan;
  const questions = questionsOf(claimant.ring, plan.target);
  return questions.length === 0
    ? dataHeld(claimant, id, [])
    : [{ type: "ask_holds_data", id, questions }];
}

/** Whom to ask about the partitions that would start to move. */
function questionsOf(
  ring: Ring,
  target: readonly string[],
): HoldsDataQuestion[] {
  const byOwner = new Map<string, number[]>();
  for (const { partition, owner } of transfersTowards(ring, target)) {
    const partitions = byOwner.get(owner) ?? [];
    partitions.push(partition);
    byOwner.set(owner, partitions);
  }
  return [...byOwner].map(([node, partitions]) => ({ node, partitions }));
}

function dataHeld(
  claimant: ClaimantState,
  id: number,
  partitions: readonly number[],
): ClaimantEffect[] {
  const waiting = claimant.waiting.get(id);
  if (waiting === undefined || waiting.asking === null) return [];
  const plan = waiting.asking;
  waiting.asking = null;
  if (partitions.length > 0) {
    return fail(claimant, id, "handoff_required", {
      message:
        `Cannot commit as partitions that move must be empty: ${partitions.length} of them hold data`,
      details: { partitions: [...partitions] },
    });
  }
  // Meanwhile the ring may have moved on; then the commit is judged anew.
  const { ring, self } = claimant;
  if (
    !isClaimant(claimant) || membersBehind(ring).length > 0 ||
    computePlan(ring, claimant.targetN).planId !== plan.planId
  ) return serve(claimant, id, waiting);
  let committed = ring;
  for (const { node } of plan.changes) {
    committed = setStatus(committed, self, node, "valid");
  }
  committed = setOwnership(committed, self, {
    next: transfersTowards(ring, plan.target),
    staged: [],
    committedPlan: plan.planId,
  });
  claimant.shownPlanId = null;
  return [
    ...update(claimant, committed, `plan ${plan.planId} was committed`),
    ...reply(claimant, id, { method: "commit", planId: plan.planId }),
  ];
}

function expired(claimant: ClaimantState, id: number): ClaimantEffect[] {
  const waiting = claimant.waiting.get(id);
  if (waiting === undefined) return [];
  const { method } = waiting.request;
  const behind = membersBehind(claimant.ring);
  return behind.length === 0
    ? fail(claimant, id, "timeout", {
      message:
        `Cannot ${method} as owners must say in time whether they hold data: not all did`,
      details: {},
    })
    : fail(claimant, id, "ring_not_ready", {
      message:
        `Cannot ${method} as all members must agree on the ring in time: ${
          behind.join(", ")
        } did not`,
      details: { behind },
    });
}

function reply(
  claimant: ClaimantState,
  id: number,
  result: ClaimantResult,
): ClaimantEffect[] {
  claimant.waiting.delete(id);
  return [{ type: "clear_deadline", id }, { type: "reply", id, result }];
}

function fail(
  claimant: ClaimantState,
  id: number,
  code: ErrorCode,
  why: { message: string; details: Record<string, unknown> },
): ClaimantEffect[] {
  claimant.waiting.delete(id);
  return [{ type: "clear_deadline", id }, { type: "fail", id, code, ...why }];
}
