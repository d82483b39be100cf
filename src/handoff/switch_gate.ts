/**
 * Lets few vnodes of a node stand still at a time. Requests go to all partitions
 * alike, so each that stands still soon holds up everybody who asks one thing after
 * the other; those that wait here serve meanwhile.
 *
 * @module
 */

/** Vnodes of a node that stand still for transfers at a time. */
export const STANDING_STILL_MAX = 1;

/** Who may stand still; see the module's text. */
export class SwitchGate {
  readonly #max: number;
  #inside = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(max: number = STANDING_STILL_MAX) {
    this.#max = max;
  }

  /** Resolves when one more may stand still; call what it resolves to, once, when that is over. */
  async enter(): Promise<() => void> {
    if (this.#inside >= this.#max) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#inside++;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      // Whoever waits takes the place over.
      const next = this.#waiting.shift();
      if (next === undefined) this.#inside--;
      else next();
    };
  }
}
