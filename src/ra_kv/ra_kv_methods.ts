/**
 * The calls about clusters, as a node answers them. What only the leader can do,
 * or a certain member, this node has done there; clients may ask any node.
 *
 * A change of members is in the log of the leader first and agreed upon later,
 * or never, if the leader falls in between. So what has come of it is asked of
 * whoever leads, until a majority has agreed to members that tell.
 *
 * @module
 */
import { type Backoff, backoffDelayMs } from "../../supervisors/backoff.ts";
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";
import {
  type ErrorCode,
  isWhorlError,
  reasonOf,
  WhorlError,
} from "../base/errors.ts";
import { compareTexts } from "../base/text_order.ts";
import type { Member } from "../raft/raft_entry.ts";
import type {
  RaftFailure,
  RaftSystem,
  RaftTarget,
} from "../raft/raft_member.ts";
import {
  choiceArgument,
  clusterArgument,
  membersArgument,
  nodeArgument,
  nodesArgument,
  numberArgument,
  optionalNode,
  optionalNumber,
} from "./method_arguments.ts";
import type { ClusterHint } from "./next_hop.ts";
import { RA_KV_MACHINE } from "./ra_kv_command_codec.ts";
import { liveIndexes, stateOverview } from "./ra_kv_machine.ts";
import type {
  AddedKind,
  ClusterMembers,
  ClusterOverview,
  ClusterPlace,
  DeletedCluster,
  LiveIndexes,
  MemberChange,
  MemberOverview,
  MemberPlace,
  MemberSnapshot,
  MemberSnapshots,
  NodeFailure,
  RaKvMethodTypes,
  RaKvPeerMethodTypes,
  RemovedMember,
  StartedCluster,
} from "./ra_kv_protocol.ts";
import { isRaKv, raKvMember } from "./ra_kv_router.ts";
import type { RaKvMember } from "./ra_kv_service.ts";
import { raftFailure } from "../raft/raft_failure.ts";

/** Time each member of a new cluster adds to that in which a leader must answer, in milliseconds. */
export const FORM_TIMEOUT_MS = 5_000;
/** Time a change of members has to be agreed upon, in milliseconds. */
export const CHANGE_TIMEOUT_MS = 30_000;
/** Time a leader has to answer who the members are, in milliseconds. */
export const MEMBERS_TIMEOUT_MS = 5_000;
/** Time a node has to make, stop or remove a member, in milliseconds. */
const MEMBER_TIMEOUT_MS = 10_000;
/** Time a node has for a snapshot or a compaction, in milliseconds. */
const SNAPSHOT_TIMEOUT_MS = 60_000;
/** Time a node has to say whether it has a member, in milliseconds. */
const LOCATE_TIMEOUT_MS = 1_000;
/** Times between attempts at something that is not so yet. */
const POLL: Backoff = { minMs: 10, maxMs: 320, jitter: 0 };
/** Indexes of one answer. */
export const LIVE_INDEXES_PAGE = 50_000;

/** How a node reaches others. */
export interface RaKvPeers {
  /** This node. */
  readonly self: string;
  /** All nodes that may have members, this one among them. */
  nodes(): readonly string[];
  /** Has another node answer. @throws {WhorlError} What it fails with, `timeout`, or `not_reachable`. */
  call(
    node: string,
    method: string,
    args: unknown,
    timeoutMs: number,
  ): Promise<unknown>;
}

/** What the methods stand on. */
export interface RaKvMethodsOptions {
  /** The groups of this node; undefined while there are none. */
  readonly system: () => RaftSystem | undefined;
  /** Whether groups of this node have yet to start, or to start again. @default {none} */
  readonly isStarting?: () => boolean;
  readonly peers: RaKvPeers;
  readonly runtime: Runtime;
  /** A number from 1 to 2^48 - 1 that nobody has had. */
  readonly newNumber: () => number;
  /** Whether a cluster is somebody else's, so that nobody starts or deletes it by a call. @default {none} */
  readonly isReserved?: (cluster: string) => boolean;
}

type Types = RaKvMethodTypes & RaKvPeerMethodTypes;
type Handlers = {
  readonly [M in keyof Types]: (args: unknown) => Promise<Types[M]["result"]>;
};

