/**
 * Changes of the cluster that an operator requests at a node, other than
 * joining: staged changes, which the claimant makes, and changes that any
 * member may make.
 *
 * @module
 */
import { isWhorlError, WhorlError } from "../base/errors.ts";
import {
  type BucketMark,
  consistentBuckets,
  markRootFormed,
} from "../ring/consistent_buckets.ts";
import {
  completeTransfers,
  putRingMeta,
  setOrigins,
  setStatus,
} from "../ring/ring_change.ts";
import {
  membersBehind,
  type Ring,
  ringReady,
  ringVersion,
  sameCluster,
  type StagedChange,
} from "../ring/ring.ts";
import { isTakenForPresent, originsOf } from "../ring/ring_origin.ts";
import { ABORT_RESIZE } from "../ring/ring_resize.ts";
import type { StagedPlan } from "../ring/staged_plan.ts";
import type { RingMetaValue } from "../ring/stamped.ts";
import { expectInteger, expectText } from "../wire/plain_data.ts";
import {
  refuseClaimant,
  refuseConsistent,
  refuseResizing,
} from "./capable_changes.ts";
import type { ClaimantRequest } from "./claimant_fsm.ts";
import { expectNames, expectPlan } from "./claimant_result.ts";
import type { ResizeResult, StageResult } from "./cluster_world.ts";
import type { GossipProcess } from "./gossip_process.ts";
import { refuseDown } from "./membership.ts";
import { type PeerCalls, ROUND_TRIP_MS } from "./peer_calls.ts";

/** Membership changes requested at one node. */
export class MembershipCalls {
  readonly #self: string;
  readonly #waitMs: number;
  readonly #gossip: GossipProcess;
  readonly #calls: PeerCalls;

  /** @param waitMs Longest the claimant waits for the members to agree, in milliseconds. */
  constructor(
    self: string,
    waitMs: number,
    gossip: GossipProcess,
    calls: PeerCalls,
  ) {
    this.#self = self;
    this.#waitMs = waitMs;
    this.#gossip = gossip;
    this.#calls = calls;
  }

