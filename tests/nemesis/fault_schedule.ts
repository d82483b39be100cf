/**
 * What is done to a cluster and when, from a seed. A run goes in rounds: faults
 * for a while, one to three at once, then none until all replicas are equal.
 *
 * Kinds are dealt like cards: each comes up once before any comes up again, so
 * that a short run meets as many of them as it can.
 *
 * @module
 */
import { type Chance, seededChance } from "../../src/base/chance.ts";
import type { DrawnFault, Fault } from "./fault.ts";

/** A fault of a round. */
export interface PlannedFault extends DrawnFault {
  /** The name of its kind. */
  readonly fault: string;
  /** When it strikes, in milliseconds after the round began. */
  readonly atMs: number;
  /** How long it lasts, in milliseconds. */
  readonly forMs: number;
}

/** Faults that are on together, at most. */
export const FAULTS_AT_ONCE_MAX = 3;
/** How long a fault lasts, in milliseconds. */
export const FAULT_MS_MIN = 1_500;
/** See {@linkcode FAULT_MS_MIN}. */
export const FAULT_MS_MAX = 5_000;
/** Milliseconds between the first and the last strike of those that are on together. */
const SPREAD_MS = 800;
/** Longest time without a fault within a round. */
const CALM_MS_MAX = 1_200;

/** Draws rounds; the same seed, kinds and nodes give the same ones. */
export class FaultSchedule {
  readonly #chance: Chance;
  readonly #faults: readonly Fault[];
  readonly #nodes: readonly string[];
  #deck: Fault[] = [];

  constructor(
    seed: string,
    faults: readonly Fault[],
    nodes: readonly string[],
  ) {
    this.#chance = seededChance(`${seed} nemesis`);
    this.#faults = faults;
    this.#nodes = nodes;
  }

  /** The faults of the next round, by time; the last one ends about `durationMs` after it began. */
  nextRound(durationMs: number): PlannedFault[] {
    const planned: PlannedFault[] = [];
    const spent = new Set<Fault>();
    let atMs = this.#chance.below(500);
    while (atMs < durationMs && this.#faults.length > 0) {
      const together = this.#drawTogether(atMs, spent);
      planned.push(...together);
      const ends = together.map((one) => one.atMs + one.forMs);
      atMs = Math.max(atMs, ...ends) + 1 +
        this.#chance.below(CALM_MS_MAX);
    }
    return planned.sort((a, b) => a.atMs - b.atMs);
  }

  #drawTogether(atMs: number, spent: Set<Fault>): PlannedFault[] {
    const count = 1 + this.#chance.below(FAULTS_AT_ONCE_MAX);
    const together: PlannedFault[] = [];
    const claimed = new Set<string>();
    const passed = new Set<Fault>();
    while (together.length < count) {
      if (this.#deck.length === 0) {
        const next = this.#faults.filter((fault) => !passed.has(fault));
        if (together.length > 0 || next.length === 0) break;
        this.#deck = this.#chance.shuffle(next);
      }
      const fault = this.#deck.pop() as Fault;
      const drawn = fault.draw(this.#chance.fork(fault.name), this.#nodes);
      if (
        drawn.claims.some((claim) => claimed.has(claim)) ||
        fault.oncePerRound && spent.has(fault)
      ) {
        passed.add(fault);
        continue;
      }
      spent.add(fault);
      for (const claim of drawn.claims) claimed.add(claim);
      together.push({
        ...drawn,
        fault: fault.name,
        atMs: atMs + this.#chance.below(SPREAD_MS),
        forMs: FAULT_MS_MIN + this.#chance.below(FAULT_MS_MAX - FAULT_MS_MIN),
      });
    }
    // Those that did not fit have not had their turn, and come next.
    this.#deck.push(...passed);
    return together;
  }
}