/** Methods of a node; see the module's text. */
export class RaKvMethods {
  readonly #system: () => RaftSystem | undefined;
  readonly #isStarting: () => boolean;
  readonly #peers: RaKvPeers;
  readonly #runtime: Runtime;
  readonly #newNumber: () => number;
  readonly #isReserved: (cluster: string) => boolean;
  readonly #handlers: Handlers;
  /** What waits for some time to pass, and what ends that. */
  readonly #waiting = new Map<TimerHandle, (error: WhorlError) => void>();
  #closed: WhorlError | undefined;

  constructor(options: RaKvMethodsOptions) {
    this.#system = options.system;
    this.#isStarting = options.isStarting ?? (() => false);
    this.#peers = options.peers;
    this.#runtime = options.runtime;
    this.#newNumber = options.newNumber;
    this.#isReserved = options.isReserved ?? (() => false);
    this.#handlers = this.#table();
  }

  /** Whether `method` is one of these. */
  has(method: string): boolean {
    return Object.hasOwn(this.#handlers, method);
  }

  /** Answers a call. @throws {WhorlError} What the method fails with. */
  async perform(method: string, args: unknown): Promise<unknown> {
    return await this.#handlers[method as keyof Types](args);
  }

  /** Fails what waits for a leader or an answer; what it was to change may yet change. */
  close(): void {
    const error = new WhorlError("closed", "The node is stopping");
    this.#closed = error;
    for (const [timer, fail] of this.#waiting) {
      this.#runtime.clearTimer(timer);
      fail(error);
    }
    this.#waiting.clear();
  }

  /** Calls `passed` when `ms` have passed, or `failed` when the node stops before. */
  #wait(
    ms: number,
    passed: () => void,
    failed: (error: WhorlError) => void,
  ): TimerHandle | undefined {
    if (this.#closed !== undefined) return void failed(this.#closed);
    const timer = this.#runtime.setTimer(ms, () => {
      this.#waiting.delete(timer);
      passed();
    });
    this.#waiting.set(timer, failed);
    return timer;
  }

  /** Asks all other nodes who has a member of `cluster`; see `RaKvRoutes.find`. */
  async find(cluster: string): Promise<
    { readonly hint: ClusterHint | undefined; readonly certain: boolean }
  > {
    const others = this.#peers.nodes().filter((node) =>
      node !== this.#peers.self
    );
    const outcomes = await Promise.allSettled(
      others.map((node) =>
        this.#ask(node, "ra_kv_locate", { cluster }, LOCATE_TIMEOUT_MS)
      ),
    );
    let leader: string | undefined;
    const members: string[] = [];
    outcomes.forEach((outcome, at) => {
      if (outcome.status === "rejected" || outcome.value.uid === 0) return;
      members.push(others[at] as string);
      leader ??= outcome.value.leader ?? undefined;
    });
    return {
      hint: members.length === 0 ? undefined : { leader, members },
      certain: outcomes.every((outcome) =>
        outcome.status === "fulfilled" ||
        // A version of Whorl without clusters.
        isWhorlError(outcome.reason, "unknown_command")
      ),
    };
  }

  #table(): Handlers {
    return {
      ra_kv_start_cluster: (args) => this.#startCluster(args),
      ra_kv_delete_cluster: (args) => this.#deleteCluster(args),
      ra_kv_add_member: (args) => this.#addMember(args),
      ra_kv_remove_member: (args) => this.#removeMember(args),
      ra_kv_members: (args) => this.#members(clusterArgument(args)),
      ra_kv_member_overview: (args) =>
        this.#ask(nodeArgument(args), "ra_kv_member_overview_here", {
          cluster: clusterArgument(args),
        }),
      ra_kv_overview: (args) => this.#overview(clusterArgument(args)),
      ra_kv_take_snapshot: (args) =>
        this.#onMembers(args, "ra_kv_take_snapshot_here"),
      ra_kv_compact: (args) => this.#onMembers(args, "ra_kv_compact_here"),
      ra_kv_live_indexes: (args) => this.#liveIndexes(args),
      ra_kv_transfer_leadership: (args) => this.#transfer(args),
      ra_kv_force_shrink: (args) => this.#forceShrink(args),
      ra_kv_clusters: () => this.#clusters(),
      ra_kv_locate: (args) => Promise.resolve(this.#locate(args)),
      ra_kv_create_member: (args) => this.#createHere(args),
      ra_kv_drop_member: (args) => this.#dropHere(args),
      ra_kv_change_members: (args) => this.#changeHere(args),
      ra_kv_members_here: (args) => this.#membersHere(args),
      ra_kv_member_overview_here: (args) =>
        Promise.resolve(overviewOf(this.#here(args))),
      ra_kv_take_snapshot_here: async (args) => {
        const member = this.#here(args);
        await member.takeSnapshot();
        return snapshotOf(member);
      },
      ra_kv_compact_here: async (args) => {
        const member = this.#here(args);
        await member.compact();
        return snapshotOf(member);
      },
      ra_kv_live_indexes_here: (args) =>
        Promise.resolve(
          liveIndexesOf(this.#here(args), numberArgument(args, "after")),
        ),
      ra_kv_transfer_here: async (args) => {
        const member = this.#here(args);
        const to = nodeArgument(args, "to");
        await settled<void>(
          member,
          (target) => member.transferLeadership(to, target),
        );
        return {};
      },
      ra_kv_force_shrink_here: async (args) => {
        await this.#here(args).forceShrink();
        return {};
      },
      ra_kv_clusters_here: () =>
        Promise.resolve({ clusters: this.#clustersHere() }),
    };
  }

  /** The cluster's member on this node. @throws {WhorlError} `unknown_cluster`. */
  #here(args: unknown): RaKvMember {
    const cluster = clusterArgument(args);
    const member = this.#memberHere(cluster);
    if (member !== undefined) return member;
    throw unknown(cluster, `${this.#peers.self} has no member of it`);
  }

  /** @throws {WhorlError} `not_reachable` while a member that this node has, or may have, does not run. */
  #memberHere(cluster: string): RaKvMember | undefined {
    const member = raKvMember(this.#system(), cluster);
    if (member === undefined && this.#isDown(cluster)) throw this.#down();
    return member;
  }

  #isDown(cluster: string): boolean {
    return this.#isStarting() || this.#system()?.isDown(cluster) === true;
  }

  #down(): WhorlError {
    const { self } = this.#peers;
    return new WhorlError(
      "not_reachable",
      `Cannot reach Raft groups of ${self} as they are being started`,
      { details: { node: self } },
    );
  }

  #present(): RaftSystem {
    if (this.#isStarting()) throw this.#down();
    const system = this.#system();
    if (system !== undefined) return system;
    throw new WhorlError(
      "closed",
      `${this.#peers.self} runs no Raft groups: it is stopping, or has no data directory`,
    );
  }

  /** Has `node`, which may be this one, answer. */
  async #ask<Method extends keyof Types>(
    node: string,
    method: Method,
    args: Types[Method]["args"],
    timeoutMs: number = MEMBER_TIMEOUT_MS,
  ): Promise<Types[Method]["result"]> {
    if (node === this.#peers.self) return await this.#handlers[method](args);
    return await this.#peers.call(node, method, args, timeoutMs) as Types[
      Method
    ]["result"];
  }

  // Clusters

  /** @throws {WhorlError} `invalid_argument` for a cluster that is somebody else's. */
  #requireOwn(cluster: string): void {
    if (!this.#isReserved(cluster)) return;
    throw new WhorlError(
      "invalid_argument",
      `Cannot start or delete ${cluster} as it belongs to the consistent buckets`,
      { details: { cluster } },
    );
  }

  async #startCluster(args: unknown): Promise<StartedCluster> {
    const cluster = clusterArgument(args);
    this.#requireOwn(cluster);
    const nodes = nodesArgument(args);
    const timeoutMs = optionalNumber(
      args,
      "timeoutMs",
      FORM_TIMEOUT_MS * nodes.length,
      1,
    );
    const groupId = this.#newNumber();
    const initial = nodes.toSorted(compareTexts).map((node): Member => ({
      node,
      uid: this.#newNumber(),
      kind: "voter",
      target: 0,
    }));
    const deadlineAt = this.#runtime.now() + timeoutMs;
    const outcomes = await this.#onEach(
      initial,
      ({ node, uid }) =>
        this.#ask(node, "ra_kv_create_member", {
          cluster,
          groupId,
          uid,
          initial,
        }),
    );
    const { results, failures } = outcomes;
    const started = results.map(({ node }) => node);
    const there = failures.find(({ code }) => code === "already_exists");
    let leader: string | undefined;
    if (there === undefined && started.length * 2 > nodes.length) {
      // Where there is none, a leader need not wait until the silence is certain.
      raKvMember(this.#system(), cluster)?.standNow();
      leader = await this.#members(cluster, deadlineAt).then(
        (members) => members.leader,
        () => undefined,
      );
    }
    if (leader !== undefined) {
      return { cluster, started, notStarted: failures, leader };
    }
    // One that did not answer may have made its member nevertheless.
    await this.#onEach(
      initial,
      ({ node, uid }) => this.#ask(node, "ra_kv_drop_member", { cluster, uid }),
    );
    const details = { cluster, started, notStarted: failures };
    if (there !== undefined) {
      throw new WhorlError("already_exists", there.message, { details });
    }
    throw new WhorlError(
      "cluster_not_formed",
      started.length * 2 > nodes.length
        ? `Cannot start ${cluster} as no leader has answered in ${timeoutMs} ms`
        : `Cannot start ${cluster} as only ${started.length} of ${nodes.length} members could be started`,
      { details },
    );
  }

  async #deleteCluster(args: unknown): Promise<DeletedCluster> {
    const cluster = clusterArgument(args);
    this.#requireOwn(cluster);
    const places = await this.#places(cluster);
    if (places.results.length === 0) throw unknown(cluster);
    const nodes = new Set(
      places.results.flatMap(({ result }) => result.members),
    );
    for (const { node } of places.results) nodes.add(node);
    const uids = new Map(
      places.results.map(({ node, result }) => [node, result.uid]),
    );
    const { results, failures } = await this.#onEach(
      [...nodes].sort(compareTexts).map((node) => ({ node })),
      async ({ node }) => {
        const uid = uids.get(node);
        if (uid !== undefined) {
          await this.#ask(node, "ra_kv_drop_member", { cluster, uid });
        } else if (places.failures.some((failure) => failure.node === node)) {
          const { code, message } = places.failures.find((failure) =>
            failure.node === node
          ) as NodeFailure;
          throw new WhorlError(code, message);
        }
      },
    );
    return {
      cluster,
      deleted: results.map(({ node }) => node),
      notDeleted: failures,
    };
  }

  async #clusters(): Promise<RaKvMethodTypes["ra_kv_clusters"]["result"]> {
    const { results, failures } = await this.#onEach(
      this.#peers.nodes().map((node) => ({ node })),
      ({ node }) =>
        this.#ask(node, "ra_kv_clusters_here", {}, LOCATE_TIMEOUT_MS),
    );
    const found = new Map<string, { nodes: string[]; leader: string | null }>();
    for (const { node, result } of results) {
      for (const { cluster, leader } of result.clusters) {
        const place = found.getOrInsert(cluster, { nodes: [], leader: null });
        place.nodes.push(node);
        place.leader ??= leader;
      }
    }
    return {
      clusters: [...found].map(([cluster, { nodes, leader }]) => ({
        cluster,
        nodes: nodes.sort(compareTexts),
        leader,
      })).sort((a, b) => compareTexts(a.cluster, b.cluster)),
      failures,
    };
  }

  #clustersHere(): ClusterPlace[] {
    if (this.#isStarting()) throw this.#down();
    return (this.#system()?.members() ?? []).filter(isRaKv).map((member) => ({
      cluster: member.group,
      nodes: member.membership.members.map(({ node }) => node),
      leader: member.leader ?? null,
    }));
  }

  #locate(args: unknown): MemberPlace {
    const member = this.#memberHere(clusterArgument(args));
    return {
      uid: member?.uid ?? 0,
      groupId: member?.groupId ?? 0,
      leader: member?.leader ?? null,
      members: member?.membership.members.map(({ node }) => node) ?? [],
    };
  }

  async #createHere(args: unknown): Promise<{ readonly uid: number }> {
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

  async #dropHere(args: unknown): Promise<{ readonly dropped: boolean }> {
    const cluster = clusterArgument(args);
    const member = raKvMember(this.#present(), cluster);
    // Another life of the member is none of the caller's business.
    if (member?.uid !== numberArgument(args, "uid", 1)) {
      return { dropped: false };
    }
    await this.#present().removeMember(cluster);
    return { dropped: true };
  }

  // Members

  /** The members as the leader knows them, whoever that is by then. */
  async #members(
    cluster: string,
    deadlineAt: number = this.#runtime.now() + MEMBERS_TIMEOUT_MS,
  ): Promise<ClusterMembers> {
    return await this.#atLeader(
      cluster,
      deadlineAt,
      (leader, timeoutMs) =>
        this.#ask(leader, "ra_kv_members_here", { cluster }, timeoutMs),
    );
  }

  /** Has `work` done with the leader, and again with another one while it is certainly not done or does no harm. */
  async #atLeader<Result>(
    cluster: string,
    deadlineAt: number,
    work: (leader: string, timeoutMs: number) => Promise<Result>,
    isHarmless = true,
  ): Promise<Result> {
    let last: unknown;
    for (let attempt = 0;; attempt++) {
      const timeLeftMs = deadlineAt - this.#runtime.now();
      if (timeLeftMs <= 0) {
        throw new WhorlError(
          "timeout",
          `Cannot reach a leader of ${cluster} in time`,
          { details: { cluster, outcomeUnknown: false }, cause: last },
        );
      }
      const leader = await this.#leaderOf(cluster);
      if (leader !== undefined) {
        try {
          return await this.#inTime(
            work(leader, Math.ceil(timeLeftMs)),
            timeLeftMs,
          );
        } catch (error) {
          if (!isPassing(error, isHarmless)) throw error;
          last = error;
        }
      }
      await this.#pause(attempt);
    }
  }

  /** @throws {WhorlError} `unknown_cluster` if all nodes have answered and none has a member. */
  async #leaderOf(cluster: string): Promise<string | undefined> {
    const here = raKvMember(this.#system(), cluster);
    if (here?.leader !== undefined) return here.leader;
    const { hint, certain } = await this.find(cluster);
    if (
      here === undefined && hint === undefined && certain &&
      !this.#isDown(cluster)
    ) {
      throw unknown(cluster);
    }
    return hint?.leader;
  }

  async #membersHere(args: unknown): Promise<ClusterMembers> {
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

  async #changeHere(
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

  async #addMember(args: unknown): Promise<ClusterMembers> {
    const cluster = clusterArgument(args);
    const node = nodeArgument(args);
    const kind = choiceArgument<AddedKind>(args, "kind", [
      "voter",
      "non_voter",
    ]);
    const before = await this.#members(cluster);
    const existing = before.members.find((member) => member.node === node);
    const place = await this.#ask(node, "ra_kv_locate", { cluster });
    if (existing !== undefined && place.uid === existing.uid) {
      throw new WhorlError(
        "already_member",
        `Cannot add ${node} to ${cluster} as it is a member of it`,
        { details: { cluster, node } },
      );
    }
    // What an earlier attempt, or an earlier membership, has left behind.
    if (place.uid !== 0) {
      await this.#ask(node, "ra_kv_drop_member", { cluster, uid: place.uid });
    }
    const uid = this.#newNumber();
    const { groupId } = await this.#ask(before.leader, "ra_kv_locate", {
      cluster,
    });
    const takeBack = () =>
      this.#ask(node, "ra_kv_drop_member", { cluster, uid }).catch(() => {
        // It cannot be reached: a member that nobody knows of harms nobody.
      });
    try {
      await this.#ask(node, "ra_kv_create_member", {
        cluster,
        groupId,
        uid,
        initial: before.members.filter((member) => member.node !== node),
      });
    } catch (error) {
      await takeBack();
      throw error;
    }
    const outcome = await this.#change(
      before,
      {
        type: "add",
        node,
        uid,
        kind: kind === "voter" ? "promotable" : kind,
      },
      ({ members }) => members.some((member) => member.uid === uid),
    );
    if (outcome.type === "failed") {
      await takeBack();
      throw outcome.error;
    }
    // While it is unknown the member stays: it is needed if the change comes through.
    if (outcome.type === "unknown") throw outcome.error;
    return outcome.members;
  }

  async #removeMember(args: unknown): Promise<RemovedMember> {
    const cluster = clusterArgument(args);
    const node = nodeArgument(args);
    const before = await this.#members(cluster);
    const member = before.members.find((member) => member.node === node);
    if (member === undefined) {
      throw new WhorlError(
        "not_member",
        `Cannot remove ${node} from ${cluster} as it is no member of it`,
        { details: { cluster, node } },
      );
    }
    if (before.members.length === 1) {
      throw new WhorlError(
        "only_member",
        `Cannot remove ${node} from ${cluster} as it is the only member: delete the cluster instead`,
        { details: { cluster, node } },
      );
    }
    const outcome = await this.#change(
      before,
      { type: "remove", node },
      ({ members }) => members.every((other) => other.uid !== member.uid),
    );
    // Nothing has been taken from the member so far.
    if (outcome.type !== "done") throw outcome.error;
    const { dropped } = await this.#ask(node, "ra_kv_drop_member", {
      cluster,
      uid: member.uid,
    }).catch(() => ({ dropped: false }));
    return { cluster, node, dropped };
  }

  /** Changes the members as they were `before`, and finds out what has come of it. */
  async #change(
    before: ClusterMembers,
    change: MemberChange,
    isDone: (members: ClusterMembers) => boolean,
  ): Promise<ChangeOutcome> {
    const { cluster } = before;
    const deadlineAt = this.#runtime.now() + CHANGE_TIMEOUT_MS;
    let { term } = before;
    let doubt: unknown;
    try {
      ({ term } = await this.#atLeader(
        cluster,
        this.#runtime.now() + MEMBERS_TIMEOUT_MS,
        (leader, timeoutMs) =>
          this.#ask(
            leader,
            "ra_kv_change_members",
            { cluster, ...change },
            timeoutMs,
          ),
        false,
      ));
    } catch (error) {
      if (!mayHaveHappened(error)) return { type: "failed", error };
      doubt = error;
    }
    for (let attempt = 0; this.#runtime.now() < deadlineAt; attempt++) {
      let members: ClusterMembers;
      try {
        members = await this.#members(cluster, deadlineAt);
      } catch (error) {
        doubt = error;
        break;
      }
      if (members.committed && isDone(members)) {
        return { type: "done", members };
      }
      // What a later leader does not have is lost: a majority follows it (paper, 5.4.2).
      if (members.committed && members.term > term) {
        const error = doubt ?? new WhorlError(
          "leader_lost",
          `Cannot change the members of ${cluster} as its leader was lost before they had agreed`,
          { details: { cluster } },
        );
        return { type: "failed", error };
      }
      await this.#pause(attempt);
    }
    return {
      type: "unknown",
      error: new WhorlError(
        "timeout",
        `Cannot tell whether the members of ${cluster} have changed: no majority has agreed in ${CHANGE_TIMEOUT_MS} ms`,
        { details: { cluster, outcomeUnknown: true }, cause: doubt },
      ),
    };
  }

  async #transfer(args: unknown): Promise<ClusterMembers> {
    const cluster = clusterArgument(args);
    const to = nodeArgument(args, "to");
    await this.#atLeader(
      cluster,
      this.#runtime.now() + MEMBERS_TIMEOUT_MS,
      (leader, timeoutMs) =>
        this.#ask(leader, "ra_kv_transfer_here", { cluster, to }, timeoutMs),
      false,
    );
    return await this.#members(cluster);
  }

  async #forceShrink(args: unknown): Promise<ClusterMembers> {
    const cluster = clusterArgument(args);
    const node = nodeArgument(args);
    await this.#ask(node, "ra_kv_force_shrink_here", { cluster });
    const deadlineAt = this.#runtime.now() + MEMBERS_TIMEOUT_MS;
    for (let attempt = 0;; attempt++) {
      try {
        return await this.#ask(node, "ra_kv_members_here", { cluster });
      } catch (error) {
        // It leads as soon as it has voted for itself.
        if (!isPassing(error, true) || this.#runtime.now() > deadlineAt) {
          throw error;
        }
      }
      await this.#pause(attempt);
    }
  }

  // What members say of themselves

  async #overview(cluster: string): Promise<ClusterOverview> {
    const members = await this.#members(cluster);
    const { results, failures } = await this.#onEach(
      members.members,
      ({ node }) => this.#ask(node, "ra_kv_member_overview_here", { cluster }),
    );
    return {
      ...members,
      overviews: results.map(({ result }) => result),
      failures,
    };
  }

  /** At the member that is named, or at all. */
  async #onMembers(
    args: unknown,
    method: "ra_kv_take_snapshot_here" | "ra_kv_compact_here",
  ): Promise<MemberSnapshots> {
    const cluster = clusterArgument(args);
    const node = optionalNode(args);
    const ask = (node: string): Promise<MemberSnapshot> =>
      this.#ask(node, method, { cluster }, SNAPSHOT_TIMEOUT_MS);
    if (node !== undefined) {
      return { snapshots: [await ask(node)], failures: [] };
    }
    const places = await this.#places(cluster);
    if (places.results.length === 0) throw unknown(cluster);
    const { results, failures } = await this.#onEach(
      places.results,
      ({ node }) => ask(node),
    );
    return {
      snapshots: results.map(({ result }) => result),
      failures: [...failures, ...places.failures],
    };
  }

  async #liveIndexes(args: unknown): Promise<LiveIndexes> {
    const cluster = clusterArgument(args);
    const after = optionalNumber(args, "after", 0);
    const node = optionalNode(args) ?? (await this.#members(cluster)).leader;
    return await this.#ask(node, "ra_kv_live_indexes_here", { cluster, after });
  }

  // Asking others

  /** Where all nodes stand: those that have a member, and those that did not answer. */
  async #places(cluster: string): Promise<NodeOutcomes<MemberPlace>> {
    const { results, failures } = await this.#onEach(
      this.#peers.nodes().toSorted(compareTexts).map((node) => ({ node })),
      ({ node }) =>
        this.#ask(node, "ra_kv_locate", { cluster }, LOCATE_TIMEOUT_MS),
    );
    return {
      results: results.filter(({ result }) => result.uid !== 0),
      failures,
    };
  }

  async #onEach<Item extends { readonly node: string }, Result>(
    items: readonly Item[],
    work: (item: Item) => Promise<Result>,
  ): Promise<NodeOutcomes<Result>> {
    const outcomes = await Promise.allSettled(items.map(work));
    const results: { readonly node: string; readonly result: Result }[] = [];
    const failures: NodeFailure[] = [];
    outcomes.forEach((outcome, at) => {
      const { node } = items[at] as Item;
      if (outcome.status === "fulfilled") {
        results.push({ node, result: outcome.value });
      } else failures.push(failureAt(node, outcome.reason));
    });
    return { results, failures };
  }

  async #pause(attempt: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#wait(backoffDelayMs(POLL, attempt, 0), resolve, reject);
    await promise;
  }

  async #inTime<Result>(work: Promise<Result>, ms: number): Promise<Result> {
    const late = Promise.withResolvers<never>();
    const timer = this.#wait(
      ms,
      () =>
        late.reject(
          new WhorlError(
            "timeout",
            `There was no answer in ${Math.ceil(ms)} ms`,
          ),
        ),
      late.reject,
    );
    try {
      return await Promise.race([work, late.promise]);
    } finally {
      if (timer !== undefined && this.#waiting.delete(timer)) {
        this.#runtime.clearTimer(timer);
      }
    }
  }
}

