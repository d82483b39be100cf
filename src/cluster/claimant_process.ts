/**
 * The process around the claimant: it keeps the deadlines of requests, and
 * ensures that no answer is sent before the ring it refers to is stored.
 *
 * @module
 */
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";
import { WhorlError } from "../base/errors.ts";
import type { Log } from "../environment/log.ts";
import type { Ring } from "../ring/ring.ts";
import {
  type ClaimantEffect,
  type ClaimantEvent,
  type ClaimantRequest,
  type ClaimantResult,
  type ClaimantState,
  createClaimant,
  stepClaimant,
} from "./claimant_fsm.ts";
import { planFor } from "./capable_changes.ts";
import { resultOf } from "./claimant_result.ts";
import type { ClusterReply } from "./cluster_codec.ts";
import type { StoreOutcome } from "./ring_waits.ts";

/** What the claimant needs from the node. */
export interface ClaimantWorld {
  readonly runtime: Runtime;
  readonly log: Log;
  /** Makes `ring` the current ring. */
  updateRing(ring: Ring): void;
  /** Runs `run` once a ring with the changes of `ring` is stored, or can no longer be. */
  whenStored(ring: Ring, run: (outcome: StoreOutcome) => void): void;
}

type ClaimantAct = Exclude<ClaimantEffect, { type: "update_ring" }>;

/** Who waits for an answer. */
interface Asker {
  readonly node: string;
  readonly answer: (reply: ClusterReply) => void;
}

/** The claimant of one node. */
export class ClaimantProcess {
  readonly #world: ClaimantWorld;
  readonly #claimant: ClaimantState;
  /** Askers and deadlines of open requests. */
  readonly #askers = new Map<number, Asker>();
  readonly #deadlines = new Map<number, TimerHandle>();
  #resizeTimer: TimerHandle | undefined;
  #nextId = 1;
  #stopped = false;

  /** @param targetN Consecutive partitions that should belong to different nodes. */
  constructor(
    self: string,
    ring: Ring,
    targetN: number,
    world: ClaimantWorld,
  ) {
    this.#world = world;
    this.#claimant = createClaimant(self, ring, targetN);
  }

  /** The node's current ring is `ring` now. */
  ringChanged(ring: Ring): void {
    this.#step({ type: "ring_changed", ring });
  }

  /** `nodes` can be reached now. */
  nodesUp(nodes: readonly string[]): void {
    this.#step({ type: "nodes_up", nodes });
  }

  /** All groups of consistent buckets have reached `step` in taking over for the ring of that generation. */
  takenOver(generation: number, step: "copied" | "open"): void {
    this.#step({ type: "taken_over", generation, step });
  }

  /** Serves the `request` of `node`; `answer` is called once, after at most `waitMs` milliseconds plus the time of storing the ring. */
  request(
    node: string,
    request: ClaimantRequest,
    waitMs: number,
    answer: (reply: ClusterReply) => void,
  ): void {
    if (this.#stopped) return answer(closed());
    const id = this.#nextId++;
    this.#askers.set(id, { node, answer });
    this.#step({ type: "request", id, request, waitMs });
  }

  /** Ends; open requests are answered with `closed`. */
  stop(): void {
    this.#stopped = true;
    for (const timer of this.#deadlines.values()) {
      this.#world.runtime.clearTimer(timer);
    }
    this.#deadlines.clear();
    this.#world.runtime.clearTimer(this.#resizeTimer);
    for (const id of [...this.#askers.keys()]) this.#answer(id, closed());
  }

  #step(event: ClaimantEvent): void {
    if (this.#stopped) return;
    // Effects after a change of the ring wait until that is stored.
    let changed: Ring | null = null;
    for (const effect of stepClaimant(this.#claimant, event)) {
      if (effect.type === "update_ring") {
        this.#world.log[effect.isNews ? "info" : "debug"](
          `Ring changed: ${effect.reason}`,
        );
        changed = effect.ring;
        this.#world.updateRing(effect.ring);
      } else if (changed === null) this.#perform(effect);
      else {
        this.#world.whenStored(
          changed,
          (outcome) =>
            this.#perform(outcome === "stored" ? effect : undone(effect)),
        );
      }
    }
  }

  #perform(effect: ClaimantAct): void {
    if (this.#stopped) return;
    switch (effect.type) {
      case "reply":
        return this.#answer(effect.id, {
          ok: true,
          result: resultOf(this.#readable(effect.id, effect.result)),
        });
      case "fail": {
        const { code, message, details } = effect;
        const error = new WhorlError(code, message, { details });
        return this.#answer(effect.id, { ok: false, error });
      }
      case "set_deadline": {
        const { id, afterMs } = effect;
        const expire = () => this.#step({ type: "deadline", id });
        this.#deadlines.set(
          id,
          this.#world.runtime.setTimer(afterMs, expire),
        );
        return;
      }
      case "clear_deadline":
        this.#world.runtime.clearTimer(this.#deadlines.get(effect.id));
        this.#deadlines.delete(effect.id);
        return;
      case "set_resize_timer":
        this.#world.runtime.clearTimer(this.#resizeTimer);
        this.#resizeTimer = this.#world.runtime.setTimer(
          effect.afterMs,
          () => this.#step({ type: "resize_timer" }),
        );
        return;
      default:
        return effect satisfies never;
    }
  }

  /** `result` in such a way that the version of whoever asked can read it. */
  #readable(id: number, result: ClaimantResult): ClaimantResult {
    const node = this.#askers.get(id)?.node;
    if (result.method !== "plan" || node === undefined) return result;
    return {
      method: "plan",
      plan: planFor(this.#claimant.ring, node, result.plan),
    };
  }

  #answer(id: number, reply: ClusterReply): void {
    const asker = this.#askers.get(id);
    this.#askers.delete(id);
    asker?.answer(reply);
  }
}

/** What `effect` becomes when its change was abandoned. */
function undone(effect: ClaimantAct): ClaimantAct {
  return effect.type !== "reply" ? effect : {
    type: "fail",
    id: effect.id,
    code: "cancelled",
    message:
      `Cannot ${effect.result.method} as the claimant moved to another cluster first`,
    details: {},
  };
}

function closed(): ClusterReply {
  const message = "Cannot answer as this node stops";
  return { ok: false, error: new WhorlError("closed", message) };
}
