/**
 * How clusters of `ra_kv` begin and end, and which there are.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import { compareTexts } from "../base/text_order.ts";
import type { Member } from "../raft/raft_entry.ts";
import type { RaftSystem } from "../raft/raft_member.ts";
import {
  type ClusterQuestions,
  LOCATE_TIMEOUT_MS,
  unknownCluster,
} from "./cluster_questions.ts";
import {
  clusterArgument,
  nodesArgument,
  optionalNumber,
} from "./method_arguments.ts";
import { raKvMember } from "./ra_kv_member.ts";
import type {
  DeletedCluster,
  NodeFailure,
  RaKvMethodTypes,
  StartedCluster,
} from "./ra_kv_protocol.ts";

/** Time each member of a new cluster adds to that in which a leader must answer, in milliseconds. */
export const FORM_TIMEOUT_MS = 5_000;

/** What it stands on. */
export interface ClusterLivesOptions {
  readonly questions: ClusterQuestions;
  /** The groups of this node; undefined while there are none. */
  readonly system: () => RaftSystem | undefined;
  /** All nodes that may have members. */
  readonly nodes: () => readonly string[];
  /** A number from 1 to 2^48 - 1 that nobody has had. */
  readonly newNumber: () => number;
  /** Whether a cluster is somebody else's, so that nobody starts or deletes it by a call. @default {none} */
  readonly isReserved?: ((cluster: string) => boolean) | undefined;
}

/** Begins and ends clusters; see the module's text. */
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

  /** @throws {WhorlError} `invalid_argument` for a cluster that is somebody else's. */
  #requireOwn(cluster: string): void {
    if (!this.#isReserved(cluster)) return;
    throw new WhorlError(
      "invalid_argument",
      `Cannot start or delete ${cluster} as it belongs to the consistent buckets`,
      { details: { cluster } },
    );
  }

  /** Starts a member on each node, and waits for a leader. */
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
      ({ node, uid }) =>
        this.#questions.ask(node, "ra_kv_create_member", {
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
      leader = await this.#questions.members(cluster, deadlineAt).then(
        (members) => members.leader,
        () => undefined,
      );
    }
    if (leader !== undefined) {
      return { cluster, started, notStarted: failures, leader };
    }
    // One that did not answer may have made its member nevertheless.
    await this.#questions.onEach(
      initial,
      ({ node, uid }) =>
        this.#questions.ask(node, "ra_kv_drop_member", { cluster, uid }),
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

  /** Removes all members that can be reached. */
  async delete(args: unknown): Promise<DeletedCluster> {
    const cluster = clusterArgument(args);
    this.#requireOwn(cluster);
    const places = await this.#questions.places(cluster);
    if (places.results.length === 0) throw unknownCluster(cluster);
    const nodes = new Set(
      places.results.flatMap(({ result }) => result.members),
    );
    for (const { node } of places.results) nodes.add(node);
    const uids = new Map(
      places.results.map(({ node, result }) => [node, result.uid]),
    );
    const { results, failures } = await this.#questions.onEach(
      [...nodes].sort(compareTexts).map((node) => ({ node })),
      async ({ node }) => {
        const uid = uids.get(node);
        if (uid !== undefined) {
          await this.#questions.ask(node, "ra_kv_drop_member", {
            cluster,
            uid,
          });
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

  /** All that any node has a member of. */
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
