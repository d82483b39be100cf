/**
 * Reports to the ring which partitions have been handed over. A changed ring is
 * written to disk, gossiped and processed by every part of every node, so
 * partitions that finish together while others are still moving are reported
 * together.
 *
 * @module
 */
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";

/**
 * How long a report may be delayed, in milliseconds: until the ring is updated,
 * commands for the partition go through its former owner.
 */
export const REPORT_MS = 150;

/**
 * The pending reports of one node. Partitions have the numbers of their vnodes
 * here.
 */
export class CompletionReports {
  readonly #runtime: Runtime;
  readonly #tell: (partitions: readonly number[], module: string) => void;
  /** By module. */
  readonly #waiting = new Map<string, Set<number>>();
  #timer: TimerHandle | undefined;
  #closed = false;

  /**
   * @param tell Updates the ring, which may have decided otherwise meanwhile.
   */
  constructor(
    runtime: Runtime,
    tell: (partitions: readonly number[], module: string) => void,
  ) {
    this.#runtime = runtime;
    this.#tell = tell;
  }

  /** The data of `module` in `partition` is with its next owner. */
  add(partition: number, module: string): void {
    const partitions = this.#waiting.get(module);
    if (partitions !== undefined) partitions.add(partition);
    else this.#waiting.set(module, new Set([partition]));
    if (this.#closed) return this.flush();
    this.#timer ??= this.#runtime.setTimer(REPORT_MS, () => {
      this.#timer = undefined;
      this.flush();
    });
  }

  /** Makes all pending reports now. */
  flush(): void {
    if (this.#timer !== undefined) this.#runtime.clearTimer(this.#timer);
    this.#timer = undefined;
    if (this.#waiting.size === 0) return;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const [module, partitions] of waiting) {
      this.#tell([...partitions], module);
    }
  }

  /**
   * Makes all pending reports now, and later ones at once: otherwise the data
   * would be sent once more.
   */
  close(): void {
    this.#closed = true;
    this.flush();
  }
}
