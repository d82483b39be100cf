/**
 * The claimant: the one member that writes who owns what. It stages, plans and
 * commits changes, and cares for the ring each time that changes
 * (`claimant_care.ts`). Every node runs this; it acts on the node the ring names.
 *
 * A plan or a commit that arrives while the members do not agree on the ring
 * waits for them until its deadline, instead of failing or racing them
 * (riak_core#405):
 *
 *     waiting ── all have seen it ─► planned, or committed
 *        ├── deadline ─► ring_not_ready
 *        ├── this node is in another cluster ─► ring_not_ready
 *        └── all have seen it, other plan ─► plan_changed | nothing_planned
 *
 * What they must have seen is the ring in which it was asked: while transfers
 * end one after the other there is always some later one that somebody lacks.
 * Members that the plan removes by force need not agree: they may be why.
 *
 * Staged changes and the last committed plan stand in the ring, so they outlive
 * the claimant; riak_core loses them with it.
 *
 * @module
 */
import type { ErrorCode, WhorlError } from "../base/errors.ts";
import type { VersionVector } from "../causality/version_vector.ts";
import {
  memberStatus,
  membersWithoutSight,
  type Ring,
  ringVersion,
  sameCluster,
  type StagedChange,
} from "../ring/ring.ts";
import { setOwnership, setStatus, stageSize } from "../ring/ring_change.ts";
import {
  ABORT_RESIZE,
  refuseBeside,
  refuseBesideJoins,
  refuseResize,
} from "../ring/ring_resize.ts";
import {
  type BucketMark,
  consistentBuckets,
  markConsistent,
  refuseMark,
} from "../ring/consistent_buckets.ts";
import { createBinding, lookAtBinding } from "./resize_binding.ts";
import {
  areAllUp,
  careFor,
  type GroupTakeover,
  isVacant,
  type RingKeeper,
} from "./claimant_care.ts";
import {
  refuseConsistent,
  refuseGuests,
  refuseResizing,
  refuseStage,
  refuseTakeover,
  refuseTransfers,
} from "./capable_changes.ts";
import {
  joiningMembers,
  refuseChange,
  stagedChanges,
  stagedJoins,
  withChange,
} from "../ring/staged_changes.ts";
import {
  commitStaged,
  type ComputedPlan,
  computePlan,
  type StagedPlan,
} from "../ring/staged_plan.ts";

/** Requests that may wait at once; more are refused with `overload`. */
export const CLAIMANT_REQUESTS_MAX = 64;

/** What can be asked of the claimant. */
export type ClaimantRequest =
  | { readonly method: "stage"; readonly change: StagedChange }
  | { readonly method: "plan" }
  | {
    readonly method: "resize";
    /** Partitions the ring is to have, or 0 to give up the resize under way. */
    readonly size: number;
  }
  | {
    readonly method: "commit";
    /** The plan that is meant, or `null` for the one shown last. */
    readonly planId: string | null;
  }
  | { readonly method: "clear" }
  | {
    readonly method: "mark";
    /** The bucket that is to be consistent. */
    readonly mark: BucketMark;
  };

/** What it answers. */
export type ClaimantResult =
  | {
    readonly method: "stage";
    /** The ring version in which it is staged; 0 if it is done already, as it is for a member that was only joining. */
    readonly ringVersion: number;
  }
  | {
    readonly method: "resize";
    /** The ring version in which it is staged. */
    readonly ringVersion: number;
  }
  | { readonly method: "plan"; readonly plan: StagedPlan }
  | { readonly method: "commit"; readonly planId: string }
  | { readonly method: "clear"; readonly nodes: readonly string[] }
  | { readonly method: "mark"; readonly bucket: string };

/** What the claimant can be told. `id`s are chosen by who asks and never used twice. */
export type ClaimantEvent =
  | { type: "ring_changed"; ring: Ring }
  | {
    type: "request";
    id: number;
    request: ClaimantRequest;
    waitMs: number;
  }
  | { type: "deadline"; id: number }
  /** These nodes can be reached. */
  | { type: "nodes_up"; nodes: readonly string[] }
  /** The time of `set_resize_timer` has come. */
  | { type: "resize_timer" }
  /** All groups of consistent buckets have come so far in taking over for the ring of that generation. */
  | { type: "taken_over"; generation: number; step: "copied" | "open" };

