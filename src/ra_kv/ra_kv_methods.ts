/**
 * The calls about clusters, as a node answers them. Clients may ask any node;
 * what only the leader or a certain member can do is passed on to that node.
 *
 *     cluster_lives.ts      starts and deletes clusters
 *     member_changes.ts     adds and removes members
 *     members_here.ts       answers for this node's own members
 *     cluster_questions.ts  asks other nodes
 *
 * @module
 */
import type { Runtime } from "../../supervisors/runtime.ts";
import type { RaftSystem } from "../raft/raft_member.ts";
import { ClusterLives } from "./cluster_lives.ts";
import {
  ClusterQuestions,
  notFound,
  type RaKvMethodTable,
  type RaKvPeers,
} from "./cluster_questions.ts";
import { MemberChanges } from "./member_changes.ts";
import { MembersHere } from "./members_here.ts";
import {
  clusterArgument,
  nodeArgument,
  optionalNode,
  optionalNumber,
} from "./method_arguments.ts";
import type { ClusterHint } from "./next_hop.ts";
import type {
  ClusterOverview,
  LiveIndexes,
  MemberSnapshot,
  MemberSnapshots,
} from "./ra_kv_protocol.ts";

/** Time a node has for a snapshot or a compaction, in milliseconds. */
const SNAPSHOT_TIMEOUT_MS = 60_000;

/** What the methods need. */
export interface RaKvMethodsOptions {
  /** The groups of this node; undefined while there are none. */
  readonly system: () => RaftSystem | undefined;
  /** Whether groups of this node have yet to start or restart. @default {none} */
  readonly isStarting?: () => boolean;
  readonly peers: RaKvPeers;
  readonly runtime: Runtime;
  /** A number from 1 to 2^48 - 1 that was never used. */
  readonly newNumber: () => number;
  /**
   * Whether a cluster is managed internally, so that calls cannot start or
   * delete it.
   *
   * @default {none}
   */
  readonly isReserved?: (cluster: string) => boolean;
}

type Handlers = {
  readonly [M in keyof RaKvMethodTable]: (
    args: unknown,
  ) => Promise<RaKvMethodTable[M]["result"]>;
};

/** Methods of a node; see the module comment. */
export class RaKvMethods {
  readonly #questions: ClusterQuestions;
  readonly #lives: ClusterLives;
  readonly #changes: MemberChanges;
  readonly #handlers: Handlers;

  constructor(options: RaKvMethodsOptions) {
    const { system, peers, runtime, newNumber, isReserved } = options;
    const isStarting = options.isStarting ?? (() => false);
    const questions = new ClusterQuestions({
      system,
      isStarting,
      peers,
      runtime,
      perform: (method, args) => this.perform(method, args),
    });
    this.#questions = questions;
    this.#lives = new ClusterLives({
      questions,
      system,
      nodes: () => peers.nodes(),
      newNumber,
      isReserved,
    });
    this.#changes = new MemberChanges(questions, newNumber);
    this.#handlers = this.#table(
      new MembersHere(peers.self, system, isStarting),
    );
  }

  /** Whether `method` is one of these. */
  has(method: string): boolean {
    return Object.hasOwn(this.#handlers, method);
  }

  /** Answers a call. @throws {WhorlError} What the method fails with. */
  async perform(method: string, args: unknown): Promise<unknown> {
    return await this.#handlers[method as keyof RaKvMethodTable](args);
  }

  /** Fails all waits for a leader or an answer; changes already asked for may still happen. */
  close(): void {
    this.#questions.close();
  }

  /** Asks all other nodes who has a member of `cluster`; see `RaKvRoutes.find`. */
  find(cluster: string): Promise<
    { readonly hint: ClusterHint | undefined; readonly certain: boolean }
  > {
    return this.#questions.find(cluster);
  }

  #table(here: MembersHere): Handlers {
    const questions = this.#questions;
    return {
      ra_kv_start_cluster: (args) => this.#lives.start(args),
      ra_kv_delete_cluster: (args) => this.#lives.delete(args),
      ra_kv_add_member: (args) => this.#changes.add(args),
      ra_kv_remove_member: (args) => this.#changes.remove(args),
      ra_kv_members: (args) => questions.members(clusterArgument(args)),
      ra_kv_member_overview: (args) =>
        questions.ask(nodeArgument(args), "ra_kv_member_overview_here", {
          cluster: clusterArgument(args),
        }),
      ra_kv_overview: (args) => this.#overview(clusterArgument(args)),
      ra_kv_take_snapshot: (args) =>
        this.#onMembers(args, "ra_kv_take_snapshot_here"),
      ra_kv_compact: (args) => this.#onMembers(args, "ra_kv_compact_here"),
      ra_kv_live_indexes: (args) => this.#liveIndexes(args),
      ra_kv_transfer_leadership: (args) => this.#changes.transfer(args),
      ra_kv_force_shrink: (args) => this.#changes.forceShrink(args),
      ra_kv_clusters: () => this.#lives.list(),
      ra_kv_locate: (args) => Promise.resolve(here.locate(args)),
      ra_kv_create_member: (args) => here.create(args),
      ra_kv_drop_member: (args) => here.drop(args),
      ra_kv_end_here: (args) => here.end(args),
      ra_kv_delete_here: (args) => here.delete(args),
      ra_kv_was_deleted: (args) => Promise.resolve(here.wasDeleted(args)),
      ra_kv_change_members: (args) => here.change(args),
      ra_kv_members_here: (args) => here.members(args),
      ra_kv_member_overview_here: (args) =>
        Promise.resolve(here.overview(args)),
      ra_kv_take_snapshot_here: (args) => here.takeSnapshot(args),
      ra_kv_compact_here: (args) => here.compact(args),
      ra_kv_live_indexes_here: (args) =>
        Promise.resolve(here.liveIndexes(args)),
      ra_kv_transfer_here: (args) => here.transfer(args),
      ra_kv_force_shrink_here: (args) => here.forceShrink(args),
      ra_kv_clusters_here: () => Promise.resolve({ clusters: here.clusters() }),
    };
  }

  // What members report about themselves

  async #overview(cluster: string): Promise<ClusterOverview> {
    const members = await this.#questions.members(cluster);
    const { results, failures } = await this.#questions.onEach(
      members.members,
      ({ node }) =>
        this.#questions.ask(node, "ra_kv_member_overview_here", { cluster }),
    );
    return {
      ...members,
      overviews: results.map(({ result }) => result),
      failures,
    };
  }

  /** Calls `method` at the member that is named, or at all. */
  async #onMembers(
    args: unknown,
    method: "ra_kv_take_snapshot_here" | "ra_kv_compact_here",
  ): Promise<MemberSnapshots> {
    const cluster = clusterArgument(args);
    const node = optionalNode(args);
    const ask = (node: string): Promise<MemberSnapshot> =>
      this.#questions.ask(node, method, { cluster }, SNAPSHOT_TIMEOUT_MS);
    if (node !== undefined) {
      return { snapshots: [await ask(node)], failures: [] };
    }
    const places = await this.#questions.places(cluster);
    if (places.results.length === 0) throw notFound(cluster, places.failures);
    const { results, failures } = await this.#questions.onEach(
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
    const node = optionalNode(args) ??
      (await this.#questions.members(cluster)).leader;
    return await this.#questions.ask(node, "ra_kv_live_indexes_here", {
      cluster,
      after,
    });
  }
}