/** What came of a change of members. */
type ChangeOutcome =
  | { readonly type: "done"; readonly members: ClusterMembers }
  /** The members are certainly as they were. */
  | { readonly type: "failed"; readonly error: unknown }
  | { readonly type: "unknown"; readonly error: WhorlError };

interface NodeOutcomes<Result> {
  readonly results: readonly {
    readonly node: string;
    readonly result: Result;
  }[];
  readonly failures: readonly NodeFailure[];
}

/** What `begin` hands to a target, as a promise. */
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

/** Whether what failed so is worth another attempt, as it was not done or may be done twice. */
function isPassing(error: unknown, isHarmless: boolean): boolean {
  return isWhorlError(error) &&
    (["not_leader", "transferring", "not_reachable", "unknown_cluster"]
      .includes(error.code) || isHarmless && mayHaveHappened(error));
}

function mayHaveHappened(error: unknown): boolean {
  return isWhorlError(error) && error.details["outcomeUnknown"] !== false && [
    "leader_lost",
    "timeout",
    "connection_closed",
    "node_suspected",
    "closed",
    "cancelled",
  ].includes(error.code);
}

function failureAt(node: string, error: unknown): NodeFailure {
  const code: ErrorCode = isWhorlError(error) ? error.code : "internal";
  return { node, code, message: reasonOf(error) };
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

function unknown(cluster: string, reason?: string): WhorlError {
  return new WhorlError(
    "unknown_cluster",
    reason === undefined
      ? `Cannot find a cluster called ${cluster}`
      : `Cannot find ${cluster}: ${reason}`,
    { details: { cluster } },
  );
}