/** What the claimant wants done, in this order. */
export type ClaimantEffect =
  /** Go by this ring from now on. What follows in the list waits until it is stored. */
  | { type: "update_ring"; ring: Ring; reason: string; isNews: boolean }
  | { type: "reply"; id: number; result: ClaimantResult }
  | {
    type: "fail";
    id: number;
    code: ErrorCode;
    message: string;
    details: Record<string, unknown>;
  }
  | { type: "set_deadline"; id: number; afterMs: number }
  | { type: "clear_deadline"; id: number }
  /** Say `resize_timer` then, and at no earlier time that was asked for. */
  | { type: "set_resize_timer"; afterMs: number };

/** A request that has not been answered. */
interface WaitingRequest {
  readonly request: ClaimantRequest;
  /** The version of the ring when it came. */
  readonly since: VersionVector;
}

/** The claimant of one node. */
export interface ClaimantState extends RingKeeper {
  ring: Ring;
  /** Requests in order of arrival. */
  readonly waiting: Map<number, WaitingRequest>;
  /** The plan that was shown last, or `null`. */
  shownPlanId: string | null;
  nodesUp: readonly string[];
  takeover: GroupTakeover | null;
  /** The plan that was computed last and what it was computed from: a commit follows its plan, and a plan of a large ring takes its time. */
  computed: { readonly from: string; readonly plan: ComputedPlan } | null;
}

/** The claimant of `self`, which goes by `ring`. */
export function createClaimant(
  self: string,
  ring: Ring,
  targetN: number,
): ClaimantState {
  return {
    self,
    targetN,
    ring,
    waiting: new Map(),
    shownPlanId: null,
    nodesUp: [self],
    binding: createBinding(),
    takeover: null,
    computed: null,
  };
}

/** Advances the claimant by one event; `claimant` has one owner and changes in place. */
export function stepClaimant(
  claimant: ClaimantState,
  event: ClaimantEvent,
): ClaimantEffect[] {
  switch (event.type) {
    case "ring_changed": {
      const left = sameCluster(claimant.ring, event.ring)
        ? []
        : leave(claimant);
      claimant.ring = event.ring;
      return [...left, ...tend(claimant), ...retry(claimant)];
    }
    case "request":
      return request(claimant, event.id, event.request, event.waitMs);
    case "deadline":
      return expired(claimant, event.id);
    case "nodes_up":
      claimant.nodesUp = event.nodes;
      return tend(claimant);
    case "resize_timer":
      return tend(
        claimant,
        lookAtBinding(claimant.binding, areAllUp(claimant)),
      );
    case "taken_over": {
      const { generation, step } = event;
      claimant.takeover = { generation, isOpen: step === "open" };
      return tend(claimant);
    }
    default:
      return event satisfies never;
  }
}

function isClaimant({ self, ring }: ClaimantState): boolean {
  return ring.ownership.claimant === self && !isVacant(ring);
}

/**
 * What the ring needs of the claimant.
 *
 * @param isOverdue Whether writes have been held for a resize for too long.
 */
function tend(claimant: ClaimantState, isOverdue = false): ClaimantEffect[] {
  const { ring, reasons, isNews, resizeTimerMs } = careFor(claimant, isOverdue);
  return [
    ...ring === claimant.ring
      ? []
      : update(claimant, ring, reasons.join(", "), isNews),
    ...resizeTimerMs === undefined
      ? []
      : [{ type: "set_resize_timer", afterMs: resizeTimerMs } as const],
  ];
}

function update(
  claimant: ClaimantState,
  ring: Ring,
  reason: string,
  isNews = true,
): ClaimantEffect[] {
  claimant.ring = ring;
  return [{ type: "update_ring", ring, reason, isNews }];
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
  claimant.waiting.set(id, { request, since: claimant.ring.clock });
  return [{ type: "set_deadline", id, afterMs: waitMs }, ...retry(claimant)];
}

