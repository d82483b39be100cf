/**
 * A client that watches all keys of a Raft group, like an application: when the
 * node it uses dies or refuses, or at random, it continues at another one,
 * after the last event it has seen.
 *
 * @module
 */
import type { Chance } from "../../base/chance.ts";
import { isWhorlError } from "../../base/errors.ts";
import type { RaKvEvent } from "../../ra_kv/ra_kv_client.ts";
import type { Violation } from "../checkers/violation.ts";
import type { SimulatedCluster } from "../simulated_cluster.ts";
import type { SimulatedMachine } from "../simulated_machine.ts";

/** How long it waits before it continues elsewhere, in virtual milliseconds. */
const AGAIN_MS = 100;
/** Probability that it moves after an event although nothing is wrong. */
const MOVES = 0.02;

/** Options of a watcher. */
export interface WatcherOptions {
  readonly name: string;
  readonly group: string;
  readonly cluster: SimulatedCluster;
  readonly chance: Chance;
  /** Whether puts deliver their values. */
  readonly values: boolean;
  /** Called for what no application should ever see. */
  readonly onViolation: (violation: Violation) => void;
}

/** Watches until it is stopped. */
export class GroupWatcher {
  /** All events, in the order in which they arrived. */
  readonly events: RaKvEvent[] = [];
  readonly #options: WatcherOptions;
  #now: AbortController | undefined;
  #over = false;

  constructor(options: WatcherOptions) {
    this.#options = options;
  }

  get name(): string {
    return this.#options.name;
  }

  get values(): boolean {
    return this.#options.values;
  }

  /** Everything up to here was delivered. */
  get index(): number {
    return this.events.at(-1)?.index ?? 0;
  }

  /** Starts, or continues, at some node that serves. */
  begin(): void {
    if (this.#over) return;
    const { cluster, chance } = this.#options;
    const serving = cluster.machines.filter((machine) =>
      cluster.serves(machine)
    );
    if (serving.length === 0) return this.#again();
    const machine = chance.pick(serving);
    const now = new AbortController();
    this.#now = now;
    const forget = machine.onDeath(() => this.#ended(now));
    machine.process?.setTimer(0, () => {
      this.#watch(machine, now).finally(() => {
        forget();
        this.#ended(now);
      });
    });
  }

  #ended(now: AbortController): void {
    if (this.#now !== now) return;
    this.#now = undefined;
    this.#again();
  }

  #again(): void {
    if (this.#over) return;
    this.#options.cluster.time.schedule(AGAIN_MS, () => this.begin());
  }

  async #watch(
    { node, host }: SimulatedMachine,
    now: AbortController,
  ): Promise<void> {
    if (node === undefined || this.#now !== now) return;
    const { name, group, values, cluster, chance, onViolation } = this.#options;
    const after = this.events.at(-1)?.index;
    try {
      for await (
        const event of node.raKv.watch(group, {
          prefix: "",
          after,
          values,
          signal: now.signal,
        })
      ) {
        if (this.#now !== now) return;
        const before = this.index;
        this.events.push(event);
        if (cluster.trace.on) {
          cluster.trace.add(
            "world",
            "watch",
            `${name} at ${host}: ${JSON.stringify(event)}`,
          );
        }
        // A watch cannot resume in the middle of an entry.
        if (event.index > before && chance.chance(MOVES)) this.#move(now);
      }
    } catch (error) {
      if (isWhorlError(error)) return;
      onViolation({
        check: "watch_failed",
        message: `${name} heard: ${
          error instanceof Error ? error.stack : error
        }`,
      });
    }
  }

  /** Moves once all events of the entry were delivered. */
  #move(now: AbortController): void {
    this.#options.cluster.time.schedule(0, () => {
      if (this.#now === now) now.abort();
    });
  }

  /** Stops watching. */
  stop(): void {
    this.#over = true;
    this.#now?.abort();
    this.#now = undefined;
  }
}
