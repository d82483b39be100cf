/**
 * Reports to the ring which partitions of this node have completed the current
 * phase of its resize: what has been copied, and what its vnode vouches for.
 *
 * @module
 */
import { reasonOf } from "../base/errors.ts";
import { type ResizeStep, resizeSteps } from "../ring/ring.ts";
import {
  partitionOfVnode,
  type RingResizePhase,
} from "../ring/ring_generations.ts";
import { writeHandoffVouch } from "../vnode/handoff_codec.ts";
import type { HandoffWorld } from "./handoff_world.ts";
import type { WantedTransfer } from "./transfer_plan.ts";

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
    const steps = resizeSteps(ring);
    if (steps.length === 0) return;
    for (const transfer of following) {
      const { module, sourcePartition } = transfer.wanted;
      const step = steps[partitionOfVnode(sourcePartition)];
      if (
        step?.owner !== world.self || step.completedModules.includes(module)
      ) continue;
      this.#reportStep(
        transfer,
        step,
        ring.ownership.generations.resize?.phase,
      );
    }
  }

  #reportStep(
    { name, number, wanted: { module, sourcePartition } }: FollowingTransfer,
    step: ResizeStep,
    phase: RingResizePhase | undefined,
  ): void {
    const world = this.#world;
    if (phase === "copying") {
      world.transferComplete([step.partition], module);
      return;
    }
    if (phase !== "binding") return;
    const asked = `${name} ${number} ${step.term} ${step.version}`;
    if (this.#vouching.has(asked)) return;
    this.#vouching.add(asked);
    world.askVnode(
      module,
      sourcePartition,
      (into) => writeHandoffVouch(into, number),
      VOUCH_MS,
    ).then(() => {
      // It may have vouched for an earlier step.
      const now = world.ring()?.ownership.generations.resize?.since;
      if (now?.term === step.term && now.version === step.version) {
        world.transferComplete([step.partition], module);
      }
    }, (error) => {
      world.log.debug("A vnode could not vouch for its data yet", {
        name,
        reason: reasonOf(error),
      });
      this.#again(VOUCH_AGAIN_MS);
    }).finally(() => this.#vouching.delete(asked));
  }
}
