/**
 * How a node answers for its own members when a call about a cluster needs it.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import { raftFailure } from "../raft/raft_failure.ts";
import {
  type AppliedCommand,
  isYetToBeAdded,
  type MemberAtRest,
  type RaftFailure,
  type RaftSystem,
  type RaftTarget,
} from "../raft/raft_member.ts";
import { unknownCluster } from "./cluster_questions.ts";
import {
  choiceArgument,
  clusterArgument,
  membersArgument,
  nodeArgument,
  numberArgument,
} from "./method_arguments.ts";
import { END_COMMAND, RA_KV_MACHINE } from "./ra_kv_command_codec.ts";
import { liveIndexes, stateOverview } from "./ra_kv_machine.ts";
import { anotherKind, isRaKv, raKvMember } from "./ra_kv_member.ts";
import type {
  ClusterMembers,
  ClusterPlace,
  LiveIndexes,
  MemberOverview,
  MemberPlace,
  MemberSnapshot,
} from "./ra_kv_protocol.ts";
import type { RaKvMember } from "./ra_kv_service.ts";

/** Most indexes in one answer. */
export const LIVE_INDEXES_PAGE = 50_000;

/** Answers of one node; see the module comment. */
export class MembersHere {
  readonly #self: string;
  readonly #system: () => RaftSystem | undefined;
  readonly #isStarting: () => boolean;

  /**
   * @param system The groups of this node; undefined while there are none.
   * @param isStarting Whether groups of this node have yet to start or restart.
   */
  constructor(
    self: string,
    system: () => RaftSystem | undefined,
    isStarting: () => boolean,
  ) {
    this.#self = self;
    this.#system = system;
    this.#isStarting = isStarting;
  }