/** Forgets what was of a cluster in which this node is no more: nobody will see the ring in which something was asked. */
function leave(claimant: ClaimantState): ClaimantEffect[] {
  claimant.shownPlanId = null;
  claimant.takeover = null;
  return [...claimant.waiting].flatMap(([id, { request: { method } }]) =>
    fail(claimant, id, "ring_not_ready", {
      message:
        `Cannot ${method} as ${claimant.self} is not in the cluster any more in which that was asked`,
      details: {},
    })
  );
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
  { request, since }: WaitingRequest,
): ClaimantEffect[] {
  const { ring } = claimant;
  if (!isClaimant(claimant)) {
    const current = ring.ownership.claimant;
    return fail(claimant, id, "ring_not_ready", {
      message:
        `Cannot ${request.method} here as only the claimant can: it is ${current}`,
      details: { claimant: current },
    });
  }
  switch (request.method) {
    case "stage":
      return stage(claimant, id, request.change);
    case "resize":
      return resize(claimant, id, request.size);
    case "clear":
      return clear(claimant, id);
    case "plan": {
      if (behind(ring, since).length > 0) return [];
      const refusal = refusePlan(ring);
      if (refusal !== null) return refused(claimant, id, refusal);
      const { target: _, ...plan } = planOf(claimant);
      claimant.shownPlanId = plan.planId;
      return reply(claimant, id, { method: "plan", plan });
    }
    case "commit":
      return behind(ring, since).length > 0
        ? []
        : commit(claimant, id, request.planId);
    case "mark":
      return mark(claimant, id, request.mark);
    default:
      return request satisfies never;
  }
}

function isForced({ action }: StagedChange): boolean {
  return action === "remove" || action === "force_replace";
}

/** Members that have not seen the ring as it was at `since` and whose word counts, sorted. */
function behind(ring: Ring, since: VersionVector = ring.clock): string[] {
  const removed = stagedChanges(ring).filter(isForced)
    .map(({ node }) => node);
  return membersWithoutSight(ring, since)
    .filter((node) => !removed.includes(node));
}

function planOf(claimant: ClaimantState): ComputedPlan {
  const { ring, targetN } = claimant;
  const { ownership, members } = ring;
  const statuses = [...members.keys()].map((node) => memberStatus(ring, node));
  const from = JSON.stringify([
    ring.clusterId,
    ownership.term,
    ownership.version,
    [...members.keys()],
    statuses,
    // One that was only invited is staged once it has come.
    stagedJoins(ring),
  ]);
  if (claimant.computed?.from !== from) {
    claimant.computed = { from, plan: computePlan(ring, targetN) };
  }
  return claimant.computed.plan;
}

function stage(
  claimant: ClaimantState,
  id: number,
  change: StagedChange,
): ClaimantEffect[] {
  const { ring, self } = claimant;
  const { action, node } = change;
  // A joining member has nothing to hand over and nothing to lose.
  if (
    (action === "leave" || action === "remove") &&
    joiningMembers(ring).includes(node)
  ) {
    return [
      ...update(
        claimant,
        setStatus(ring, self, node, "invalid"),
        `${node} was joining and joins no more`,
      ),
      ...reply(claimant, id, { method: "stage", ringVersion: 0 }),
    ];
  }
  const staged = stagedChanges(ring);
  const refusal = refuseChange(ring, staged, change) ??
    refuseBeside(ring, `stage ${action} of ${node}`, isForced(change)) ??
    refuseStage(ring, change);
  if (refusal !== null) return refused(claimant, id, refusal);
  const after = setOwnership(ring, self, {
    staged: withChange(staged, change),
  });
  return [
    ...update(claimant, after, `${action} of ${node} was staged`),
    ...reply(claimant, id, {
      method: "stage",
      ringVersion: ringVersion(after),
    }),
  ];
}

function resize(
  claimant: ClaimantState,
  id: number,
  size: number,
): ClaimantEffect[] {
  const { ring, self } = claimant;
  const refusal = refuseResizeOf(ring, size) ??
    (size === ABORT_RESIZE ? null : refuseBesideJoins(ring, size));
  if (refusal !== null) return refused(claimant, id, refusal);
  const after = stageSize(ring, self, size);
  return [
    ...update(
      claimant,
      after,
      size === ABORT_RESIZE
        ? "an end of the resize was staged"
        : `a ring of ${size} partitions was staged`,
    ),
    ...reply(claimant, id, {
      method: "resize",
      ringVersion: ringVersion(after),
    }),
  ];
}

