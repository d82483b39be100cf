/**
 * Membership changes that wait for a commit: which may be staged, and which
 * still make sense. Joining members are staged joins; everything else is in the
 * ownership, so it outlives the claimant.
 *
 * The checks are those of `riak_core_claimant:maybe_stage/4`. One is stricter:
 * a change that would leave no node to own the ring is refused as
 * `only_member`, however many members there are.
 *
 * @module
 */
import { type ErrorCode, WhorlError } from "../base/errors.ts";
import { compareTexts } from "../base/text_order.ts";
import {
  currentMembers,
  memberStatus,
  membersWith,
  type Ring,
  type StagedChange,
} from "./ring.ts";
import { isAutoJoining, isInvited } from "./ring_change.ts";

/**
 * Members that wait for a commit to become valid, sorted. Excludes nodes that
 * are only invited.
 */
export function stagedJoins(ring: Ring): string[] {
  return joiningMembers(ring).filter((node) => !isInvited(ring, node));
}

/**
 * Nodes that will become members by a commit, including invited ones, sorted.
 * Excludes joining members that own partitions, which were members before.
 */
export function joiningMembers(ring: Ring): string[] {
  const { owners, next } = ring.ownership;
  return currentMembers(ring).filter((node) =>
    memberStatus(ring, node) === "joining" && !isAutoJoining(ring, node) &&
    !owners.includes(node) &&
    !next.some((transfer) => transfer.nextOwner === node)
  );
}

/**
 * The staged changes that can still be carried out, sorted by node. Members may
 * have joined, left or failed since.
 */
export function stagedChanges(ring: Ring): readonly StagedChange[] {
  const { staged } = ring.ownership;
  if (staged.length === 0) return staged;
  let kept: readonly StagedChange[] = [];
  for (const change of staged) {
    if (refuseChange(ring, kept, change) === null) {
      kept = withChange(kept, change);
    }
  }
  return kept.length === staged.length ? staged : kept;
}

/**
 * `staged` with `change`, which replaces the change staged for the same node;
 * sorted by node.
 */
export function withChange(
  staged: readonly StagedChange[],
  change: StagedChange,
): readonly StagedChange[] {
  return [...staged.filter(({ node }) => node !== change.node), change]
    .sort((a, b) => compareTexts(a.node, b.node));
}

/**
 * Why `change` cannot be staged beside `staged`; `null` if it can. Not for a
 * joining member, which is dropped at once.
 */
export function refuseChange(
  ring: Ring,
  staged: readonly StagedChange[],
  change: StagedChange,
): WhorlError | null {
  const { action, node, replacement } = change;
  const what = `Cannot stage that ${sentenceOf(change)}`;
  const refuse = (code: ErrorCode, why: string): WhorlError =>
    new WhorlError(code, `${what} as ${why}`, {
      details: { node, ...replacement === null ? {} : { replacement } },
    });
  const isForced = action === "remove" || action === "force_replace";
  if (isForced && node === ring.ownership.claimant) {
    return refuse("is_claimant", "it is the claimant, who carries changes out");
  }
  const status = memberStatus(ring, node);
  if (status === undefined || status === "invalid" || status === "joining") {
    return refuse(
      "not_member",
      status === "joining"
        ? "it is joining and no full member yet"
        : "it is not a member",
    );
  }
  if (!isForced && (status === "leaving" || status === "exiting")) {
    return refuse("already_leaving", `it is ${status} already`);
  }
  // It could not hand over anything.
  if (!isForced && status === "down") {
    return refuse("not_reachable", "it is down: start it, or use force");
  }
  if (replacement !== null) {
    const others = staged.filter((other) => other.node !== node);
    if (others.some((other) => other.replacement === replacement)) {
      return refuse(
        "already_replacement",
        `${replacement} is to replace another member`,
      );
    }
    if (!stagedJoins(ring).includes(replacement)) {
      return refuse(
        "invalid_replacement",
        `only a joining node can be a replacement: ${replacement} is ${
          memberStatus(ring, replacement) ?? "no member"
        }`,
      );
    }
  }
  return remainingMembers(ring, withChange(staged, change)).length > 0
    ? null
    : refuse("only_member", "no other member would remain");
}

/** Members that can own partitions once `staged` is carried out. */
function remainingMembers(
  ring: Ring,
  staged: readonly StagedChange[],
): string[] {
  return [...membersWith(ring, ["valid"]), ...stagedJoins(ring)]
    .filter((node) => !staged.some((change) => change.node === node));
}

function sentenceOf({ action, node, replacement }: StagedChange): string {
  switch (action) {
    case "leave":
      return `${node} leaves`;
    case "remove":
      return `${node} is removed`;
    case "replace":
      return `${replacement} replaces ${node}`;
    case "force_replace":
      return `${replacement} replaces ${node} by force`;
    default:
      return action satisfies never;
  }
}
