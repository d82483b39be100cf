/**
 * A network between nodes that loses, duplicates and delays messages, and whose
 * links can be cut in one or both directions.
 *
 * @module
 */
import type { Chance } from "../../base/chance.ts";
import type { EventQueue } from "./event_queue.ts";

/** See the module comment. */
export class SimulatedNetwork {
  readonly latencyMs: number;
  /** Without cuts, delivers everything, once and in time. */
  calm = false;
  readonly #events: EventQueue;
  readonly #chance: Chance;
  readonly #lossy: number;
  readonly #doubled: number;
  readonly #lateness: number;
  /** Links that carry nothing, `from>to`. */
  readonly #cut = new Set<string>();

  /** Draws how bad it is. */
  constructor(events: EventQueue, chance: Chance, latencyMs?: number) {
    this.#events = events;
    this.#chance = chance;
    this.#lossy = chance.pick([0, 0, 0.01, 0.1, 0.3]);
    this.#doubled = chance.pick([0, 0, 0.05]);
    this.latencyMs = latencyMs ?? chance.pick([2, 2, 10, 60]);
    this.#lateness = chance.pick([0, 0, 0.02, 0.2]);
  }

  /** Calls `arrive` when a message from `from` has reached `to`, if it does. */
  carry(from: string, to: string, arrive: () => void): void {
    const chance = this.#chance;
    if (!this.calm && chance.chance(this.#lossy)) return;
    const copies = !this.calm && chance.chance(this.#doubled) ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      const late = !this.calm && chance.chance(this.#lateness);
      const afterMs = this.latencyMs / 2 + chance.below(this.latencyMs) +
        (late ? chance.below(1500) : 0);
      this.#events.after(afterMs, () => {
        if (!this.#cut.has(`${from}>${to}`)) arrive();
      });
    }
  }

  /** Nothing comes from `from` to `to` any more. */
  cut(from: string, to: string): void {
    this.#cut.add(`${from}>${to}`);
  }

  /** All links are whole. */
  heal(): void {
    this.#cut.clear();
  }

  /** Whether both ways are open. */
  connects(a: string, b: string): boolean {
    return !this.#cut.has(`${a}>${b}`) && !this.#cut.has(`${b}>${a}`);
  }
}
