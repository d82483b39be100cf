/**
 * What a fault is: something that can be drawn from a seed as plain data, done
 * to a running cluster, and taken back.
 *
 * @module
 */
import type { Chance } from "../../src/base/chance.ts";
import type { Machine } from "./machine.ts";
import type { NemesisCluster } from "./nemesis_cluster.ts";

/** A fault as it was drawn. */
export interface DrawnFault<Plan = unknown> {
  /** All that {@linkcode Fault.strike} needs, as plain data. */
  readonly plan: Plan;
  /** What it takes for itself: two faults that claim the same are never on together. */
  readonly claims: readonly string[];
  /** What it does, for the terminal and the report. */
  readonly words: string;
}

/** Ends a fault. */
export type Heal = () => Promise<void> | void;

/** A kind of fault. */
export interface Fault<Plan = unknown> {
  /** Its name in snake_case, as `--only` takes it. */
  readonly name: string;
  /** What it does, in a line. */
  readonly says: string;
  /** Whether it may be done once at most between two times at which all replicas were equal. @default {false} */
  readonly oncePerRound?: boolean;
  /** Why it cannot be done with so many nodes here, or `undefined`. @default {it can} */
  unable?(machine: Machine, nodeCount: number): string | undefined;
  /** Draws one on these nodes. The same chance draws the same. */
  draw(chance: Chance, nodes: readonly string[]): DrawnFault<Plan>;
  /**
   * Does it, and returns what takes it back; `undefined` if there was nothing
   * to do it to, and nothing is to be taken back.
   *
   * @param signal Fires when the run is given up.
   */
  strike(
    cluster: NemesisCluster,
    plan: Plan,
    signal: AbortSignal,
  ): Promise<Heal | undefined> | Heal;
}

/** Forgets the type of a plan: plans come back to the kind that has drawn them. */
export function anyPlan<Plan>(fault: Fault<Plan>): Fault {
  return fault as unknown as Fault;
}

/** A few of `items`, at least `min` and at most `max`, in no order. */
export function drawSome<T>(
  chance: Chance,
  items: readonly T[],
  min: number,
  max: number,
): T[] {
  const count = min + chance.below(max - min + 1);
  return chance.shuffle([...items]).slice(0, count);
}

/** What a fault claims that has a node's process, disk or data for itself. */
export function nodeClaim(node: string): string {
  return `node ${node}`;
}
