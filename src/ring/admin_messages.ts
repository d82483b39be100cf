/**
 * Answers of the cluster administration commands, a line or two each, as the
 * originals print them, so that scripts written for those keep working.
 *
 * @module
 */
import type { ErrorCode } from "../base/errors.ts";
import { quotedName, quotedNames } from "./text_table.ts";

/** Names of the operator's commands that messages refer to. */
export interface AdminCommands {
  /** Declares a member down. */
  readonly down: string;
  /** Shows whether the ring is ready. */
  readonly ringStatus: string;
  /** Shows the plan. */
  readonly clusterPlan: string;
}

/** The commands of riak_core, as named in its messages. */
export const RIAK_ADMIN: AdminCommands = {
  down: "riak-admin down",
  ringStatus: "riak-admin ring_status",
  clusterPlan: "riak-admin cluster plan",
};

/** A join was staged: `node` will become a member once the plan is committed. */
export function stagedJoinText(node: string, to: string): string {
  return `Success: staged join request for ${quotedName(node)} to ${
    quotedName(to)
  }\n`;
}

/** The node joins the cluster of `to` without a commit. */
export function joinText(to: string): string {
  return `Sent join request to ${to}\n`;
}

/** A join to `to` was refused, by error code. */
export function joinFailureText(code: ErrorCode, to: string): string {
  switch (code) {
    case "not_reachable":
      return `Node ${to} is not reachable!\n`;
    case "different_ring_sizes":
      return `Failed: ${to} has a different ring_creation_size\n`;
    case "unable_to_get_join_ring":
      return `Failed: Unable to get ring from ${to}\n`;
    case "not_single_node":
      return "Failed: This node is already a member of a cluster\n";
    case "self_join":
      return "Failed: This node cannot join itself in a cluster\n";
    default:
      return "Join failed. Try again in a few moments.\n";
  }
}

/** A change of a member that can be staged, other than a join. */
export type StagedVerb = "leave" | "force-remove" | "replace" | "force-replace";

/** `verb` was staged for `node`; a replacement also names the new node. */
export function stagedText(
  verb: StagedVerb,
  node: string,
  replacement = "",
): string {
  const what = {
    "leave": `leave request for ${quotedName(node)}`,
    "force-remove": `remove request for ${quotedName(node)}`,
    "replace": `replacement of ${quotedName(node)} with ${
      quotedName(replacement)
    }`,
    "force-replace": `forced replacement of ${quotedName(node)} with ${
      quotedName(replacement)
    }`,
  };
  return `Success: staged ${what[verb]}\n`;
}

/** A joining member was dropped, which needs no commit. */
export function joinEndedText(node: string): string {
  return `Success: ${quotedName(node)} does not join any more\n`;
}

/**
 * `verb` was refused for `node`, by error code; `null` if the originals have no
 * text for it.
 */
export function stageFailureText(
  verb: StagedVerb,
  code: ErrorCode,
  node: string,
  replacement = "",
  commands: AdminCommands = RIAK_ADMIN,
): string | null {
  switch (code) {
    case "already_leaving":
      return `${
        quotedName(node)
      } is already in the process of leaving the cluster.\n`;
    case "not_member":
    case "only_member":
      return memberFailureText(code, node);
    case "is_claimant": {
      const what = verb === "force-remove" ? "remove" : "replace";
      // The original continues: "However, this will clear any staged changes."
      return `Failed: ${
        quotedName(node)
      } is the claimant (see ${commands.ringStatus}).\n` +
        "The claimant is the node responsible for initiating cluster changes,\n" +
        `and cannot forcefully ${what} itself. You can use '${commands.down}' to\n` +
        "mark the node as offline, which will trigger a new claimant to take\nover.\n";
    }
    case "invalid_replacement":
      return `Failed: ${
        quotedName(replacement)
      } is not a valid replacement candidate.\n` +
        "Only newly joining nodes can be used for replacement.\n";
    case "already_replacement":
      return `Failed: ${
        quotedName(replacement)
      } is already staged to replace another node.\n`;
    default:
      return null;
  }
}