  /**
   * Has the claimant stage a change, and waits until this node has it as well:
   * then it survives a loss of the claimant, unless this node is the claimant.
   */
  async stage(
    action: StagedChange["action"],
    node: string,
    replacement: string | null,
  ): Promise<StageResult> {
    const { ring } = this.#gossip;
    const change = { action, node, replacement };
    const refusal = refuseClaimant(ring, ring.ownership.claimant);
    if (refusal !== null) throw refusal;
    let version: number;
    try {
      version = expectInteger(
        await this.#askClaimant({ method: "stage", change }),
        "a ring version",
      );
    } catch (error) {
      // Removing this node closes its link, and the answer is lost with it.
      const mayBeOut = node === this.#self &&
        isWhorlError(error, "not_reachable");
      const isOut = mayBeOut && await this.#gossip.waitFor(
            (now) => !sameCluster(now, ring),
            ROUND_TRIP_MS,
          ) || action === "leave" && await this.#isLeft(node, error);
      if (!isOut) throw error;
      version = 0;
    }
    await this.#gossip.waitFor(
      (now) => !sameCluster(now, ring) || ringVersion(now) >= version,
      ROUND_TRIP_MS,
    );
    return { node, staged: version > 0 };
  }

  /**
   * Whether this node, `node`, could give up its join of a cluster whose only
   * member is gone for good, since no other node could release it. A host that
   * merely does not answer, or was connected recently, may have admitted it.
   */
  async #isLeft(node: string, error: unknown): Promise<boolean> {
    return node === this.#self && isWhorlError(error, "not_reachable") &&
      await this.#gossip.giveUpJoin();
  }

  /**
   * Has the claimant stage a ring of `size` partitions, or with 0 the abort of
   * the resize in progress, and waits until this node has that as well.
   */
  async resize(size: number): Promise<ResizeResult> {
    const refusal = refuseResizing(this.#gossip.ring);
    if (refusal !== null) throw refusal;
    const version = expectInteger(
      await this.#askClaimant({ method: "resize", size }),
      "a ring version",
    );
    await this.#gossip.waitFor(
      (now) => ringVersion(now) >= version,
      ROUND_TRIP_MS,
    );
    return {
      ringSize: this.#gossip.ring.size,
      stagedSize: size === ABORT_RESIZE ? null : size,
    };
  }

  /** The outcome of the staged changes, computed by the claimant once the members agree. */
  async plan(): Promise<StagedPlan> {
    return expectPlan(await this.#askClaimant({ method: "plan" }));
  }

  /** Has the claimant carry out the plan `planId`, or with `null` the one shown last. */
  async commit(planId: string | null): Promise<{ planId: string }> {
    const result = await this.#askClaimant({ method: "commit", planId });
    return { planId: expectText(result, "a plan id", 64) };
  }

  /** Has the claimant clear staged changes. */
  async clear(): Promise<{ nodes: readonly string[] }> {
    return { nodes: expectNames(await this.#askClaimant({ method: "clear" })) };
  }

  /**
   * Has the claimant mark a bucket as consistent, and waits until all members
   * know it and serve it only in that way.
   */
  async mark(mark: BucketMark): Promise<void> {
    const refusal = refuseConsistent(this.#gossip.ring);
    if (refusal !== null) throw refusal;
    await this.#askClaimant({ method: "mark", mark });
    const { bucket } = mark;
    const known = await this.#gossip.waitFor(
      (ring) => consistentBuckets(ring).includes(bucket) && ringReady(ring),
      this.#waitMs,
    );
    if (known) return;
    throw new WhorlError(
      "timeout",
      `Cannot tell whether all members know that the bucket ${
        JSON.stringify(bucket)
      } is consistent: it is marked, but they have not agreed in ${this.#waitMs} ms`,
      { details: { behind: membersBehind(this.#gossip.ring) } },
    );
  }

  /** On the claimant: records that all first members of the root ensemble exist. */
  rootFormed(wallMs: number): void {
    const { ring } = this.#gossip;
    this.#gossip.update(markRootFormed(ring, this.#self, wallMs));
  }

  /** Declares `node` down; `isUp` says whether this node can reach it. */
  async down(node: string, isUp: boolean): Promise<void> {
    const { ring } = this.#gossip;
    const refusal = refuseDown(ring, this.#self, node, isUp);
    if (refusal !== null) throw refusal;
    await this.#gossip.updateDurably(
      setStatus(ring, this.#self, node, "down"),
      `${node} was declared down`,
    );
  }

  /** Sets a value of the ring's metadata; `null` removes it. */
  async putMeta(
    name: string,
    value: RingMetaValue,
    wallMs: number,
  ): Promise<void> {
    await this.#gossip.updateDurably(
      putRingMeta(this.#gossip.ring, this.#self, name, value, wallMs),
      `metadata ${name} was set`,
    );
  }

  /** Records that nothing is left on this node of rings whose vnodes have the numbers of this one's. */
  originHandedOn(wallMs: number): void {
    const { ring } = this.#gossip;
    const left = originsOf(ring, this.#self)
      .filter((origin) => !isTakenForPresent(ring, origin));
    const after = setOrigins(ring, this.#self, left, wallMs);
    if (after === ring) return;
    this.#gossip.update(
      after,
      `${this.#self} has handed on what it held before it came`,
    );
  }

  /** Records that the data of `module` has been handed over from `partitions`; see `completeTransfers`. */
  transferComplete(
    partitions: readonly number[],
    module: string | null,
    registered: readonly string[],
    by?: Ring,
  ): void {
    const { ring } = this.#gossip;
    this.#gossip.update(
      completeTransfers(ring, this.#self, partitions, module, registered, by),
    );
  }

  async #askClaimant(request: ClaimantRequest): Promise<unknown> {
    const { claimant } = this.#gossip.ring.ownership;
    const waitMs = this.#waitMs;
    try {
      return await this.#calls.call(
        claimant,
        { ...request, waitMs },
        waitMs + ROUND_TRIP_MS,
      );
    } catch (error) {
      if (!isWhorlError(error, "not_reachable")) throw error;
      throw new WhorlError(
        "not_reachable",
        `Cannot ${request.method} as the claimant, ${claimant}, cannot be reached: start it, or, if it stays away, mark it as down and another member takes over`,
        { cause: error, details: { node: claimant } },
      );
    }
  }
}
