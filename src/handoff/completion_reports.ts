/**
 * Tells the ring which partitions have gone. A ring that changes is written to
 * disk, sent round and looked at by every part of every node, so that those which
 * end together while others are on their way are told together.
 *
 * @module
 */
import type { Runtime, TimerHandle } from "../../supervisors/runtime.ts";

/** How long it may wait that a partition has gone, in milliseconds: until the ring says so, commands for it come by way of its former owner. */
export const REPORT_MS = 150;

/** The reports of one node that have not been made. Partitions have the numbers of their vnodes here. */
export class CompletionReports {
  readonly #runtime: Runtime;
  readonly #tell: (partitions: readonly number[], module: string) => void;
  /** By module. */
  readonly #waiting = new Map<string, Set<number>>();
  #timer: TimerHandle | undefined;
  #closed = false;

  /** @param tell Tells the ring, which may have decided otherwise meanwhile. */
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

  /** Makes all of them now. */
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

  /** Makes all of them now, and what is added from here on at once: else data that has gone would be sent once more. */
  close(): void {
    this.#closed = true;
    this.flush();
  }
}
