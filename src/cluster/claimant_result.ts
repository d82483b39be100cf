/**
 * The claimant's answers on the wire: encoded from a result, and validated when
 * they come from another node.
 *
 * @module
 */
import {
  type MemberRow,
  type PlannedChange,
  type PlannedTransition,
  type StagedPlan,
  type TransferCount,
  TRANSITIONS_MAX,
} from "../ring/staged_plan.ts";
import { RING_NAMES_MAX } from "../ring/ring_reader.ts";
import { RING_SIZE_MAX } from "../ring/chash.ts";
import {
  expectBoolean,
  expectInteger,
  expectList,
  expectOneOf,
  expectText,
} from "../wire/plain_data.ts";
import type { ClaimantResult } from "./claimant_fsm.ts";

/** The plain form of a result. */
export function resultOf(result: ClaimantResult): unknown {
  switch (result.method) {
    case "stage":
    case "resize":
      return result.ringVersion;
    case "commit":
      return result.planId;
    case "clear":
      return result.nodes;
    case "mark":
      return result.bucket;
    case "plan": {
      const { planId, changes, transitions, postponedJoins } = result.plan;
      return [
        planId,
        changes.map(changeToList),
        transitions.map((step) => [
          step.ringSize,
          step.members.map((row) => [
            row.node,
            row.status,
            row.partitions,
            row.nextPartitions,
          ]),
          step.transfers.map(countToList),
          step.reassigned.map(countToList),
          step.replicasDistinct,
          ...step.nextRingSize === undefined ? [] : [step.nextRingSize],
        ]),
        ...postponedJoins === undefined ? [] : [postponedJoins],
      ];
    }
    default:
      return result satisfies never;
  }
}

function changeToList(change: PlannedChange): unknown[] {
  switch (change.action) {
    case "resize-ring":
      return [change.action, ...change.ringSizes];
    case "abort-resize":
      return [change.action, change.ringSize];
    case "replace":
    case "force-replace":
      return [change.action, change.node, change.replacement];
    default:
      return [change.action, change.node];
  }
}

function countToList({ from, to, partitions }: TransferCount): unknown[] {
  return [from, to, partitions];
}

/** @throws {WhorlError} `protocol_error` if `value` is not a plan. */
export function expectPlan(value: unknown): StagedPlan {
  const [planId, changes, transitions, postponedJoins] = expectList(
    value,
    "a plan",
    3,
    4,
  );
  return {
    planId: expectText(planId, "a plan id", 64),
    changes: expectList(changes, "the changes", 0, RING_NAMES_MAX)
      .map(expectChange),
    transitions: expectList(transitions, "the steps", 0, TRANSITIONS_MAX)
      .map(expectTransition),
    ...postponedJoins === undefined
      ? {}
      : { postponedJoins: expectNames(postponedJoins) },
  };
}

function expectChange(value: unknown): PlannedChange {
  const list = expectList(value, "a change", 2, 3);
  const size = (at: number): number =>
    expectInteger(list[at], "a ring size", 1, RING_SIZE_MAX);
  switch (list[0]) {
    case "resize-ring":
      return { action: "resize-ring", ringSizes: [size(1), size(2)] };
    case "abort-resize":
      return { action: "abort-resize", ringSize: size(1) };
  }
  const node = expectText(list[1], "a name");
  return list.length === 2
    ? {
      action: expectOneOf(
        list[0],
        "an action",
        ["join", "leave", "force-remove"] as const,
      ),
      node,
    }
    : {
      action: expectOneOf(
        list[0],
        "an action",
        ["replace", "force-replace"] as const,
      ),
      node,
      replacement: expectText(list[2], "a name"),
    };
}

function expectTransition(value: unknown): PlannedTransition {
  const [
    size,
    members,
    transfers,
    reassigned,
    replicasDistinct,
    nextRingSize,
  ] = expectList(value, "a step of a plan", 5, 6);
  return {
    ringSize: expectInteger(size, "a ring size", 1, RING_SIZE_MAX),
    ...nextRingSize === undefined ? {} : {
      nextRingSize: expectInteger(
        nextRingSize,
        "a ring size",
        1,
        RING_SIZE_MAX,
      ),
    },
    members: expectList(members, "the members", 0, RING_NAMES_MAX)
      .map(expectMemberRow),
    transfers: expectCounts(transfers),
    reassigned: expectCounts(reassigned),
    replicasDistinct: expectBoolean(replicasDistinct, "replicasDistinct"),
  };
}

function expectMemberRow(value: unknown): MemberRow {
  const [node, status, partitions, next] = expectList(value, "a member", 4, 4);
  return {
    node: expectText(node, "a name"),
    status: expectOneOf(
      status,
      "a status",
      ["joining", "valid", "leaving", "exiting", "down"] as const,
    ),
    partitions: expectInteger(partitions, "a count", 0, RING_SIZE_MAX),
    nextPartitions: next === null
      ? null
      : expectInteger(next, "a count", 0, RING_SIZE_MAX),
  };
}

function expectCounts(value: unknown): TransferCount[] {
  return expectList(value, "the transfers", 0, RING_SIZE_MAX).map((entry) => {
    const [from, to, partitions] = expectList(entry, "a transfer", 3, 3);
    return {
      from: expectText(from, "a name"),
      to: expectText(to, "a name"),
      partitions: expectInteger(partitions, "a count", 0, RING_SIZE_MAX),
    };
  });
}

/** @throws {WhorlError} `protocol_error` if `value` is not a list of names. */
export function expectNames(value: unknown): string[] {
  return expectList(value, "the names", 0, RING_NAMES_MAX)
    .map((name) => expectText(name, "a name"));
}
