/**
 * How a node asks others about clusters of `ra_kv`: one node, each of them, or
 * the leader, repeated until there is an answer or time runs out.
 *
 * @module
 */
import { type Backoff, backoffDelayMs } from "../../supervisors/backoff.ts";
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";
import {
  type ErrorCode,
  isWhorlError,
  madeOnce,
  nodeStopping,
  reasonOf,
  WhorlError,
} from "../base/errors.ts";
import { compareTexts } from "../base/text_order.ts";
import type { RaftSystem } from "../raft/raft_member.ts";
import { raKvMember } from "./ra_kv_member.ts";
import type { ClusterHint } from "./next_hop.ts";
import type {
  ClusterMembers,
  MemberPlace,
  NodeFailure,
  RaKvMethodTypes,
  RaKvPeerMethodTypes,
} from "./ra_kv_protocol.ts";
import { raKvOutcomeUnknown } from "./unknown_outcome.ts";

/** Time a leader has to tell who the members are, in milliseconds. */
export const MEMBERS_TIMEOUT_MS = 5_000;
/** Time a node has to create, stop or remove a member, in milliseconds. */
const MEMBER_TIMEOUT_MS = 10_000;
/**
 * While the groups of a node are being started, it is asked again for this long
 * to remove a member, in milliseconds.
 */
export const START_TIMEOUT_MS = 5_000;
/** Time a node has to tell whether it has a member, in milliseconds. */
export const LOCATE_TIMEOUT_MS = 1_000;
/** Waits between attempts. */
const POLL: Backoff = { minMs: 10, maxMs: 320, jitter: 0 };

/** How a node reaches others. */
export interface RaKvPeers {
  /** This node. */
  readonly self: string;
  /** All nodes that may have members, including this one. */
  nodes(): readonly string[];
  /**
   * Calls another node.
   *
   * @throws {WhorlError} What the call fails with, `timeout`, or
   * `not_reachable`.
   */
  call(
    node: string,
    method: string,
    args: unknown,
    timeoutMs: number,
  ): Promise<unknown>;
}

/** All calls, by clients and by other nodes. */
export type RaKvMethodTable = RaKvMethodTypes & RaKvPeerMethodTypes;

/** What the questions need. */
export interface ClusterQuestionsOptions {
  /** The groups of this node; undefined while there are none. */
  readonly system: () => RaftSystem | undefined;
  /** Whether groups of this node have yet to start or restart. */
  readonly isStarting: () => boolean;
  readonly peers: RaKvPeers;
  readonly runtime: Runtime;
  /** Answers a call on this node itself. */
  readonly perform: (method: string, args: unknown) => Promise<unknown>;
}

/** The answers of several nodes. */
export interface NodeOutcomes<Result> {
  readonly results: readonly {
    readonly node: string;
    readonly result: Result;
  }[];
  readonly failures: readonly NodeFailure[];
}

/** Asks nodes; see the module comment. */
export class ClusterQuestions {
  readonly #system: () => RaftSystem | undefined;
  readonly #isStarting: () => boolean;
  readonly #peers: RaKvPeers;
  readonly #runtime: Runtime;
  readonly #perform: (method: string, args: unknown) => Promise<unknown>;
  /** Running timers, each with the function that fails its wait. */
  readonly #waiting = new Map<TimerHandle, (error: WhorlError) => void>();
  /** Set once closed; makes the one error with which all waits fail. */
  #closed: (() => WhorlError) | undefined;

  constructor(options: ClusterQuestionsOptions) {
    this.#system = options.system;
    this.#isStarting = options.isStarting;
    this.#peers = options.peers;
    this.#runtime = options.runtime;
    this.#perform = options.perform;
  }

  /** The current time, on the clock of timers. */
  now(): number {
    return this.#runtime.now();
  }

  /** Fails all waits for a leader or an answer; changes already asked for may still happen. */
  close(): void {
    const closed = this.#closed = madeOnce(nodeStopping);
    for (const [timer, fail] of this.#waiting) {
      this.#runtime.clearTimer(timer);
      fail(closed());
    }
    this.#waiting.clear();
  }

