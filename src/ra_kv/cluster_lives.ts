/**
 * Starts, deletes and lists clusters of `ra_kv`.
 *
 * @module
 */
import { isWhorlError, WhorlError } from "../base/errors.ts";
import { compareTexts } from "../base/text_order.ts";
import type { Member } from "../raft/raft_entry.ts";
import type { RaftSystem } from "../raft/raft_member.ts";
import {
  type ClusterQuestions,
  LOCATE_TIMEOUT_MS,
  MEMBERS_TIMEOUT_MS,
  type NodeOutcomes,
  notFound,
} from "./cluster_questions.ts";
import {
  clusterArgument,
  flagArgument,
  nodesArgument,
  optionalNode,
  optionalNumber,
} from "./method_arguments.ts";
import { raKvMember } from "./ra_kv_member.ts";
import type {
  ClusterMembers,
  DeletedCluster,
  MemberPlace,
  RaKvMethodTypes,
  RaKvPeerMethodTypes,
  StartedCluster,
} from "./ra_kv_protocol.ts";

/**
 * Each member of a new cluster adds this to the time in which a leader must
 * answer, in milliseconds.
 */
export const FORM_TIMEOUT_MS = 5_000;

/** What it needs. */
export interface ClusterLivesOptions {
  readonly questions: ClusterQuestions;
  /** The groups of this node; undefined while there are none. */
  readonly system: () => RaftSystem | undefined;
  /** All nodes that may have members. */
  readonly nodes: () => readonly string[];
  /** A number from 1 to 2^48 - 1 that was never used. */
  readonly newNumber: () => number;
  /**
   * Whether a cluster is managed internally, so that calls cannot start or
   * delete it.
   *
   * @default {none}
   */
  readonly isReserved?: ((cluster: string) => boolean) | undefined;
}

/** Starts and deletes clusters; see the module comment. */
export class ClusterLives {
  readonly #questions: ClusterQuestions;
  readonly #system: () => RaftSystem | undefined;
  readonly #nodes: () => readonly string[];
  readonly #newNumber: () => number;
  readonly #isReserved: (cluster: string) => boolean;

  constructor(options: ClusterLivesOptions) {
    this.#questions = options.questions;
    this.#system = options.system;
    this.#nodes = options.nodes;
    this.#newNumber = options.newNumber;
    this.#isReserved = options.isReserved ?? (() => false);
  }

  /** @throws {WhorlError} `invalid_argument` for a cluster that is managed internally. */
  #requireOwn(cluster: string): void {
    if (!this.#isReserved(cluster)) return;
    throw new WhorlError(
      "invalid_argument",
      `Cannot start or delete ${cluster} as it belongs to the consistent buckets`,
      { details: { cluster } },
    );
  }

  /** Creates a member on each node, and waits for a leader. */
  async start(args: unknown): Promise<StartedCluster> {
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
    const deadlineAt = this.#questions.now() + timeoutMs;
    const outcomes = await this.#questions.onEach(
      initial,
      ({ node, uid }) => this.#create(node, { cluster, groupId, uid, initial }),
    );
    const { results, failures } = outcomes;
    const started = results.map(({ node }) => node);
    const there = failures.find(({ code }) => code === "already_exists");
    let leader: string | undefined;
    if (there === undefined && started.length * 2 > nodes.length) {
      // In a new cluster nobody leads, so a member need not wait for a leader
      // to fall silent.
      raKvMember(this.#system(), cluster)?.standNow();
      leader = await this.#questions.members(cluster, deadlineAt).then(
        (members) => members.leader,
        () => undefined,
      );
    }
    if (leader !== undefined) {
      return { cluster, started, notStarted: failures, leader };
    }
    // A node that did not answer may have created its member nevertheless. That
    // member learns from the others that the cluster was deleted.
    await this.#questions.onEach(
      initial,
      ({ node, uid }) => this.#deleteOn(node, { cluster, groupId, uid }),
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

