/**
 * Reports to the ring which partitions of this node have completed the current
 * phase of its resize: what has been copied, and what its vnode vouches for.
 *
 * @module
 */
import { reasonOf } from "../base/errors.ts";
import {
  decisionKey,
  type ResizeStep,
  resizeSteps,
  type Ring,
} from "../ring/ring.ts";
import {
  partitionOfVnode,
  type RingResizePhase,
} from "../ring/ring_generations.ts";
import { writeHandoffVouch } from "../vnode/handoff_codec.ts";
import type { HandoffWorld } from "./handoff_world.ts";
import {
  decidedResize,
  sameDecision,
  type WantedTransfer,
} from "./transfer_plan.ts";

/**
 * Timeout for a vnode to vouch for its data, in milliseconds: longer than
 * writes are held for it.
 */
const VOUCH_MS = 30_000;
/**
 * How long until a vnode that could not vouch is asked again, in milliseconds.
 */
const VOUCH_AGAIN_MS = 100;

/** A transfer of a resize that has sent everything and follows what is written. */
export interface FollowingTransfer {
  readonly name: string;
  /** Its number, the same at both ends. */
  readonly number: number;
  readonly wanted: WantedTransfer;
}

/** The reports of one node; see the module comment. */
export class ResizeReports {
  readonly #world: HandoffWorld;
  readonly #again: (afterMs: number) => void;
  /**
   * Vnodes being asked to vouch that everything they acknowledged is in the
   * resized ring.
   */
  readonly #vouching = new Set<string>();

  /** @param again Has {@linkcode ResizeReports.report} called once more after so many milliseconds. */
  constructor(world: HandoffWorld, again: (afterMs: number) => void) {
    this.#world = world;
    this.#again = again;
  }

  /** Reports what the ring does not know yet. */
  report(following: Iterable<FollowingTransfer>): void {
    const world = this.#world;
    const ring = world.ring();
    if (ring === undefined) return;
    const { resize } = ring.ownership.generations;
    if (resize === null) return;
    const steps = resizeSteps(ring);
    const decided = decidedResize(resize);
    for (const transfer of following) {
      const { module, sourcePartition } = transfer.wanted;
      // It may still follow for a resize that another claimant has replaced,
      // whose partitions other nodes were to own.
      if (!sameDecision(transfer.wanted.decided, decided)) continue;
      const step = steps[partitionOfVnode(sourcePartition)];
      if (
        step?.owner !== world.self || step.completedModules.includes(module)
      ) continue;
      this.#reportStep(transfer, step, ring, resize.phase);
    }
  }

  #reportStep(
    { name, number, wanted: { module, sourcePartition } }: FollowingTransfer,
    step: ResizeStep,
    ring: Ring,
    phase: RingResizePhase,
  ): void {
    const world = this.#world;
    if (phase === "copying") {
      world.transferComplete([step.partition], module, ring);
      return;
    }
    if (phase !== "binding") return;
    const asked = `${name} ${number} ${decisionKey(ring, step)}`;
    if (this.#vouching.has(asked)) return;
    this.#vouching.add(asked);
    world.askVnode(
      module,
      sourcePartition,
      (into) => writeHandoffVouch(into, number),
      VOUCH_MS,
    ).then(() => {
      // It has vouched for this step, and the ring may be in another by now.
      world.transferComplete([step.partition], module, ring);
    }, (error) => {
      world.log.debug("A vnode could not vouch for its data yet", {
        name,
        reason: reasonOf(error),
      });
      this.#again(VOUCH_AGAIN_MS);
    }).finally(() => this.#vouching.delete(asked));
  }
}
