/**
 * What an operating system keeps for one incarnation of a process: its
 * listeners, its ends of connections and its pending connects. They end with
 * the process.
 *
 * @module
 */
import type { SimulatedProcess } from "../simulated_process.ts";

/** Something that the system reclaims when the process dies. */
export interface KeptForProcess {
  /**
   * The process is dead: it is not notified.
   *
   * @param silently Whether its machine lost power, so that no peer is notified
   * either.
   */
  processDied(silently: boolean): void;
}

/** One process on one host, as seen by the network. */
export class NetworkLife {
  readonly host: string;
  readonly #process: SimulatedProcess;
  readonly #kept: Set<KeptForProcess> = new Set();
  #over = false;

  constructor(host: string, process: SimulatedProcess) {
    this.host = host;
    this.#process = process;
  }

  /** Whether the process has ended. */
  get over(): boolean {
    // The network may learn of a death a moment later.
    return this.#over || this.#process.state === "dead";
  }

  /** Keeps something until {@linkcode forget}. */
  keep(kept: KeptForProcess): void {
    this.#kept.add(kept);
  }

  /** It has ended on its own. */
  forget(kept: KeptForProcess): void {
    this.#kept.delete(kept);
  }

  /**
   * Calls `callback` in the process: now, when it resumes if it is paused, or
   * never if it is dead.
   */
  call(callback: () => void): void {
    this.#process.call(callback);
  }

  /** Reclaims everything. */
  end(silently: boolean): void {
    if (this.#over) return;
    this.#over = true;
    for (const kept of [...this.#kept]) kept.processDied(silently);
    this.#kept.clear();
  }
}