/**
 * A ring of `size` partitions was staged, or with `null` the abort of a resize.
 */
export function resizeStagedText(size: number | null): string {
  return size === null
    ? "Success: staged abort resize ring request\n"
    : `Success: staged resize ring request with new size: ${size}\n`;
}

/**
 * A resize was not staged, by error code; `null` if the error's own message
 * says what is wrong.
 */
export function resizeFailureText(code: ErrorCode): string | null {
  switch (code) {
    case "same_size":
      return "Failed: requested ring size is the same as the current ring size\n";
    case "not_resizing":
      return "Failed: ring is not resizing or resize has completed\n";
    default:
      return null;
  }
}

/** `node` was declared down. */
export function downText(node: string): string {
  return `Success: ${quotedName(node)} marked as down\n`;
}

/**
 * `node` was not declared down, by error code; `null` if the originals have no
 * text for it.
 */
export function downFailureText(code: ErrorCode, node: string): string | null {
  switch (code) {
    case "is_up":
      return `Failed: ${node} is up\n`;
    case "not_member":
    case "only_member":
      return memberFailureText(code, node);
    default:
      return null;
  }
}

function memberFailureText(
  code: "not_member" | "only_member",
  node: string,
): string {
  return code === "not_member"
    ? `Failed: ${quotedName(node)} is not a member of the cluster.\n`
    : `Failed: ${quotedName(node)} is the only member.\n`;
}

/** A plan was committed. */
export const COMMITTED_TEXT = "Cluster changes committed\n";

/** Staged changes were cleared. */
export const CLEARED_TEXT = "Cleared staged cluster changes\n";

/** A plan could not be made, by error code. */
export function planFailureText(
  code: ErrorCode,
  commands: AdminCommands = RIAK_ADMIN,
): string {
  return code === "ring_not_ready"
    ? notConvergedText("plan", commands)
    : "Unable to plan cluster changes. Try again in a few moments.\n";
}

/** A commit was refused, by error code. */
export function commitFailureText(
  code: ErrorCode,
  commands: AdminCommands = RIAK_ADMIN,
): string {
  switch (code) {
    case "nothing_planned":
      return `You must verify the plan with '${commands.clusterPlan}' before committing\n`;
    case "ring_not_ready":
      return notConvergedText("commit", commands);
    case "plan_changed":
      return `The plan has changed. Verify with '${commands.clusterPlan}' before committing\n`;
    default:
      return "Unable to commit cluster changes. Plan may have changed, please verify the\n" +
        "plan and try to commit again\n";
  }
}

function notConvergedText(verb: string, commands: AdminCommands): string {
  return `Cannot ${verb} until cluster state has converged.\n` +
    `Check 'Ring Ready' in '${commands.ringStatus}'\n`;
}

/** Whether all nodes have the same ring. */
export type RingReadiness =
  | { readonly type: "ready"; readonly nodes: readonly string[] }
  | { readonly type: "different_owners"; readonly nodes: [string, string] }
  | { readonly type: "nodes_down"; readonly nodes: readonly string[] };

/** The answer of `ringready`: TRUE or FALSE, and why. */
export function ringReadyText(readiness: RingReadiness): string {
  switch (readiness.type) {
    case "ready":
      return `TRUE All nodes agree on the ring ${
        quotedNames(readiness.nodes)
      }\n`;
    case "different_owners":
      return `FALSE Node ${quotedName(readiness.nodes[0])} and ${
        quotedName(readiness.nodes[1])
      } list different partition owners\n`;
    case "nodes_down":
      return `FALSE ${
        quotedNames(readiness.nodes)
      } down.  All nodes need to be up to check.\n`;
    default:
      return readiness satisfies never;
  }
}
