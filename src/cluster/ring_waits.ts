/**
 * Waits for the ring: until it is stored with certain changes, or until a
 * condition holds.
 *
 * @module
 */
import type { Runtime } from "../../supervisors/runtime.ts";
import { versionDescends } from "../causality/version_vector.ts";
import { type Ring, sameCluster } from "../ring/ring.ts";

/**
 * The outcome of waiting for a change: it is durable, or the node moved to
 * another cluster before it was, or stopped.
 */
export type StoreOutcome = "stored" | "abandoned" | "stopped";

interface StoreWait {
  readonly ring: Ring;
  readonly run: (outcome: StoreOutcome) => void;
}

interface Condition {
  readonly holds: (ring: Ring) => boolean;
  readonly done: (held: boolean) => void;
}

/** The waits for the ring of one node. */
export class RingWaits {
  readonly #runtime: Runtime;
  readonly #conditions = new Set<Condition>();
  #storeWaits: StoreWait[] = [];
  #stored: Ring | null = null;
  #stopped = false;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** Runs `run` once a ring with the changes of `ring` is stored, at once if it is, or once it can no longer be. */
  whenStored(ring: Ring, run: (outcome: StoreOutcome) => void): void {
    if (this.#stopped) run("stopped");
    else if (this.#stored !== null && contains(this.#stored, ring)) {
      run("stored");
    } else this.#storeWaits.push({ ring, run });
  }

  /** {@linkcode whenStored} as a promise. */
  stored(ring: Ring): Promise<StoreOutcome> {
    return new Promise((resolve) => this.whenStored(ring, resolve));
  }

  /** Resolves with `true` once `holds` is true of the ring, with `false` after `waitMs` milliseconds. */
  until(
    ring: Ring,
    holds: (ring: Ring) => boolean,
    waitMs: number,
  ): Promise<boolean> {
    if (holds(ring)) return Promise.resolve(true);
    if (this.#stopped) return Promise.resolve(false);
    return new Promise((resolve) => {
      const condition: Condition = {
        holds,
        done: (held) => {
          this.#runtime.clearTimer(timer);
          this.#conditions.delete(condition);
          resolve(held);
        },
      };
      const timer = this.#runtime.setTimer(
        waitMs,
        () => condition.done(false),
      );
      this.#conditions.add(condition);
    });
  }

  /** The node's current ring is `ring` now. */
  ringChanged(ring: Ring): void {
    for (const condition of [...this.#conditions]) {
      if (condition.holds(ring)) condition.done(true);
    }
  }

  /** `ring` is durable. */
  ringStored(ring: Ring): void {
    this.#stored = ring;
    const due: StoreWait[] = [];
    const rest: StoreWait[] = [];
    for (const wait of this.#storeWaits) {
      (contains(ring, wait.ring) ? due : rest).push(wait);
    }
    this.#storeWaits = rest;
    for (const { run } of due) run("stored");
  }

  /** The node moves to another cluster: changes of the old ring will not be stored any more. */
  abandon(): void {
    this.#letGo("abandoned");
  }

  /** Ends all waits. */
  stop(): void {
    this.#stopped = true;
    this.#letGo("stopped");
    for (const { done } of [...this.#conditions]) done(false);
  }

  #letGo(outcome: StoreOutcome): void {
    const waiting = this.#storeWaits;
    this.#storeWaits = [];
    this.#stored = null;
    for (const { run } of waiting) run(outcome);
  }
}

/** Clocks of different clusters cannot be compared. */
function contains(stored: Ring, ring: Ring): boolean {
  return sameCluster(stored, ring) && versionDescends(stored.clock, ring.clock);
}