  /**
   * Creates a member on `node`, replacing one whose cluster was deleted while
   * the node was away.
   */
  async #create(
    node: string,
    member: RaKvPeerMethodTypes["ra_kv_create_member"]["args"],
  ): Promise<void> {
    const make = () => this.#questions.ask(node, "ra_kv_create_member", member);
    try {
      await make();
    } catch (error) {
      if (!isWhorlError(error, "already_exists")) throw error;
      const { cluster } = member;
      const { uid, groupId } = await this.#questions.ask(
        node,
        "ra_kv_locate",
        { cluster },
      );
      if (
        uid !== 0 &&
        !await this.#questions.clearDeleted(cluster, node, groupId)
      ) throw error;
      await make();
    }
  }

  /**
   * Deletes a cluster: its members agree on that, and then each is removed. One
   * that cannot be reached finds out when it asks the others
   * (`standing_process.ts`), because they remember.
   */
  async delete(args: unknown): Promise<DeletedCluster> {
    const cluster = clusterArgument(args);
    this.#requireOwn(cluster);
    const force = flagArgument(args, "force");
    const only = optionalNode(args);
    const places = await this.#questions.places(cluster);
    const meant = places.results.filter(({ node }) =>
      only === undefined || node === only
    );
    if (meant.length === 0) throw notFound(cluster, places.failures);
    const groupIds = force
      ? new Set(meant.map(({ result }) => result.groupId))
      : new Set([await this.#agreeOnEnd(cluster, places)]);
    const nodes = new Set<string>();
    for (const { node, result } of places.results) {
      if (!groupIds.has(result.groupId)) continue;
      for (const other of [node, ...result.members]) nodes.add(other);
    }
    const { results, failures } = await this.#questions.onEach(
      [...nodes].sort(compareTexts).map((node) => ({ node })),
      async ({ node }) => {
        const away = places.failures.find((failure) => failure.node === node);
        if (away !== undefined) throw new WhorlError(away.code, away.message);
        const place = places.results.find((place) => place.node === node)
          ?.result;
        for (const groupId of groupIds) {
          const uid = place?.groupId === groupId ? place.uid : undefined;
          await this.#deleteOn(node, { cluster, groupId, uid });
        }
      },
    );
    return {
      cluster,
      deleted: results.map(({ node }) => node),
      notDeleted: failures,
    };
  }

  /** Has the members agree that `cluster` is deleted; returns its group id. */
  async #agreeOnEnd(
    cluster: string,
    places: NodeOutcomes<MemberPlace>,
  ): Promise<number> {
    const { leader, members } = await this.#led(cluster);
    const { groupId } = await this.#questions.ask(leader, "ra_kv_locate", {
      cluster,
    });
    const older = places.results.find(({ node, result }) =>
      result.ends !== true && members.some((member) => member.node === node)
    );
    if (older !== undefined) {
      throw new WhorlError(
        "not_capable",
        `Cannot delete ${cluster} as ${older.node} runs a version that cannot agree on it: upgrade it, or delete by force`,
        { details: { cluster, node: older.node } },
      );
    }
    let isUnderWay = false;
    try {
      await this.#questions.atLeader(
        cluster,
        this.#questions.now() + MEMBERS_TIMEOUT_MS,
        (node, timeoutMs) => {
          isUnderWay = true;
          return this.#questions.ask(
            node,
            "ra_kv_end_here",
            { cluster, groupId },
            timeoutMs,
          );
        },
      );
    } catch (error) {
      // All that knew the leader's answer may be gone already.
      if (!await this.#questions.wasDeleted(groupId)) {
        if (!isWhorlError(error, "timeout")) throw error;
        throw isUnderWay
          ? notKnown(cluster, error)
          : noMajority(cluster, error);
      }
    }
    return groupId;
  }

  async #led(cluster: string): Promise<ClusterMembers> {
    try {
      return await this.#questions.members(cluster);
    } catch (error) {
      // It is known that there are members, so none of them runs.
      if (
        !isWhorlError(error, "timeout") &&
        !isWhorlError(error, "unknown_cluster")
      ) throw error;
      throw noMajority(cluster, error);
    }
  }

  /** Tells `node` that the group was deleted; it may have the member `uid` of it. */
  async #deleteOn(
    node: string,
    { cluster, groupId, uid }: {
      readonly cluster: string;
      readonly groupId: number;
      readonly uid: number | undefined;
    },
  ): Promise<void> {
    try {
      await this.#questions.ask(node, "ra_kv_delete_here", {
        cluster,
        groupId,
      });
    } catch (error) {
      if (!isWhorlError(error, "unknown_command")) throw error;
      // An older version can remove its member, but does not remember why.
      if (uid === undefined) return;
      await this.#questions.drop(cluster, node, uid);
    }
  }

  /** All clusters of which any node has a member. */
  async list(): Promise<RaKvMethodTypes["ra_kv_clusters"]["result"]> {
    const { results, failures } = await this.#questions.onEach(
      this.#nodes().map((node) => ({ node })),
      ({ node }) =>
        this.#questions.ask(node, "ra_kv_clusters_here", {}, LOCATE_TIMEOUT_MS),
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
}

/** No leader with a majority has answered. */
function noMajority(cluster: string, cause: WhorlError): WhorlError {
  return new WhorlError(
    "quorum_unavailable",
    `Cannot delete ${cluster} as no majority of its members has answered in ${MEMBERS_TIMEOUT_MS} ms: if it is lost for good, delete by force`,
    { details: { cluster, outcomeUnknown: false }, cause },
  );
}

/** A leader was asked, but did not learn that a majority agrees. */
function notKnown(cluster: string, cause: WhorlError): WhorlError {
  return new WhorlError(
    "timeout",
    `Cannot tell whether ${cluster} is deleted as no majority of its members has agreed in ${MEMBERS_TIMEOUT_MS} ms: ask again`,
    { details: { cluster, outcomeUnknown: true }, cause },
  );
}