  /** Calls `passed` after `ms`, or `failed` if the node stops before that. */
  #wait(
    ms: number,
    passed: () => void,
    failed: (error: WhorlError) => void,
  ): TimerHandle | undefined {
    if (this.#closed !== undefined) return void failed(this.#closed());
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
        this.ask(node, "ra_kv_locate", { cluster }, LOCATE_TIMEOUT_MS)
      ),
    );
    let leader: string | undefined;
    const members: string[] = [];
    outcomes.forEach((outcome, at) => {
      if (outcome.status === "rejected") return;
      const { uid } = outcome.value;
      if (uid === 0 || !canBeAsked(outcome.value)) return;
      members.push(others[at] as string);
      leader ??= outcome.value.leader ?? undefined;
    });
    return {
      hint: members.length === 0 ? undefined : { leader, members },
      certain: outcomes.every((outcome) =>
        outcome.status === "fulfilled" && canBeAsked(outcome.value) ||
        outcome.status === "rejected" &&
          // A version of Whorl without clusters.
          isWhorlError(outcome.reason, "unknown_command")
      ),
    };
  }

  /** Calls `node`, which may be this one. */
  async ask<Method extends keyof RaKvMethodTable>(
    node: string,
    method: Method,
    args: RaKvMethodTable[Method]["args"],
    timeoutMs: number = MEMBER_TIMEOUT_MS,
  ): Promise<RaKvMethodTable[Method]["result"]> {
    const answer = node === this.#peers.self
      ? this.#perform(method, args)
      : this.#peers.call(node, method, args, timeoutMs);
    return await answer as RaKvMethodTable[Method]["result"];
  }

  /** The members as the current leader knows them. */
  async members(
    cluster: string,
    deadlineAt: number = this.#runtime.now() + MEMBERS_TIMEOUT_MS,
  ): Promise<ClusterMembers> {
    return await this.atLeader(
      cluster,
      deadlineAt,
      (leader, timeoutMs) =>
        this.ask(leader, "ra_kv_members_here", { cluster }, timeoutMs),
    );
  }

  /**
   * Does `work` with the leader. It is repeated, perhaps with another leader,
   * if it was certainly not done or if doing it twice is harmless.
   */
  async atLeader<Result>(
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
      await this.pause(attempt);
    }
  }

  /** @throws {WhorlError} `unknown_cluster` if all nodes have answered and none has a member. */
  async #leaderOf(cluster: string): Promise<string | undefined> {
    const here = raKvMember(this.#system(), cluster);
    if (here?.leader !== undefined) return here.leader;
    const { hint, certain } = await this.find(cluster);
    const isDown = this.#isStarting() ||
      this.#system()?.isDown(cluster) === true;
    if (here === undefined && hint === undefined && certain && !isDown) {
      throw unknownCluster(cluster);
    }
    return hint?.leader;
  }

  /** The nodes that have a member, and failures of those that did not answer. */
  async places(cluster: string): Promise<NodeOutcomes<MemberPlace>> {
    const { results, failures } = await this.onEach(
      this.#peers.nodes().toSorted(compareTexts).map((node) => ({ node })),
      ({ node }) =>
        this.ask(node, "ra_kv_locate", { cluster }, LOCATE_TIMEOUT_MS),
    );
    return {
      results: results.filter(({ result }) => result.uid !== 0),
      failures,
    };
  }

  /** Whether any node that answers remembers that this group was deleted. */
  async wasDeleted(groupId: number): Promise<boolean> {
    const { results } = await this.onEach(
      this.#peers.nodes().map((node) => ({ node })),
      ({ node }) =>
        this.ask(node, "ra_kv_was_deleted", { groupId }, LOCATE_TIMEOUT_MS),
    );
    return results.some(({ result }) => result.deleted);
  }

  /**
   * Removes the member on `node` if its group was deleted while the node was
   * away: by now another cluster may have its name.
   *
   * @returns Whether it was deleted.
   */
  async clearDeleted(
    cluster: string,
    node: string,
    groupId: number,
  ): Promise<boolean> {
    if (!await this.wasDeleted(groupId)) return false;
    await this.ask(node, "ra_kv_delete_here", { cluster, groupId });
    return true;
  }

  /**
   * Removes the member `uid` of `cluster` on `node`. While the groups of that
   * node are being started, it is asked again: nobody else would tell the
   * member.
   *
   * @returns Whether there was such a member.
   */
  async drop(cluster: string, node: string, uid: number): Promise<boolean> {
    const deadlineAt = this.#runtime.now() + START_TIMEOUT_MS;
    for (let attempt = 0;; attempt++) {
      try {
        const { dropped } = await this.ask(node, "ra_kv_drop_member", {
          cluster,
          uid,
        });
        return dropped;
      } catch (error) {
        const isStarting = isWhorlError(error, "not_reachable") &&
          error.details["starting"] === true;
        if (!isStarting || this.#runtime.now() >= deadlineAt) throw error;
      }
      await this.pause(attempt);
    }
  }

  /** Does `work` for all `items` at once. */
  async onEach<Item extends { readonly node: string }, Result>(
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

  /** Waits before another attempt; the first waits are short. */
  async pause(attempt: number): Promise<void> {
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
            `No answer within ${Math.ceil(ms)} ms`,
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

/** Whether the member there, if any, runs and has heard from its group; older versions do not tell. */
function canBeAsked({ runs, toBeAdded }: MemberPlace): boolean {
  return runs !== false && toBeAdded !== true;
}

/**
 * Whether an attempt that failed with `error` may be repeated: it was not done,
 * or doing it twice is harmless.
 */
export function isPassing(error: unknown, isHarmless: boolean): boolean {
  return isWhorlError(error) &&
    (["not_leader", "transferring", "not_reachable", "unknown_cluster"]
      .includes(error.code) || isHarmless && raKvOutcomeUnknown(error));
}

function failureAt(node: string, error: unknown): NodeFailure {
  const code: ErrorCode = isWhorlError(error) ? error.code : "internal";
  return { node, code, message: reasonOf(error) };
}

/**
 * The error for a cluster that no node knows, or a node does not for the given
 * reason.
 */
export function unknownCluster(
  cluster: string,
  { reason, node }: {
    readonly reason?: string;
    /** The node whose error it is, if that is of interest. */
    readonly node?: string;
  } = {},
): WhorlError {
  return new WhorlError(
    "unknown_cluster",
    reason === undefined
      ? `Cannot find a cluster called ${cluster}`
      : `Cannot find ${cluster}: ${reason}`,
    { details: { cluster, ...node === undefined ? {} : { node } } },
  );
}

/** The error when no node that answered has a member of `cluster`. */
export function notFound(
  cluster: string,
  failures: readonly NodeFailure[],
): WhorlError {
  if (failures.length === 0) return unknownCluster(cluster);
  const nodes = failures.map(({ node }) => node);
  return new WhorlError(
    "quorum_unavailable",
    `Cannot find ${cluster} on the nodes that answer: ${
      nodes.join(", ")
    } may have members of it`,
    { details: { cluster, nodes, outcomeUnknown: false } },
  );
}
