/**
 * Limits how many vnodes of a node stand still at a time. Requests go to all
 * partitions alike, so each one that stands still soon blocks every client that
 * sends one request after the other; vnodes that wait here continue to serve.
 *
 * @module
 */

/** Most vnodes of a node that stand still for transfers at a time. */
export const STANDING_STILL_MAX = 1;

/** See the module comment. */
export class SwitchGate {
  readonly #max: number;
  #inside = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(max: number = STANDING_STILL_MAX) {
    this.#max = max;
  }

  /**
   * Resolves when one more may stand still; call the returned function, once,
   * when that is over.
   */
  async enter(): Promise<() => void> {
    if (this.#inside >= this.#max) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#inside++;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      // The next in line takes over the slot.
      const next = this.#waiting.shift();
      if (next === undefined) this.#inside--;
      else next();
    };
  }
}
