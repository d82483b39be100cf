/**
 * Tells which members of Raft groups belong to clusters of `ra_kv`.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import type { RaftMember, RaftSystem } from "../raft/raft_member.ts";
import { RA_KV_MACHINE } from "./ra_kv_command_codec.ts";
import type { RaKvMember } from "./ra_kv_service.ts";

/**
 * The member of `cluster` in `system`, if there is one.
 *
 * @throws {WhorlError} `invalid_argument` for a group of another kind.
 */
export function raKvMember(
  system: RaftSystem | undefined,
  cluster: string,
): RaKvMember | undefined {
  const member = system?.member(cluster);
  if (member === undefined) return undefined;
  if (!isRaKv(member)) throw anotherKind(cluster);
  return member;
}

/** The error for a group that is not of `ra_kv`. */
export function anotherKind(cluster: string): WhorlError {
  return new WhorlError(
    "invalid_argument",
    `Cannot use ${cluster} as a cluster of ra_kv: it is a group of another kind`,
  );
}

/** Whether `member` belongs to a cluster of `ra_kv`. */
export function isRaKv(member: RaftMember): member is RaKvMember {
  return member.log.config.machine === RA_KV_MACHINE;
}
