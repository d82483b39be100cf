/**
 * The failures that callers of Whorl can meet. Each has a `code` that is stable
 * across versions and on the wire, a message for people, and its data in
 * `details`.
 *
 * @module
 */

/** Stable names of failures; each is documented where it is thrown. */
export type ErrorCode =
  // Requests
  | "timeout"
  | "insufficient_vnodes"
  | "quorum_unavailable"
  | "overload"
  | "wrong_owner"
  | "vnode_error"
  | "vnode_crashed"
  | "unknown_command"
  | "invalid_argument"
  | "invalid_quorum"
  | "invalid_key"
  | "value_too_large"
  | "invalid_context"
  | "too_many_siblings"
  | "cancelled"
  | "coordinator_lost"
  | "node_suspected"
  | "not_found"
  // Connections
  | "not_reachable"
  | "connection_closed"
  | "handshake_failed"
  | "wrong_cookie"
  | "wrong_cluster"
  | "wrong_version"
  | "self_connection"
  | "name_taken"
  | "protocol_error"
  | "frame_too_large"
  | "address_in_use"
  | "too_many_connections"
  // Storage
  | "store_corrupt"
  | "store_full"
  | "store_locked"
  | "store_foreign"
  | "store_format"
  | "store_unavailable"
  | "store_fenced"
  | "value_corrupt"
  | "compacted"
  | "already_exists"
  // Raft groups
  | "snapshot_refused"
  | "unknown_cluster"
  | "cluster_not_formed"
  | "not_leader"
  | "leader_lost"
  | "index_mismatch"
  | "cluster_change_not_permitted"
  | "already_member"
  | "already_leader"
  | "unknown_member"
  | "non_voter"
  | "not_up_to_date"
  | "transferring"
  | "moved"
  | "not_open"
  // Membership
  | "self_join"
  | "unable_to_get_join_ring"
  | "node_still_starting"
  | "not_single_node"
  | "different_ring_sizes"
  | "not_member"
  | "only_member"
  | "already_leaving"
  | "already_replacement"
  | "invalid_replacement"
  | "is_claimant"
  | "is_up"
  | "nothing_planned"
  | "plan_changed"
  | "ring_not_ready"
  | "handoff_required"
  | "invalid_ring_size"
  | "same_size"
  | "single_node"
  | "pending_changes"
  | "not_resizing"
  | "not_capable"
  // Handoff
  | "handoff_refused"
  | "handoff_mismatch"
  | "ownership_change_in_progress"
  | "tail_lost"
  // Node
  | "invalid_config"
  | "invalid_name"
  | "node_not_running"
  | "vnode_module_failed"
  | "closed"
  | "internal";

/** An expected failure of Whorl. Match on {@linkcode WhorlError.code}. */
export class WhorlError extends Error {
  /** Always `WhorlError`, for log lines and for errors from another realm, where `instanceof` fails. */
  override name = "WhorlError";
  /** What went wrong, as a stable name. */
  readonly code: ErrorCode;
  /** What the failure was about, as plain data that can be sent. */
  readonly details: Readonly<Record<string, unknown>>;

  /**
   * Creates a failure to throw, send or pass to a callback.
   *
   * @param code The stable name of the failure.
   * @param message What was attempted, the rule, and the current value.
   * @param options `details` as plain data, `cause` as the error behind it.
   */
  constructor(
    code: ErrorCode,
    message: string,
    options: { details?: Record<string, unknown>; cause?: unknown } = {},
  ) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.details = options.details ?? {};
  }
}

/** Whether `error` is a {@linkcode WhorlError}, of the given code if one is given. */
export function isWhorlError(
  error: unknown,
  code?: ErrorCode,
): error is WhorlError {
  return error instanceof WhorlError &&
    (code === undefined || error.code === code);
}

/** The failure of requests to a node that is stopping. */
export function nodeStopping(): WhorlError {
  return new WhorlError("closed", "The node is stopping");
}

/** Whether `code` means that a store failed and must be reopened before it takes anything again. */
export function isStoreFailure(code: string | undefined): code is ErrorCode {
  return code?.startsWith("store_") ?? false;
}

/** The message of an unknown thrown value, for messages and logs. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
