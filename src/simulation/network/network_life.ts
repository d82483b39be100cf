/**
 * What a system keeps for one life of a process: its listeners, its ends of
 * connections and its attempts to connect. They go when the process does.
 *
 * @module
 */
import type { SimulatedProcess } from "../simulated_process.ts";

/** Something a system takes back when the process dies. */
export interface KeptForProcess {
  /**
   * The process is dead: nothing is told to it.
   *
   * @param silently Whether its machine lost power, so that nobody else is told either.
   */
  processDied(silently: boolean): void;
}

/** One process on one host, as the network sees it. */
export class NetworkLife {
  readonly host: string;
  readonly #process: SimulatedProcess;
  readonly #kept: Set<KeptForProcess> = new Set();
  #over = false;

  constructor(host: string, process: SimulatedProcess) {
    this.host = host;
    this.#process = process;
  }

  /** Whether the process is no more. */
  get over(): boolean {
    // The network may hear of a death a moment after it.
    return this.#over || this.#process.state === "dead";
  }

  /** Remembers something until {@linkcode forget}. */
  keep(kept: KeptForProcess): void {
    this.#kept.add(kept);
  }

  /** It has gone by itself. */
  forget(kept: KeptForProcess): void {
    this.#kept.delete(kept);
  }

  /** Calls `callback` in the process: now, or when it goes on if it is paused, or never if it is dead. */
  call(callback: () => void): void {
    if (this.#process.state === "running") callback();
    else this.#process.setTimer(0, callback);
  }

  /** Takes everything back. */
  end(silently: boolean): void {
    if (this.#over) return;
    this.#over = true;
    for (const kept of [...this.#kept]) kept.processDied(silently);
    this.#kept.clear();
  }
}
