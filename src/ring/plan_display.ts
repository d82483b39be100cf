/**
 * Staged changes and their consequences, as printed by `cluster plan`: the
 * changes, then for each transition the members, a warning if replicas will
 * share nodes, and the transfers.
 *
 * @module
 */
import { compareTexts } from "../base/text_order.ts";
import { type MemberRow, membershipTable } from "./membership_display.ts";
import { quotedName, ruleLine, titleLine } from "./text_table.ts";

/** A change that waits for a commit. */
export type StagedChange =
  | { readonly type: "join" | "leave" | "force_remove"; readonly node: string }
  | {
    readonly type: "replace" | "force_replace";
    readonly node: string;
    /** The newly joining node that takes its place. */
    readonly with: string;
  }
  | { readonly type: "resize"; readonly from: number; readonly to: number }
  | { readonly type: "abort_resize"; readonly current: number };

/** Partitions that go from one node to another. */
export interface PlannedTransfer {
  /** The current owner. */
  readonly from: string;
  /** The next owner. */
  readonly to: string;
  /** Number of partitions. */
  readonly count: number;
}

/** The cluster after one step of a plan. */
export interface PlannedTransition {
  /** The members after it. */
  readonly members: readonly MemberRow[];
  /**
   * Whether any `target_n` consecutive partitions will be on distinct nodes.
   */
  readonly replicasOnDistinctNodes: boolean;
  /**
   * Partitions that change owner at once, without their data. Default: none.
   */
  readonly reassigned?: readonly PlannedTransfer[];
  /** Partitions that will be handed off. */
  readonly transfers: readonly PlannedTransfer[];
  /**
   * Whether the ring changes its size, so that transfers are not one to one.
   */
  readonly resizing?: boolean;
}

/** A plan to be shown. */
export interface Plan {
  /** In the order in which they are shown. */
  readonly changes: readonly StagedChange[];
  /** The steps it takes, in order. */
  readonly transitions: readonly PlannedTransition[];
  /** Joining nodes left out, because it resizes the ring. Default: none. */
  readonly postponedJoins?: readonly string[];
}

/** How a plan differs from the default. */
export interface PlanOptions {
  /**
   * Names in the tables of members as Erlang prints atoms, as riak_core up to
   * 2.x does.
   *
   * @default {false}
   */
  readonly quotedMembers?: boolean;
  /**
   * The command that shows a resize in progress.
   *
   * @default {"riak-admin ring-status"}
   */
  readonly ringStatus?: string;
}

/** The plan, or that nothing is staged. */
export function planText(plan: Plan, options: PlanOptions = {}): string {
  const { changes, transitions } = plan;
  if (changes.length === 0) return "There are no staged changes\n";
  const count = transitions.length;
  const note = count === 1
    ? "1 cluster transition"
    : `${count} cluster transitions`;
  return stagedChangesTable(changes) +
    `\n${lossWarnings(changes)}${postponedNote(plan)}\n` +
    `NOTE: Applying these changes will result in ${note}\n\n` +
    transitions.map((transition, i) =>
      transitionTitle(i + 1, count) + transitionText(transition, options)
    ).join("");
}

/** The Staged Changes table. */
export function stagedChangesTable(changes: readonly StagedChange[]): string {
  return titleLine("Staged Changes", 31) +
    "Action         Details(s)\n" +
    ruleLine("-") + changes.map(changeLine).join("") + ruleLine("-");
}

function changeLine(change: StagedChange): string {
  const [action, details] = describe(change);
  return `${action.padEnd(15)}${details}\n`;
}

function describe(change: StagedChange): [action: string, details: string] {
  switch (change.type) {
    case "join":
    case "leave":
      return [change.type, quotedName(change.node)];
    case "force_remove":
      return ["force-remove", quotedName(change.node)];
    case "replace":
    case "force_replace":
      return [
        change.type.replace("_", "-"),
        `${quotedName(change.node)} with ${quotedName(change.with)}`,
      ];
    case "resize":
      return ["resize-ring", `${change.from} to ${change.to} partitions`];
    case "abort_resize":
      return ["resize-ring", `abort. current size: ${change.current}`];
    default:
      return change satisfies never;
  }
}

function lossWarnings(changes: readonly StagedChange[]): string {
  return changes.map((change) =>
    change.type === "force_remove" || change.type === "force_replace"
      ? `WARNING: All of ${quotedName(change.node)} replicas will be lost\n`
      : ""
  ).join("");
}

function postponedNote({ postponedJoins = [] }: Plan): string {
  const names = postponedJoins.map(quotedName).join(", ");
  return names === ""
    ? ""
    : `NOTE: This plan does not let in ${names}, as a resize of the ring\n` +
      "      stands alone: plan and commit again when that is over\n";
}

function transitionTitle(number: number, count: number): string {
  return ruleLine("#") +
    `${" ".repeat(25)}After cluster transition ${number}/${count}\n` +
    `${ruleLine("#")}\n`;
}

function transitionText(
  transition: PlannedTransition,
  options: PlanOptions,
): string {
  const { reassigned = [], transfers } = transition;
  return membershipTable(transition.members, {
    quoted: options.quotedMembers ?? false,
  }) + "\n" +
    (transition.replicasOnDistinctNodes
      ? ""
      : "WARNING: Not all replicas will be on distinct nodes\n\n") +
    movesText("Partitions reassigned", "reassigned", reassigned) +
    (transition.resizing
      ? `Ring is resizing. see ${
        options.ringStatus ?? "riak-admin ring-status"
      } for transfer details.\n`
      : movesText("Transfers resulting", "transfers", transfers));
}

function movesText(
  what: string,
  verb: string,
  moves: readonly PlannedTransfer[],
): string {
  if (moves.length === 0) return "";
  const total = moves.reduce((sum, { count }) => sum + count, 0);
  // The originals print the order of a hash table, which for names that differ
  // in a last digit is descending by receiver. Here it always is.
  const lines = moves
    .toSorted((a, b) =>
      compareTexts(a.from, b.from) || compareTexts(b.to, a.to)
    )
    .map(({ from, to, count }) =>
      `  ${count} ${verb} from ${quotedName(from)} to ${quotedName(to)}\n`
    );
  return `${what} from cluster changes: ${total}\n${lines.join("")}\n`;
}