/** A bucket that is consistent stays so; it becomes so when all members know that it was not before, so that none is missing who would serve it otherwise. */
function mark(
  claimant: ClaimantState,
  id: number,
  mark: BucketMark,
): ClaimantEffect[] {
  const { ring, self } = claimant;
  const { bucket } = mark;
  const answer = (): ClaimantEffect[] =>
    reply(claimant, id, { method: "mark", bucket });
  if (consistentBuckets(ring).includes(bucket)) return answer();
  const refusal = refuseMark(ring, bucket) ??
    refuseBeside(ring, "mark a bucket as consistent", false) ??
    refuseConsistent(ring);
  if (refusal !== null) return refused(claimant, id, refusal);
  if (behind(ring).length > 0) return [];
  return [
    ...update(
      claimant,
      markConsistent(ring, self, mark),
      `bucket ${JSON.stringify(bucket)} is consistent`,
    ),
    ...answer(),
  ];
}

/** Why the ring keeps its size; `null` if it may have another. */
function refuseResizeOf(ring: Ring, size: number): WhorlError | null {
  return refuseResize(ring, size) ?? refuseResizing(ring) ??
    (size === ABORT_RESIZE ? null : refuseTakeover(ring));
}

/** Why there can be no plan now, or no commit of one. */
function refusePlan(ring: Ring): WhorlError | null {
  const { staged, resize } = ring.ownership.generations;
  if (staged !== null) {
    return refuseResizeOf(ring, staged);
  }
  const strange = refuseGuests(ring, stagedJoins(ring));
  if (strange !== null) return strange;
  const changes = stagedChanges(ring);
  return resize !== null &&
      (stagedJoins(ring).length > 0 || changes.length > 0)
    ? refuseBeside(ring, "plan", changes.some(isForced))
    : null;
}

function clear(claimant: ClaimantState, id: number): ClaimantEffect[] {
  const nodes = joiningMembers(claimant.ring);
  let ring = claimant.ring;
  for (const node of nodes) {
    ring = setStatus(ring, claimant.self, node, "invalid");
  }
  if (ring.ownership.staged.length > 0) {
    ring = setOwnership(ring, claimant.self, { staged: [] });
  }
  if (ring.ownership.generations.staged !== null) {
    ring = stageSize(ring, claimant.self, null);
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
  wantedPlanId: string | null,
): ClaimantEffect[] {
  const { ring, self } = claimant;
  // An answer may get lost; whoever asks again must hear that it was done.
  if (wantedPlanId !== null && ring.ownership.committedPlan === wantedPlanId) {
    return reply(claimant, id, { method: "commit", planId: wantedPlanId });
  }
  const impossible = refusePlan(ring);
  if (impossible !== null) return refused(claimant, id, impossible);
  const plan = planOf(claimant);
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
  const committed = commitStaged(ring, self, plan.target, plan.planId);
  const refusal = refuseTransfers(ring, committed);
  if (refusal !== null) return refused(claimant, id, refusal);
  claimant.shownPlanId = null;
  return [
    ...update(
      claimant,
      committed,
      `plan ${plan.planId} was committed`,
    ),
    ...reply(claimant, id, { method: "commit", planId: plan.planId }),
  ];
}

function expired(claimant: ClaimantState, id: number): ClaimantEffect[] {
  const waiting = claimant.waiting.get(id);
  if (waiting === undefined) return [];
  const { request, since } = waiting;
  const nodes = behind(
    claimant.ring,
    request.method === "mark" ? undefined : since,
  );
  return fail(claimant, id, "ring_not_ready", {
    message:
      `Cannot ${request.method} as all members must agree on the ring in time: ${
        nodes.join(", ")
      } did not`,
    details: { behind: nodes },
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

function refused(
  claimant: ClaimantState,
  id: number,
  { code, message, details }: WhorlError,
): ClaimantEffect[] {
  return fail(claimant, id, code, { message, details });
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
