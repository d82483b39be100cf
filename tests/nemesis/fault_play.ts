/**
 * Plays the faults of rounds on a cluster: each strikes at its time, lasts, and
 * is taken back, whatever becomes of the others.
 *
 * @module
 */
import type { Fault } from "./fault.ts";
import type { PlannedFault } from "./fault_schedule.ts";
import type { NemesisCluster } from "./nemesis_cluster.ts";
import { pause } from "./pause.ts";

/** See the module comment. */
export class FaultPlay {
  readonly #cluster: NemesisCluster;
  readonly #faults: readonly Fault[];
  readonly #counts = new Map<string, number>();
  readonly #active = new Set<PlannedFault>();
  /** By claim, the end of the newest fault that has it. */
  readonly #claimed = new Map<string, Promise<void>>();

  /** @param faults Those that rounds may have. */
  constructor(cluster: NemesisCluster, faults: readonly Fault[]) {
    this.#cluster = cluster;
    this.#faults = faults;
  }

  /** How often each kind has struck. */
  get counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  /** The kinds that are on now. */
  get active(): readonly string[] {
    return [...this.#active].map(({ fault }) => fault);
  }

  /** Plays a round; rejects with the first thing that went wrong, once all faults have been taken back. */
  async play(
    planned: readonly PlannedFault[],
    signal: AbortSignal,
  ): Promise<void> {
    const failed = new AbortController();
    const ended = AbortSignal.any([signal, failed.signal]);
    await Promise.allSettled(planned.map(async (one) => {
      try {
        await this.#strike(one, ended);
      } catch (error) {
        failed.abort(error);
        throw error;
      }
    }));
    ended.throwIfAborted();
  }

  async #strike(planned: PlannedFault, signal: AbortSignal): Promise<void> {
    const { claims, atMs } = planned;
    await pause(atMs, signal);
    // To take a fault back takes time as well, and this one was drawn to come after it.
    const before = claims.map((claim) => this.#claimed.get(claim));
    const { promise: over, resolve } = Promise.withResolvers<void>();
    for (const claim of claims) this.#claimed.set(claim, over);
    try {
      await Promise.all(before);
      signal.throwIfAborted();
      await this.#strikeNow(planned, signal);
    } finally {
      resolve();
    }
  }

  async #strikeNow(planned: PlannedFault, signal: AbortSignal): Promise<void> {
    const { plan, forMs, words } = planned;
    const fault = this.#faults.find(({ name }) =>
      name === planned.fault
    ) as Fault;
    const { name } = fault;
    this.#cluster.tell(`+ ${name}: ${words}, ${(forMs / 1000).toFixed(1)} s`);
    this.#active.add(planned);
    try {
      const heal = await fault.strike(this.#cluster, plan, signal);
      if (heal === undefined) {
        this.#cluster.tell(`- ${name}: there was nothing to do it to`);
        return;
      }
      this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
      try {
        await pause(forMs, signal);
      } finally {
        await heal();
      }
    } finally {
      this.#active.delete(planned);
    }
    this.#cluster.tell(`- ${name}`);
  }
}