  /** The cluster's member on this node. @throws {WhorlError} `unknown_cluster`. */
  #here(args: unknown): RaKvMember {
    const cluster = clusterArgument(args);
    const member = this.#memberHere(cluster);
    if (member !== undefined) return member;
    const reason = this.#atRest(cluster)?.reason;
    throw unknownCluster(
      cluster,
      {
        reason: reason === undefined
          ? `${this.#self} has no member of it`
          : `its member on ${this.#self} does not start: ${reason}`,
      },
    );
  }

  /**
   * @throws {WhorlError} `not_reachable` while a member that this node has, or
   * may have, is about to start.
   */
  #memberHere(cluster: string): RaKvMember | undefined {
    const system = this.#system();
    const member = raKvMember(system, cluster);
    if (member !== undefined) return member;
    if (this.#isStarting()) throw this.#down();
    if (system?.isDown(cluster) !== true) return undefined;
    // Nobody waits for a member that cannot start.
    if (this.#atRest(cluster)?.reason === undefined) throw this.#down();
    return undefined;
  }

  #down(): WhorlError {
    return new WhorlError(
      "not_reachable",
      `Cannot reach Raft groups of ${this.#self} as they are being started`,
      { details: { node: this.#self, starting: true } },
    );
  }

  #present(): RaftSystem {
    if (this.#isStarting()) throw this.#down();
    const system = this.#system();
    if (system !== undefined) return system;
    throw new WhorlError(
      "closed",
      `${this.#self} runs no Raft groups: it is stopping, or has no data directory`,
    );
  }

  /**
   * The cluster's member on this node if it does not run.
   *
   * @throws {WhorlError} `invalid_argument` for a group of another kind.
   */
  #atRest(cluster: string): MemberAtRest | undefined {
    const resting = this.#system()?.memberAtRest(cluster);
    if (resting === undefined) return undefined;
    if (resting.machine !== RA_KV_MACHINE) throw anotherKind(cluster);
    return resting;
  }

  clusters(): ClusterPlace[] {
    if (this.#isStarting()) throw this.#down();
    return (this.#system()?.members() ?? []).filter(isRaKv).map((member) => ({
      cluster: member.group,
      nodes: member.membership.members.map(({ node }) => node),
      leader: member.leader ?? null,
    }));
  }

  locate(args: unknown): MemberPlace {
    const cluster = clusterArgument(args);
    const member = this.#memberHere(cluster);
    const resting = member === undefined ? this.#atRest(cluster) : undefined;
    const { uid, groupId } = member ?? resting ?? { uid: 0, groupId: 0 };
    return {
      uid,
      groupId,
      leader: member?.leader ?? null,
      members: member?.membership.members.map(({ node }) => node) ?? [],
      runs: resting === undefined,
      failure: resting?.reason ?? null,
      toBeAdded: member !== undefined && isYetToBeAdded(member),
      ends: true,
    };
  }

  async create(args: unknown): Promise<{ readonly uid: number }> {
    const uid = numberArgument(args, "uid", 1);
    await this.#present().createMember({
      group: clusterArgument(args),
      groupId: numberArgument(args, "groupId", 1),
      uid,
      machine: RA_KV_MACHINE,
      initial: membersArgument(args),
    });
    return { uid };
  }

  async drop(args: unknown): Promise<{ readonly dropped: boolean }> {
    clusterArgument(args);
    const uid = numberArgument(args, "uid", 1);
    return { dropped: await this.#present().dropMember(uid) };
  }

  async end(args: unknown): Promise<Record<string, never>> {
    const member = this.#here(args);
    const { group: cluster, groupId } = member;
    if (groupId !== numberArgument(args, "groupId", 1)) {
      throw unknownCluster(cluster, {
        reason: `${this.#self} leads another of that name`,
      });
    }
    await settled<AppliedCommand>(
      member,
      (target) => member.propose(END_COMMAND, target),
    );
    return {};
  }

  async delete(args: unknown): Promise<{ readonly dropped: boolean }> {
    clusterArgument(args);
    const groupId = numberArgument(args, "groupId", 1);
    return { dropped: await this.#present().deleteGroup(groupId) };
  }

  wasDeleted(args: unknown): { readonly deleted: boolean } {
    const groupId = numberArgument(args, "groupId", 1);
    return { deleted: this.#present().isDeleted(groupId) };
  }

  async members(args: unknown): Promise<ClusterMembers> {
    const member = this.#here(args);
    requireLead(member);
    await settled<void>(member, (target) => member.consistentRead(target));
    requireLead(member);
    const { group: cluster, term, membership, commitIndex, node } = member;
    return {
      cluster,
      leader: node,
      term,
      members: membership.members,
      index: membership.index,
      committed: membership.index <= commitIndex,
    };
  }

  async change(
    args: unknown,
  ): Promise<{ readonly index: number; readonly term: number }> {
    const member = this.#here(args);
    requireLead(member);
    const node = nodeArgument(args);
    const type = choiceArgument(args, "type", ["add", "remove"]);
    return await settled<{ index: number; term: number }>(
      member,
      (target) =>
        member.changeMembership(
          type === "remove" ? { type, node } : {
            type,
            node,
            uid: numberArgument(args, "uid", 1),
            kind: choiceArgument(args, "kind", [
              "promotable",
              "voter",
              "non_voter",
            ]),
          },
          target,
        ),
    );
  }

  overview(args: unknown): MemberOverview {
    return overviewOf(this.#here(args));
  }

  async takeSnapshot(args: unknown): Promise<MemberSnapshot> {
    const member = this.#here(args);
    await member.takeSnapshot();
    return snapshotOf(member);
  }

  async compact(args: unknown): Promise<MemberSnapshot> {
    const member = this.#here(args);
    await member.compact();
    return snapshotOf(member);
  }

  liveIndexes(args: unknown): LiveIndexes {
    return liveIndexesOf(this.#here(args), numberArgument(args, "after"));
  }

  async transfer(args: unknown): Promise<Record<string, never>> {
    const member = this.#here(args);
    const to = nodeArgument(args, "to");
    await settled<void>(
      member,
      (target) => member.transferLeadership(to, target),
    );
    return {};
  }

  async forceShrink(args: unknown): Promise<Record<string, never>> {
    await this.#here(args).forceShrink();
    return {};
  }
}

/** The result that `begin` hands to its target, as a promise. */
function settled<Result>(
  member: RaKvMember,
  begin: (target: RaftTarget<Result>) => void,
): Promise<Result> {
  const { promise, resolve, reject } = Promise.withResolvers<Result>();
  begin({
    done: resolve,
    failed: (reason: RaftFailure, leader: string | undefined) =>
      reject(raftFailure(member, reason, leader)),
  });
  return promise;
}

function requireLead(member: RaKvMember): void {
  if (member.role === "leader") return;
  throw raftFailure(member, "not_leader", member.leader);
}

function overviewOf(member: RaKvMember): MemberOverview {
  const { group, node, uid, role, term, leader, commitIndex, appliedIndex } =
    member;
  return {
    cluster: group,
    node,
    uid,
    role,
    term,
    leader: leader ?? null,
    commitIndex,
    appliedIndex,
    log: member.log.overview(),
    machine: stateOverview(member.state),
  };
}

function snapshotOf({ node, log }: RaKvMember): MemberSnapshot {
  return { node, snapshotIndex: log.snapshot?.index ?? 0 };
}

function liveIndexesOf(member: RaKvMember, after: number): LiveIndexes {
  const indexes = liveIndexes(member.state).filter((index) => index > after)
    .sort();
  return {
    node: member.node,
    indexes: [...indexes.subarray(0, LIVE_INDEXES_PAGE)],
    complete: indexes.length <= LIVE_INDEXES_PAGE,
  };
}
